// Search: by name, primitive, shape, source and call.

const search = {
  /** @type {Set<Box>} */ hits: new Set(),
  /** @type {Box[]} */ order: [],
  /** @type {Map<Box, number>} */ inside: new Map(),
  /** @type {Box|null} */ current: null,
};

/** Find the boxes that hold all words of a query.
 * @param {string} query
 */
function find(query) {
  const words = query.toLowerCase().split(/\s+/).filter(Boolean);
  search.order = words.length
    ? [...model.nodes, ...model.groups.slice(1)].filter((box) =>
        words.every((word) => box.search.includes(word)),
      )
    : [];
  search.hits = new Set(search.order);
  search.inside.clear();
  for (const hit of search.order)
    for (let group = hit.parent; group; group = group.parent)
      search.inside.set(group, (search.inside.get(group) ?? 0) + 1);
  search.current = null;
  showFound();
  showStep();
}

function showFound() {
  const query = /** @type {HTMLInputElement} */ (byId("query")).value.trim();
  const at = search.current ? search.order.indexOf(search.current) + 1 : 0;
  const count = search.order.length;
  byId("found").textContent = !query ? "" : at ? `${at} of ${count}` : `${count} found`;
}

/** Go to another hit, opening what hides it.
 * @param {number} by 1 for the next, -1 for the one before
 */
function nextHit(by) {
  const count = search.order.length;
  if (!count) return;
  const at = search.current ? search.order.indexOf(search.current) : by > 0 ? -1 : 0;
  search.current = search.order[(at + by + count) % count];
  reveal(search.current);
  select(search.current);
  setFocusable(search.current);
  bringIntoView(search.current);
  showFound();
}

function listenToSearch() {
  const field = /** @type {HTMLInputElement} */ (byId("query"));
  field.addEventListener("input", () => find(field.value));
  field.addEventListener("keydown", (event) => {
    if (event.key === "Enter") {
      event.preventDefault();
      nextHit(event.shiftKey ? -1 : 1);
    } else if (event.key === "Escape") {
      field.value = "";
      find("");
      focusBox(focusable ?? visible[0]);
    }
  });
  byId("previous").addEventListener("click", () => nextHit(-1));
  byId("next").addEventListener("click", () => nextHit(1));
}
