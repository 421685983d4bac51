// Start, keys, and what happens to a box that is clicked.

/** Boxes that the picture may start with; a longer tape starts with some of its groups closed. */
const FIRST_BOXES = 90;
/** Scale below which the start shows only the top of the picture, and the scale at which. */
const FIRST_SCALES = /** @type {const} */ ([0.45, 0.7]);
/** Milliseconds of work after which the page answers before it goes on. */
const SLICE = 40;

const model = readModel(JSON.parse(byId("tape").textContent ?? ""));
/** The box that Tab goes to. @type {Box|null} */
let focusable = null;

/** Open groups from the outermost inwards, the smallest first, while there is room. */
function openFirst() {
  let count = model.root.members.length;
  const cost = (/** @type {Box} */ group) => group.members.length;
  const waiting = model.root.members.filter(isGroup);
  while (waiting.length) {
    waiting.sort((a, b) => a.depth - b.depth || cost(a) - cost(b));
    const group = /** @type {Box} */ (waiting.shift());
    if (count + cost(group) > FIRST_BOXES) continue;
    // Runs say nothing by themselves; a long repetition is one box until somebody asks
    if (model.count > FIRST_BOXES && (group.kind === "repeat" || group.kind === "run")) continue;
    group.open = true;
    count += cost(group);
    waiting.push(...group.members.filter(isGroup));
  }
}

/** @param {Box} group */
function toggle(group) {
  const before = placeOf(group);
  setOpen([group], !group.open);
  const after = placeOf(group);
  // What was clicked stays where it was
  viewport.x += (before.x - after.x) * viewport.scale;
  viewport.y += (before.y - after.y) * viewport.scale;
  applyViewport();
  select(group);
  setFocusable(group);
}

/** Open all groups around a box.
 * @param {Box} box
 */
function reveal(box) {
  const closed = [];
  for (let group = box.parent; group; group = group.parent) if (!group.open) closed.push(group);
  if (closed.length) setOpen(closed, true);
}

/** @param {Box} box */
function jumpTo(box) {
  reveal(box);
  select(box);
  bringIntoView(box);
  focusBox(box);
}

/** Open or close all groups. Laying out a large tape takes a while: the page stays alive meanwhile.
 * @param {boolean} open
 */
async function setAllOpen(open) {
  const middle = middleBox();
  for (const group of model.groups.slice(1)) {
    if (group.open !== open) forget(group.parent);
    group.open = open;
  }
  const busy = byId("busy");
  busy.hidden = false;
  let started = performance.now();
  for (const group of pending(model.root)) {
    layOut(group);
    if (performance.now() - started > SLICE) {
      await new Promise((resolve) => setTimeout(resolve, 0));
      started = performance.now();
    }
  }
  busy.hidden = true;
  redraw();
  fit(...FIRST_SCALES);
  // Where there is more than can be read at once, what was in the middle stays there
  if (open && middle && viewport.scale >= FIRST_SCALES[1]) keepMiddle(middle);
  const box = focusable && visibleOf(focusable);
  setFocusable(box ?? visible[0]);
  select(null);
}

/** Bring a box, or the first operation in it, to the middle if not all of the picture is in view.
 * @param {Box} box
 */
function keepMiddle(box) {
  const { width, height } = /** @type {Layout} */ (model.root.layout);
  const { scale } = viewport;
  if (width * scale <= viewport.width && height * scale <= viewport.height) return;
  const index = box.operations[0];
  center(isGroup(box) && index !== undefined ? model.operation(index) : box);
}

/** @param {Box|null} box */
function setFocusable(box) {
  if (focusable) views.get(focusable)?.element.setAttribute("tabindex", "-1");
  focusable = box;
  if (box) views.get(box)?.element.setAttribute("tabindex", "0");
}

/** @param {Box} box */
function focusBox(box) {
  setFocusable(box);
  views.get(box)?.element.focus({ preventScroll: true });
}

/** The nearest visible box in a direction.
 * @param {Box} box
 * @param {number} dx
 * @param {number} dy
 */
function neighbour(box, dx, dy) {
  const center = (/** @type {Box} */ b) => {
    const place = placeOf(b);
    // An open group is where its header is
    const height = b.open ? HEADER : place.height;
    return { x: place.x + place.width / 2, y: place.y + height / 2 };
  };
  const here = center(box);
  let best = null;
  let least = Infinity;
  for (const other of visible) {
    if (other === box) continue;
    const there = center(other);
    const along = (there.x - here.x) * dx + (there.y - here.y) * dy;
    if (along < 4) continue;
    const across = Math.abs((there.x - here.x) * dy) + Math.abs((there.y - here.y) * dx);
    const distance = along + 2.5 * across;
    if (distance < least) {
      least = distance;
      best = other;
    }
  }
  return best;
}

/** @param {Event} event */
function boxAt(event) {
  const target = /** @type {Element} */ (event.target);
  const id = target.closest?.("[data-id]")?.getAttribute("data-id");
  if (id === null || id === undefined) return null;
  const number = Number(id);
  return number < 0 ? model.groups[-1 - number] : model.nodes[number];
}

function listenToBoxes() {
  const canvas = byId("canvas");
  canvas.addEventListener("click", (event) => {
    if (dragged > 4) return;
    const box = boxAt(event);
    if (!box) return select(null);
    const onHead = /** @type {Element} */ (event.target).closest(".head");
    if (isGroup(box) && (!box.open || onHead)) toggle(box);
    else select(box);
    focusBox(box);
    hint(null);
  });
  canvas.addEventListener("pointerover", (event) => {
    if (event.pointerType !== "touch") hint(boxAt(event));
  });
  canvas.addEventListener("pointerleave", () => hint(null));
  canvas.addEventListener("focusin", (event) => {
    const box = boxAt(event);
    if (!box) return;
    setFocusable(box);
    // The details of what was clicked are in the panel
    hint(views.get(box)?.element.matches(":focus-visible") ? box : null);
  });
  canvas.addEventListener("focusout", () => hint(null));
  canvas.addEventListener("keydown", (event) => {
    // Also after a click beside the boxes
    const box = boxAt(event) ?? focusable;
    if (!box) return;
    const step = { ArrowUp: [0, -1], ArrowDown: [0, 1], ArrowLeft: [-1, 0], ArrowRight: [1, 0] }[
      event.key
    ];
    if (event.key === "Enter" || event.key === " ") {
      if (isGroup(box)) toggle(box);
      else select(box);
      focusBox(box);
    } else if (step && !event.altKey && !event.ctrlKey && !event.metaKey) {
      const next = event.shiftKey ? null : neighbour(box, step[0], step[1]);
      if (event.shiftKey) pan(-60 * step[0], -60 * step[1]);
      else if (next) {
        bringIntoView(next);
        focusBox(next);
      }
    } else return;
    event.preventDefault();
    event.stopPropagation();
  });
}

/** Keys of the whole page. @type {Record<string, () => void>} */
const KEYS = {
  ...PLAYER_KEYS,
  "/": () => byId("query").focus(),
  n: () => nextHit(1),
  N: () => nextHit(-1),
  "+": () => zoom(1.25),
  "=": () => zoom(1.25),
  "-": () => zoom(0.8),
  1: () => zoom(1 / viewport.scale),
  f: () => fit(),
  0: () => fit(),
  e: () => void setAllOpen(true),
  c: () => void setAllOpen(false),
  t: () => switchTheme(),
  "?": showHelp,
  Escape: () => {
    select(null);
    hint(null);
  },
};

/** On a telephone the panel is a sheet over the picture, which opens for what is chosen. */
const narrow = matchMedia("(max-width: 760px)");

/** @param {boolean} open */
function showSheet(open) {
  document.body.classList.toggle("no-panel", !open);
  byId("panel-toggle").setAttribute("aria-expanded", String(open));
  measureViewport();
}

function openSheet() {
  if (narrow.matches && document.body.classList.contains("no-panel")) showSheet(true);
}

function listenToButtons() {
  const on = (/** @type {string} */ id, /** @type {() => void} */ action) =>
    byId(id).addEventListener("click", action);
  on("closer", () => zoom(1.25));
  on("farther", () => zoom(0.8));
  on("whole", () => fit());
  on("open-all", () => void setAllOpen(true));
  on("close-all", () => void setAllOpen(false));
  on("theme", switchTheme);
  on("keys", showHelp);
  on("panel-toggle", () => showSheet(document.body.classList.contains("no-panel")));
  on("panel-close", () => showSheet(false));
  // On paper: all of it, in one piece
  const screen = { ...viewport };
  window.addEventListener("beforeprint", () => {
    Object.assign(screen, viewport);
    const { width, height } = /** @type {Layout} */ (model.root.layout);
    byId("canvas").setAttribute("viewBox", `-10 -10 ${width + 20} ${height + 20}`);
    byId("world").removeAttribute("transform");
    byId("canvas").classList.remove("far", "farther");
  });
  window.addEventListener("afterprint", () => {
    byId("canvas").removeAttribute("viewBox");
    Object.assign(viewport, screen);
    applyViewport();
  });
}

/** Leave out what this tape has nothing for. */
function furnish() {
  document.title = model.title;
  byId("title").textContent = model.title;
  byId("size").textContent = plural(model.count, "operation");
  const kinds = new Set(model.nodes.map((node) => node.kind));
  for (const item of document.querySelectorAll("[data-legend]")) {
    const wanted = item.getAttribute("data-legend") ?? "";
    const there = {
      backward: model.twoSided,
      saved: model.twoSided,
      sweep: model.sweep.length > 0,
      fixed: model.uses.some((use) => !use.differentiable),
      group: model.groups.length > 1,
    }[wanted];
    /** @type {HTMLElement} */ (item).hidden = !(there ?? kinds.has(wanted));
  }
  const none = model.groups.length === 1;
  for (const id of ["open-all", "close-all"])
    /** @type {HTMLButtonElement} */ (byId(id)).disabled = none;
}

furnish();
if (narrow.matches) showSheet(false);
openFirst();
setOpen([], true);
fit(...FIRST_SCALES);
listenToPointers();
listenToBoxes();
listenToKeys(KEYS);
listenToButtons();
listenToPlayer(sweptFrom());
listenToSearch();
drawMemory();
setFocusable(visible[0] ?? null);
select(null);
document.documentElement.dataset.ready = String(visible.length);
