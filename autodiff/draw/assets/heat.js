// Small arrays as pictures: blue below zero, vermilion above, white at zero.

/** Side of the picture on a box. */
const HEAT = 28;

/** @param {Box} box */
const mapOf = (box) =>
  box.values.length === 1 && box.kind !== "output" ? (box.values[0].map ?? null) : null;

/** Draw an array; elements of a level are one path.
 * @param {HeatMap} map
 * @param {number} room  pixels of the longer side
 * @param {string} name  class
 */
function heat([rows, columns, letters], room, name) {
  const cell = Math.min(room / Math.max(rows, columns), 18);
  const width = cell * columns;
  const height = cell * rows;
  const picture = shape("g", { class: `heat ${name}` });
  picture.append(shape("rect", { class: "sheet", width, height }));
  /** @type {Map<string, string>} */
  const paths = new Map();
  [...letters].forEach((letter, i) => {
    if (letter === "i") return;
    const x = (cell * (i % columns)).toFixed(2);
    const y = (cell * Math.floor(i / columns)).toFixed(2);
    const square = `M${x} ${y}h${cell.toFixed(2)}v${cell.toFixed(2)}h-${cell.toFixed(2)}z`;
    paths.set(letter, (paths.get(letter) ?? "") + square);
  });
  for (const [letter, d] of paths) {
    const level = letter.charCodeAt(0) - "i".charCodeAt(0);
    const sign = letter === "x" ? "lost" : level < 0 ? "below" : "above";
    const path = shape("path", { class: sign, d });
    if (letter !== "x") path.setAttribute("fill-opacity", (Math.abs(level) / 8).toFixed(3));
    picture.append(path);
  }
  return { picture, width, height };
}

/** The picture for the panel. @param {HeatMap} map */
function heatImage(map) {
  const { picture, width, height } = heat(map, 140, "");
  const image = shape("svg", {
    class: "heat-image",
    width: Math.ceil(width) + 2,
    height: Math.ceil(height) + 2,
    viewBox: `-1 -1 ${Math.ceil(width) + 2} ${Math.ceil(height) + 2}`,
    role: "img",
    "aria-label": `${map[0]} by ${map[1]} elements as a picture`,
  });
  image.append(picture);
  return image;
}

/** Pictures on a box: its value, and its gradient once the sweep has passed.
 * @param {Box} box
 * @param {SVGElement} element
 */
function drawHeat(box, element) {
  const map = mapOf(box);
  if (!map) return;
  const { width } = boxSize(box);
  const put = (/** @type {HeatMap} */ shown, /** @type {string} */ name) => {
    const { picture, ...size } = heat(shown, HEAT, name);
    const x = width - 7 - HEAT / 2 - size.width / 2;
    picture.setAttribute("transform", `translate(${x} ${(BOX_HEIGHT - size.height) / 2})`);
    element.append(picture);
  };
  const gradient = box.values[0].gradientMap;
  put(map, gradient ? "value" : "value only");
  if (gradient) put(gradient, "gradient");
}
