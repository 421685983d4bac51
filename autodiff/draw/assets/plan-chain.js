// A chain in the middle of being multiplied: what is there, from the last factor to the first.

const CHAIN_WIDTH = 420;
const CHAIN_HEIGHT = 230;

/** @typedef {{span: Span, tape: boolean, fresh: boolean}} Piece */

/** What there is after some steps of an order.
 * @param {Order} order
 * @param {number} count
 * @returns {Piece[]}
 */
function piecesOf(order, count) {
  /** @type {Piece[]} */
  let pieces = plan.factors.map((_, i) => ({
    span: [i + 1, i + 1],
    tape: !plan.explicit,
    fresh: false,
  }));
  order.steps.slice(0, count).forEach(([, , span], i) => {
    const made = { span, tape: false, fresh: i === count - 1 };
    const outside = pieces.filter((p) => p.span[1] < span[0] || p.span[0] > span[1]);
    pieces = [...outside, made].sort((a, b) => a.span[0] - b.span[0]);
  });
  return pieces.reverse();
}

const chainScale = plan.isChain ? chainScaleOf() : 1;

/** One scale for all orders and steps: products are no larger than what they are made of. */
function chainScaleOf() {
  const all = plan.factors.map(([rows, columns]) => ({ rows, columns }));
  const gaps = all.length * (all.length > 14 ? 3 : all.length > 7 ? 14 : 24);
  return fitting(all, Math.max(CHAIN_WIDTH / 2, CHAIN_WIDTH - gaps), CHAIN_HEIGHT - 46);
}

/** Draw what an order has made of the chain.
 * @param {Order} order
 */
function chainPicture(order) {
  const pieces = piecesOf(order, taken(order));
  const sizes = pieces.map(({ span }) => sizesOf(span));
  const across = sizes.reduce((sum, s) => sum + side(s.columns, chainScale), 0);
  const free = (CHAIN_WIDTH - across) / (pieces.length + 1);
  const gap = Math.max(3, Math.min(40, free));
  const width = Math.max(CHAIN_WIDTH, across + gap * (pieces.length + 1));
  // Names and sizes where none would stand in another
  const room = sizes.map(({ columns }) => side(columns, chainScale) + gap);
  const fits = (/** @type {(span: Span) => string} */ words, /** @type {string} */ font) =>
    pieces.every(({ span }, i) => textWidth(words(span), font) <= room[i] + 2);
  const named = fits(product, FONT);
  const sized = fits(dimensions, SMALL_FONT);
  const picture = drawing(width, CHAIN_HEIGHT, {
    class: "chain",
    role: "img",
    "aria-label": pieces.map((p) => `${product(p.span)} ${dimensions(p.span)}`).join(" times "),
  });
  let x = (width - across - gap * (pieces.length - 1)) / 2;
  pieces.forEach(({ span, tape, fresh }, i) => {
    const { rows, columns } = sizes[i];
    const { element, ...size } = matrix(
      rows,
      columns,
      tape ? "tape" : "dense",
      chainScale,
      fresh ? "fresh" : "",
    );
    const middle = (CHAIN_HEIGHT - 6) / 2;
    element.setAttribute("transform", `translate(${x} ${middle - size.height / 2})`);
    picture.append(element);
    const center = x + size.width / 2;
    if (named || fresh) {
      const half = textWidth(product(span), FONT) / 2;
      const within = Math.max(half, Math.min(width - half, center));
      picture.append(label(within, middle + size.height / 2 + 15, "name", product(span)));
    }
    if (sized)
      picture.append(label(center, middle - size.height / 2 - 6, "size", dimensions(span)));
    x += size.width + gap;
  });
  return picture;
}

/** The bracketing as a formula, with what is done already in the order's colour.
 * @param {Order} order
 */
function formulaOf(order) {
  if (plan.factors.length > 10) return null;
  /** @type {Map<string, {index: number, step: any[]}>} */
  const made = new Map();
  order.steps.forEach((step, index) => made.set(String(step[2]), { index, step }));
  const count = taken(order);
  /** @param {Span} span @param {boolean} outermost @returns {HTMLElement} */
  const written = (span, outermost) => {
    const found = made.get(String(span));
    if (span[0] === span[1] || !found) {
      // Factors that are swept through one after another
      const names = [];
      for (let i = span[1]; i >= span[0]; i -= 1) names.push(`F${i}`);
      // A factor by itself is coloured with what it is multiplied into
      const there = found && found.index < count;
      return html("span", { class: there ? "made" : "" }, names.join("·"));
    }
    const [outer, inner] = found.step[1];
    const swept = found.step[0];
    const sign = swept.startsWith("push") ? " ◂ " : swept.startsWith("pull") ? " ▸ " : " · ";
    const parts = [written(outer, false), sign, written(inner, false)];
    const state = found.index < count ? (found.index === count - 1 ? "made fresh" : "made") : "";
    return html("span", { class: state }, ...(outermost ? parts : ["(", ...parts, ")"]));
  };
  const whole = html("p", { class: "formula" });
  whole.append(written([1, plan.factors.length], true));
  return whole;
}

/** A step of a chain as an equation of rectangles.
 * @param {Order} order
 * @param {any[]} step
 */
function chainEquation(order, step) {
  const [operation, operands, result, fma] = step;
  const swept = operation === "multiply" ? -1 : operation.startsWith("pull") ? 1 : 0;
  /** @type {{span: Span, kind: string, fresh: boolean, sign: string}[]} */
  const terms = operands.map((/** @type {Span} */ span, /** @type {number} */ i) => ({
    span,
    kind: swept === i && !plan.explicit ? "tape" : "dense",
    fresh: false,
    sign: i ? "·" : "",
  }));
  terms.push({ span: result, kind: "dense", fresh: true, sign: "=" });
  const sizes = terms.map(({ span }) => sizesOf(span));
  const signs = 34;
  const scale = fitting(sizes, 460 - signs * terms.length, 130);
  const height = Math.max(...sizes.map((s) => side(s.rows, scale)));
  const total = sizes.reduce((sum, s) => sum + side(s.columns, scale), 0) + signs * terms.length;
  const picture = drawing(total + signs, height + 40, { class: "equation", "aria-hidden": "true" });
  let x = 16;
  terms.forEach(({ span, kind, fresh, sign }, i) => {
    const { rows, columns } = sizes[i];
    if (sign) {
      picture.append(label(x + signs / 2, 20 + height / 2 + 5, "sign", sign));
      x += signs;
    }
    const { element, ...size } = matrix(rows, columns, kind, scale, fresh ? "fresh" : "");
    element.setAttribute("transform", `translate(${x} ${20 + (height - size.height) / 2})`);
    const middle = x + size.width / 2;
    picture.append(element);
    picture.append(label(middle, 20 + (height + size.height) / 2 + 14, "name", product(span)));
    picture.append(label(middle, 20 + (height - size.height) / 2 - 5, "size", dimensions(span)));
    x += size.width;
  });
  return html("div", { class: "term" }, picture, html("p", {}, `${costOf(step)} = ${exact(fma)}`));
}

/** How the cost of a step comes about.
 * @param {any[]} step
 */
function costOf([operation, operands, result]) {
  const { rows, columns } = sizesOf(result);
  const edges = ([/** @type {number} */ a, /** @type {number} */ b]) => {
    let sum = 0;
    for (let i = a; i <= b; i += 1) sum += plan.factors[i - 1][2];
    return exact(sum);
  };
  if (operation === "multiply") return `${rows} × ${sizesOf(operands[0]).columns} × ${columns}`;
  if (operation === "accumulate tangents") return `${columns} tangents × ${edges(operands[0])} edges`;
  if (operation === "accumulate adjoints") return `${rows} adjoints × ${edges(operands[0])} edges`;
  if (operation.startsWith("push")) return `${columns} tangents × ${edges(operands[0])} edges`;
  return `${rows} adjoints × ${edges(operands[1])} edges`;
}

/** @param {any[]} step */
function chainWords([operation, operands, result]) {
  const [outer, inner] = operands.map(product);
  const made = `${product(result)} (${dimensions(result)})`;
  if (operation === "multiply") return `${made} = ${outer} times ${inner}`;
  if (operation.startsWith("push")) return `${made}: tangents ${inner} pushed through ${outer}`;
  if (operation.startsWith("pull")) return `${made}: adjoints ${outer} pulled through ${inner}`;
  return `${made}: ${operation.replace("accumulate", "by")}`;
}
