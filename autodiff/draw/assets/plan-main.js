// Start, what is shown at a step, and what keys and buttons do.

/** @typedef {{order: Order, element: HTMLElement, stage: HTMLElement, bar: SVGElement,
 *   total: HTMLElement, tab: HTMLElement, formula: HTMLElement}} Lane */

/** @type {Lane[]} */
const lanes = plan.orders.map(makeLane);

/** @param {Order} order @param {number} index @returns {Lane} */
function makeLane(order, index) {
  const bar = shape("svg", {
    class: "total",
    viewBox: `0 0 ${plan.dearest} 10`,
    preserveAspectRatio: "none",
    "aria-hidden": "true",
  });
  bar.append(shape("rect", { class: "all", width: order.cost, height: 10 }));
  // Where one step ends and the next begins
  if (order.steps.length <= 60)
    for (const total of order.totals.slice(1, -1))
      bar.append(shape("path", { class: "tick", d: `M${total} 0V10` }));
  bar.append(shape("rect", { class: "spent", width: 0, height: 10 }));
  const total = html("p", { class: "spent" });
  const tab = html(
    "button",
    { type: "button", class: "tab", "aria-pressed": index === 0, click: () => choose(index) },
    html("strong", {}, order.name),
    html("span", {}, verdict(order)),
  );
  const stage = html("div", { class: "stage", tabindex: 0, "aria-label": `${order.name} order` });
  const formula = html("div", { class: "line" });
  const element = html(
    "article",
    { class: `lane ${classOf(order)}`, "aria-label": `${order.name} order` },
    html("div", { class: "head" }, tab, bar, total),
    stage,
    formula,
  );
  byId("lanes").append(element);
  return { order, element, stage, bar, total, tab, formula };
}

/** @param {Order} order */
function classOf(order) {
  return order === plan.orders[0] ? "planned" : order.role;
}

/** What is known of an order's cost.
 * @param {Order} order
 */
function verdict(order) {
  const parts = [`${exact(order.cost)} fma`];
  const planned = plan.orders[0].cost;
  if (order !== plan.orders[0] && planned) {
    const ratio = order.cost / planned;
    const times = ratio >= 10 ? exact(Math.round(ratio)) : String(Number(ratio.toPrecision(3)));
    parts.push(times === "1" ? "as much" : `${times} times as much`);
  }
  if (order.machines > 1) parts.push(`${exact(order.makespan)} on ${order.machines} machines`);
  if (order.proven) parts.push(order.machines > 1 ? "the shortest" : "the least");
  else if (order.bound) parts.push(`at least ${exact(order.bound)}`);
  return parts.join(", ");
}

/** @param {number} index of the order that is told of */
function choose(index) {
  if (index >= lanes.length) return;
  shown.order = index;
  showStep();
}

function showStep() {
  for (const [index, lane] of lanes.entries()) {
    const { order } = lane;
    const spent = spentBy(order);
    lane.bar.querySelector(".spent")?.setAttribute("width", String(spent));
    const count = `${taken(order)} of ${plural(order.steps.length, "step")}`;
    lane.total.replaceChildren(html("strong", {}, exact(spent)), ` fma, ${count}`);
    lane.tab.setAttribute("aria-pressed", String(index === shown.order));
    lane.element.classList.toggle("chosen", index === shown.order);
    const formula = plan.isChain ? formulaOf(order) : null;
    const { scrollTop, scrollLeft } = lane.stage;
    lane.stage.replaceChildren(plan.isChain ? chainPicture(order) : graphPicture(order));
    lane.stage.scrollTop = scrollTop;
    lane.stage.scrollLeft = scrollLeft;
    lane.formula.replaceChildren(...(formula ? [formula] : []));
  }
  sizePictures();
  showTable();
  showWork();
  const { short, parts } = stepText();
  showNow();
  showOnSlider(short);
  byId("happening").replaceChildren(...parts);
  // What is told of an order has its colour
  for (const id of ["now", "table", "happening"])
    byId(id).className = classOf(plan.orders[shown.order]);
}

/** The rectangles of the current step, or what the splits of a cell would cost. */
function showNow() {
  const order = plan.orders[shown.order];
  const count = taken(order);
  const cells = !shown.race && timeline.step ? fillings[timeline.step - 1] : undefined;
  const title = byId("now-title");
  const body = byId("now-body");
  if (cells?.length === 1) {
    const [cell] = cells;
    title.textContent = `Ways to ${product([cell.first, cell.last])} (${dimensions([cell.first, cell.last])})`;
    body.replaceChildren(cell.offers.length ? offersPicture(cell) : html("p", {}, cellWords(cell)));
  } else if (cells) {
    title.textContent = "Filling in the table";
    body.replaceChildren(html("p", {}, `Products of ${cells[0].last - cells[0].first + 1} factors`));
  } else if (!count) {
    title.textContent = "Before the first step";
    body.replaceChildren(
      html("p", { class: "hint" }, "Play, or press . to take a step. Press ? for the keys."),
      legend(),
    );
  } else {
    title.textContent = `${order.name}: step ${count} of ${order.steps.length}`;
    const step = order.steps[count - 1];
    body.replaceChildren(plan.isChain ? chainEquation(order, step) : graphEquations(order, step));
  }
}

/** What the rectangles mean. */
function legend() {
  const used = new Set(
    plan.isChain
      ? [plan.explicit ? "dense" : "tape", "dense"]
      : plan.edges.map(([, , word]) => plan.structures[word]),
  );
  const names = /** @type {Record<string, string>} */ ({
    tape: "a factor, known by its products",
    dense: "a matrix",
    diagonal: "a diagonal",
    blocks: "blocks",
    sum: "a sum",
    index: "elements moved",
    product: "a product, kept as its factors",
    unknown: "known by its products alone",
  });
  const list = html("ul", { class: "legend" });
  for (const kind of new Set([...used].map(kindOf))) {
    const sample = { tape: "tape", diagonal: "diagonal", blocks: "block-diagonal 3", sum: "sum", index: "index", product: "dense . dense", unknown: "opaque", dense: "dense" }[kind];
    const { element } = matrix(3, 4, sample ?? "dense", 5);
    const picture = drawing(24, 20);
    element.setAttribute("transform", "translate(2 2)");
    picture.append(element);
    list.append(html("li", {}, picture, names[kind] ?? kind));
  }
  return list;
}

/** Squares in one corner, whose areas are the multiply-adds spent so far. */
function showWork() {
  const edge = 168;
  const picture = drawing(edge + 4, edge + 4, { class: "squares", role: "img" });
  const rows = plan.orders.map((order) => ({ order, spent: spentBy(order) }));
  picture.setAttribute(
    "aria-label",
    rows.map(({ order, spent }) => `${order.name} ${exact(spent)}`).join(", "),
  );
  const width = (/** @type {number} */ fma) => edge * Math.sqrt(fma / plan.dearest);
  // The largest first, so that none hides another
  for (const { order } of [...rows].sort((a, b) => b.order.cost - a.order.cost)) {
    const size = width(order.cost);
    picture.append(
      shape("rect", { class: `whole ${classOf(order)}`, x: 2, y: edge + 2 - size, width: size, height: size }),
    );
  }
  for (const { order, spent } of [...rows].sort((a, b) => b.spent - a.spent)) {
    const size = width(spent);
    picture.append(
      shape("rect", { class: `square ${classOf(order)}`, x: 2, y: edge + 2 - size, width: size, height: size }),
    );
  }
  const list = html("ul", { class: "sums" });
  for (const { order, spent } of rows)
    list.append(
      html(
        "li",
        { class: classOf(order) },
        html("i"),
        html("span", {}, order.name),
        html("strong", {}, exact(spent)),
      ),
    );
  const scarcity = plan.scarcity ? [html("p", { class: "hint scarcity" }, plan.scarcity)] : [];
  byId("work-body").replaceChildren(picture, html("div", {}, ...scarcity, list));
}

/** What the current step does, in words. */
function stepText() {
  const order = plan.orders[shown.order];
  const count = taken(order);
  const cells = !shown.race && timeline.step ? fillings[timeline.step - 1] : undefined;
  const strong = (/** @type {string} */ text) => html("strong", {}, text);
  /** @type {(Node|string)[]} */
  const parts = [];
  if (cells) {
    parts.push(strong("table"), "  ");
    if (cells.length === 1) parts.push(cellWords(cells[0]));
    else parts.push(`products of ${cells[0].last - cells[0].first + 1} factors`);
  } else if (!count) {
    const first = fillings.length && !shown.race ? "the table is filled in, then " : "";
    const steps = plural(order.steps.length, plan.isChain ? "step" : order.faces ? "face" : "elimination");
    parts.push(`Play to see how ${first}${order.name} takes ${steps}.`);
  } else {
    const step = order.steps[count - 1];
    const words = plan.isChain ? chainWords(step) : graphWords(order, step);
    parts.push(strong(`${order.name} ${count}/${order.steps.length}`), `  ${words}: `);
    parts.push(strong(`${exact(order.costs[count - 1])} fma`));
    if (count === order.steps.length) parts.push(`, ${exact(order.cost)} in all`);
    else parts.push(`, ${exact(order.totals[count])} so far`);
  }
  return { short: parts.map((p) => (typeof p === "string" ? p : p.textContent)).join(""), parts };
}

function followStep() {
  if (!plan.isChain) followVertex();
  // The table alone is scrolled: the page stays where its reader has it
  const cell = document.querySelector("td.filling, td.fresh");
  const body = byId("table-body");
  if (!cell) return;
  const at = cell.getBoundingClientRect();
  const seen = body.getBoundingClientRect();
  if (at.top < seen.top || at.bottom > seen.bottom)
    body.scrollTop += (at.top + at.bottom - seen.top - seen.bottom) / 2;
  if (at.left < seen.left || at.right > seen.right)
    body.scrollLeft += (at.left + at.right - seen.left - seen.right) / 2;
}

/** Graphs are shrunk to the room there is, as long as they can be read. */
function sizePictures() {
  if (plan.isChain) return;
  for (const { stage } of lanes) {
    const picture = stage.querySelector("svg");
    if (!picture || !stage.clientWidth) continue;
    const width = layout.width + 60;
    const room = Math.min((stage.clientWidth - 4) / width, (stage.clientHeight - 4) / layout.height);
    const scale = Math.max(0.62, Math.min(1.2, room));
    picture.setAttribute("width", String(Math.floor(width * scale)));
    picture.setAttribute("height", String(Math.floor(layout.height * scale)));
  }
}

/** All orders at one speed, or one step at a time. */
function race() {
  shown.race = !shown.race;
  byId("race").setAttribute("aria-pressed", String(shown.race));
  play(false);
  listenable();
  goTo(0);
}

/** The slider's first part is the table's. */
function listenable() {
  byId("slider").style.setProperty("--swept-from", `${(100 * planning()) / Math.max(1, lastStep())}%`);
}

/** Keys of the whole page. @type {Record<string, () => void>} */
const KEYS = {
  ...PLAYER_KEYS,
  1: () => choose(0),
  2: () => choose(1),
  3: () => choose(2),
  w: () => race(),
  t: () => switchTheme(),
  "?": showHelp,
};

document.title = plan.title;
byId("title").textContent = plan.title;
byId("title").title = plan.title;
byId("size").textContent = plan.title.includes(plan.subject) ? "" : plan.subject;
document.body.classList.add(plan.isChain ? "of-chain" : "of-graph");
makeTable();
listenToKeys(KEYS);
listenToPlayer(planning() / Math.max(1, lastStep()));
byId("race").addEventListener("click", race);
byId("theme").addEventListener("click", switchTheme);
byId("keys").addEventListener("click", showHelp);
new ResizeObserver(sizePictures).observe(byId("lanes"));
showStep();
document.documentElement.dataset.ready = String(lastStep());
