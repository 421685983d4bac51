// The plan: what `autodiff/ordering/playing.py` wrote, and where each order is at a step.

/**
 * @typedef {[number, number]} Span  first and last factor, from 1
 * @typedef {{name: string, cost: number, proven: number, bound: number|null, machines: number,
 *   makespan: number, held: number, tape: number, steps: any[][]}} OrderRow
 * @typedef {OrderRow & {role: string, totals: number[], costs: number[], faces: boolean}} Order
 *   totals: after each number of steps; faces: whether each step is one product
 * @typedef {{first: number, last: number, value: number, move: number, split: number,
 *   offers: [number, number, number, number][]}} Cell
 * @typedef {{outer: string, inner: string, result: string}} Words
 */

const plan = readPlan(JSON.parse(byId("data").textContent ?? ""));

/** @param {any} data */
function readPlan(data) {
  const isChain = data.kind === "chain";
  const fmaOf = (/** @type {any[]} */ step) => (isChain ? step[3] : step[2]);
  /** @type {Order[]} */
  const orders = data.orders.map((/** @type {OrderRow} */ row, /** @type {number} */ i) => {
    const costs = row.steps.map(fmaOf);
    const totals = [0];
    for (const fma of costs) totals.push(totals[totals.length - 1] + fma);
    const faces = !isChain && row.steps.some((step) => step.length > 3);
    return { ...row, role: i ? row.name : "planned", costs, totals, faces };
  });
  /** @type {Cell[]} */
  const cells = (data.table?.cells ?? []).map((/** @type {any[]} */ row) => ({
    first: row[0],
    last: row[1],
    value: row[2],
    move: row[3],
    split: row[4],
    offers: row[5],
  }));
  return {
    title: /** @type {string} */ (data.title),
    subject: /** @type {string} */ (data.subject),
    scarcity: /** @type {string} */ (data.scarcity),
    isChain,
    explicit: data.explicit === 1,
    factors: /** @type {[number, number, number][]} */ (data.factors ?? []),
    vertices: /** @type {[string, number, string][]} */ (data.vertices ?? []),
    edges: /** @type {[number, number, number][]} */ (data.edges ?? []),
    structures: /** @type {string[]} */ (data.structures ?? []),
    orders,
    dearest: Math.max(1, ...orders.map((order) => order.cost)),
    table: data.table ? { order: data.table.order, machines: data.table.machines, cells } : null,
  };
}

/** Which order is told of, and whether all work at one speed. */
const shown = { order: 0, race: false };

/** Moments of the film in which all orders work at one speed. */
const RACE = 240;
/** Beyond this many factors the table fills by whole diagonals. */
const CELL_BY_CELL = 12;

/** The cells that are filled in at each step of the first part, after the factors themselves. */
const fillings = plan.table ? fillingsOf(plan.table.cells, plan.factors.length) : [];

/** @param {Cell[]} cells @param {number} factors */
function fillingsOf(cells, factors) {
  const rest = cells.filter((cell) => cell.first < cell.last);
  if (factors <= CELL_BY_CELL) return rest.map((cell) => [cell]);
  /** @type {Cell[][]} */
  const found = [];
  for (const cell of rest) (found[cell.last - cell.first - 1] ??= []).push(cell);
  return found;
}

/** Steps of the table, before the first multiplication. */
const planning = () => (shown.race ? 0 : fillings.length);

const lastStep = () =>
  shown.race ? RACE : planning() + Math.max(...plan.orders.map((order) => order.steps.length));

/** How many of its steps an order has taken.
 * @param {Order} order
 */
function taken(order) {
  if (!shown.race) return Math.min(order.steps.length, Math.max(0, timeline.step - planning()));
  const spent = (plan.dearest * timeline.step) / RACE;
  let count = 0;
  while (count < order.steps.length && order.totals[count + 1] <= spent) count += 1;
  return timeline.step === RACE ? order.steps.length : count;
}

/** Multiply-adds that an order has spent: in the race also within a step.
 * @param {Order} order
 */
function spentBy(order) {
  if (!shown.race) return order.totals[taken(order)];
  return Math.min(order.cost, Math.round((plan.dearest * timeline.step) / RACE));
}

/** @param {Span} span */
const product = ([first, last]) => (first === last ? `F${first}` : `F${last}..F${first}`);

/** Rows and columns of a product of factors.
 * @param {Span} span
 */
const sizesOf = ([first, last]) => ({
  rows: plan.factors[last - 1][0],
  columns: plan.factors[first - 1][1],
});

/** @param {Span} span */
const dimensions = (span) => `${sizesOf(span).rows}×${sizesOf(span).columns}`;

