// Matrices as rectangles in proportion to their shapes, drawn as they are structured.

/** Sides are never shorter than this, or thin matrices could not be seen. */
const THINNEST = 4;

/** @param {number} elements @param {number} scale */
const side = (elements, scale) => Math.max(THINNEST, elements * scale);

/**
 * A matrix. Its structure is what `LinearMap.structure` says.
 * @param {number} rows
 * @param {number} columns
 * @param {string} structure
 * @param {number} scale  pixels of an element
 * @param {string} [state]  classes
 */
function matrix(rows, columns, structure, scale, state = "") {
  const width = side(columns, scale);
  const height = side(rows, scale);
  const made = shape("g", { class: `matrix ${kindOf(structure)} ${state}` });
  made.append(shape("rect", { class: "sheet", width, height }));
  const cell = (/** @type {Record<string, number>} */ place) =>
    made.append(shape("rect", { class: "entries", ...place }));
  const blocks = /(?:block-diagonal|kronecker) (\d+)/.exec(structure);
  const kind = kindOf(structure);
  if (kind === "diagonal")
    made.append(shape("path", { class: "entries line", d: `M0 0L${width} ${height}` }));
  else if (kind === "blocks" || kind === "sum") {
    // A sum reads each element once: one stripe a row
    const count = Math.min(8, blocks ? Number(blocks[1]) : rows, Math.floor(height / 2) || 1);
    for (let i = 0; i < count; i += 1)
      cell({
        x: (i * width) / count,
        y: (i * height) / count,
        width: width / count,
        height: height / count,
      });
  } else if (kind === "product") {
    // Kept as its factors
    cell({ x: 0, y: 0, width: Math.min(width, THINNEST), height });
    cell({ x: 0, y: 0, width, height: Math.min(height, THINNEST) });
  } else if (kind === "index")
    made.append(shape("path", { class: "entries line dots", d: `M0 0L${width} ${height}` }));
  else if (kind === "dense") cell({ x: 0, y: 0, width, height });
  return { element: made, width, height };
}

/** @param {string} structure */
function kindOf(structure) {
  if (structure === "tape") return "tape";
  if (structure.includes(" . ")) return "product";
  if (/^(identity|scaled|unit|diagonal)/.test(structure)) return "diagonal";
  if (/^(block-diagonal|kronecker)/.test(structure)) return "blocks";
  if (/^sum/.test(structure)) return "sum";
  if (/^index/.test(structure)) return "index";
  if (/^(zero|opaque)/.test(structure)) return "unknown";
  return "dense";
}

/** Pixels of an element such that matrices side by side fit into a width and a height.
 * @param {{rows: number, columns: number}[]} matrices
 * @param {number} width
 * @param {number} height
 */
function fitting(matrices, width, height) {
  let low = 0;
  let high = 24;
  for (let i = 0; i < 40; i += 1) {
    const scale = (low + high) / 2;
    const across = matrices.reduce((sum, { columns }) => sum + side(columns, scale), 0);
    const tall = matrices.every(({ rows }) => side(rows, scale) <= height);
    if (across <= width && tall) low = scale;
    else high = scale;
  }
  return low;
}

/** A number in few characters: 950, 1.2k, 34M.
 * @param {number} value
 */
function compact(value) {
  const units = ["", "k", "M", "G", "T", "P"];
  let i = 0;
  let rest = value;
  while (rest >= 999.5 && i < units.length - 1) {
    rest /= 1000;
    i += 1;
  }
  return `${i && rest < 9.95 ? rest.toFixed(1) : Math.round(rest)}${units[i]}`;
}

/** @param {number} value */
const exact = (value) => value.toLocaleString("en");

/** An SVG of a size that scales down with its place.
 * @param {number} width
 * @param {number} height
 * @param {Record<string, string>} [attributes]
 */
function drawing(width, height, attributes = {}) {
  return shape("svg", {
    viewBox: `0 0 ${Math.ceil(width)} ${Math.ceil(height)}`,
    width: Math.ceil(width),
    height: Math.ceil(height),
    ...attributes,
  });
}

/** @param {number} x @param {number} y @param {string} kind @param {string} words */
function label(x, y, kind, words) {
  const text = shape("text", { x, y, class: kind });
  text.append(words);
  return text;
}
