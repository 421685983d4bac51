// What every page is made of: elements, texts, and what all pages do with keys and colours.

const SVG = "http://www.w3.org/2000/svg";

/** @param {string} tag @param {Record<string, string|number>} [attributes] */
function shape(tag, attributes = {}) {
  const element = /** @type {SVGElement} */ (document.createElementNS(SVG, tag));
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value));
  return element;
}

/**
 * An HTML element. Texts become text nodes: nothing of a tape is ever read as markup.
 * @param {string} tag
 * @param {Record<string, any>} [attributes]
 * @param {...(Node|string|null)} children
 */
function html(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name, value);
    else element.setAttribute(name, String(value));
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}

/** @param {string} id */
const byId = (id) => /** @type {HTMLElement} */ (document.getElementById(id));

const FONT = '600 13px system-ui, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif';
const SMALL_FONT = '11px system-ui, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif';

const measuring = /** @type {CanvasRenderingContext2D} */ (
  document.createElement("canvas").getContext("2d")
);
/** @type {Map<string, number>} */
const measured = new Map();

/** @param {string} text @param {string} font */
function textWidth(text, font) {
  const key = font + text;
  let width = measured.get(key);
  if (width === undefined) {
    measuring.font = font;
    width = measuring.measureText(text).width;
    measured.set(key, width);
  }
  return width;
}

/** A text that fits, without its middle if need be: its ends tell it apart.
 * @param {string} text
 * @param {number} most characters
 */
function shortened(text, most) {
  const line = text.replace(/[\n\r\t]+/g, "⏎");
  if (line.length <= most) return line;
  const half = Math.floor((most - 1) / 2);
  return `${line.slice(0, half)}…${line.slice(line.length - half)}`;
}

/** @param {number} count @param {string} unit */
function plural(count, unit) {
  return `${count.toLocaleString("en")} ${unit}${count === 1 ? "" : "s"}`;
}

/** @param {number} bytes */
function bytesText(bytes) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let i = 0;
  while (bytes >= 1000 && i < units.length - 1) {
    bytes /= 1000;
    i += 1;
  }
  return `${i && bytes < 100 ? bytes.toFixed(1) : Math.round(bytes)} ${units[i]}`;
}

/** A time in nanoseconds, with its unit. @param {number} time */
function timeText(time) {
  const units = ["ns", "µs", "ms", "s"];
  let i = 0;
  while (time >= 1000 && i < units.length - 1) {
    time /= 1000;
    i += 1;
  }
  return `${time < 9.95 ? time.toFixed(1) : Math.round(time)} ${units[i]}`;
}

/** Show the keys. */
const showHelp = () => /** @type {HTMLDialogElement} */ (byId("help")).showModal();

/** @param {Record<string, () => void>} keys */
function listenToKeys(keys) {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    const target = /** @type {HTMLElement} */ (event.target);
    const help = /** @type {HTMLDialogElement} */ (byId("help"));
    if (help.open) {
      if (event.key === "?") help.close();
      return;
    }
    if (target.matches?.("input[type=search], textarea")) return;
    if (target.matches?.("input[type=range]") && /^(Arrow|Home|End|Page)/.test(event.key)) return;
    if (target.matches?.("button, summary, a") && (event.key === " " || event.key === "Enter"))
      return;
    const action = keys[event.key];
    if (!action) return;
    event.preventDefault();
    action();
  });
}

/** Change from what is shown to the other: light or dark. */
function switchTheme() {
  const root = document.documentElement;
  const chosen = root.style.colorScheme;
  const dark = chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.style.colorScheme = dark ? "light" : "dark";
  byId("theme").setAttribute("aria-pressed", String(!dark));
}
