// The table of the dynamic programme: the cheapest way to every product of neighbours.

const MOVES = ["multiply", "push tangents", "pull adjoints"];

/** Make the table once; its cells by their spans.
 * @type {Map<string, {cell: Cell, element: HTMLElement, step: number}>}
 */
const tableCells = new Map();

function makeTable() {
  if (!plan.table) return;
  const { cells, order, machines } = plan.table;
  const worth = machines > 1 ? "shortest makespan" : order === "worst" ? "dearest" : "cheapest";
  const kind = { preaccumulate: " product of matrices", worst: " way", optimal: " way" }[order];
  byId("table").hidden = false;
  byId("table-title").textContent = `The ${worth}${kind ?? " way"} to each product`;
  const count = plan.factors.length;
  const written = count <= 12;
  const stepOf = new Map(fillings.flatMap((row, i) => row.map((cell) => [cell, i + 1])));
  const body = html("table", { class: written ? "dp" : "dp small" });
  const head = html("tr", {}, html("th", { scope: "col" }, "from ↓ to →"));
  for (let last = 1; last <= count; last += 1) head.append(html("th", { scope: "col" }, `F${last}`));
  body.append(html("thead", {}, head));
  const rows = html("tbody");
  for (let first = 1; first <= count; first += 1) {
    const row = html("tr", {}, html("th", { scope: "row" }, `F${first}`));
    for (let last = 1; last <= count; last += 1) row.append(html("td", { class: "none" }));
    rows.append(row);
  }
  body.append(rows);
  for (const cell of cells) {
    const element = /** @type {HTMLElement} */ (rows.children[cell.first - 1].children[cell.last]);
    element.className = "";
    tableCells.set(`${cell.first},${cell.last}`, { cell, element, step: stepOf.get(cell) ?? 0 });
  }
  byId("table-body").append(body);
}

/** The two halves that a cell's choice is made of; with sweeps only one of them is a cell's value.
 * @param {Cell} cell
 * @returns {string[]}
 */
function halvesOf({ first, last, split, move }) {
  const left = `${first},${split}`;
  const right = `${split + 1},${last}`;
  return move === 0 ? [left, right] : move === 1 ? [left] : [right];
}

/** Show the table at the current step. */
function showTable() {
  if (!plan.table) return;
  const now = shown.race ? Infinity : timeline.step;
  const filling = now >= 1 && now <= fillings.length ? fillings[now - 1] : [];
  const halves = new Set(filling.length === 1 ? halvesOf(filling[0]) : []);
  const order = plan.orders[shown.order];
  const count = now > fillings.length ? taken(order) : 0;
  const done = new Set(order.steps.slice(0, count).map((step) => String(step[2])));
  const fresh = count ? String(order.steps[count - 1][2]) : "";
  const written = plan.factors.length <= 12;
  for (const [key, { cell, element, step }] of tableCells) {
    const there = step <= now;
    element.textContent = there && written ? compact(cell.value) : "";
    element.title = there ? cellWords(cell) : "";
    const state = [there ? "there" : "empty"];
    if (filling.includes(cell)) state.push("filling");
    if (halves.has(key)) state.push("half");
    if (done.has(key)) state.push("done");
    if (key === fresh) state.push("fresh");
    element.className = state.join(" ");
  }
}

/** @param {Cell} cell */
function cellWords({ first, last, value, move, split }) {
  const name = product([first, last]);
  if (move < 0) return `${name}: ${exact(value)}`;
  const halves = `${product([split + 1, last])} and ${product([first, split])}`;
  return `${name}: ${exact(value)}, by ${halves}, ${MOVES[move]}`;
}

/** What the splits of a cell would cost, as bars.
 * @param {Cell} cell
 */
function offersPicture(cell) {
  const most = Math.max(1, ...cell.offers.map((offer) => offer[2]));
  const list = html("ul", { class: "offers" });
  for (const [split, move, total, join] of cell.offers) {
    const words = `${product([split + 1, cell.last])} | ${product([cell.first, split])}`;
    const parts = halvesOf({ ...cell, split, move }).map((key) =>
      exact(/** @type {any} */ (tableCells.get(key)).cell.value),
    );
    const bar = shape("svg", { class: "offer", viewBox: "0 0 100 8", preserveAspectRatio: "none" });
    bar.append(shape("rect", { width: Math.max(0.5, (100 * total) / most), height: 8 }));
    const chosen = split === cell.split;
    const sum = `${[...parts, exact(join)].join(" + ")} = ${exact(total)}`;
    list.append(
      html(
        "li",
        { class: chosen ? "chosen" : "" },
        html("span", {}, words),
        bar,
        html("span", {}, `${move ? `${MOVES[move]}: ` : ""}${sum}${chosen ? "  ✓" : ""}`),
      ),
    );
  }
  return list;
}
