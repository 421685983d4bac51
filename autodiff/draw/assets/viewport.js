// Pan and zoom: where the picture stands in the window.

const viewport = { x: 0, y: 0, scale: 1, width: 1, height: 1 };
const CLOSEST = 3;
const FARTHEST = 0.01;
/** Scale below which texts cannot be read and are left out, which makes large pictures quick. */
const LEGIBLE = 0.35;

function applyViewport() {
  const { x, y, scale } = viewport;
  byId("world").setAttribute(
    "transform",
    `translate(${x.toFixed(2)} ${y.toFixed(2)}) scale(${scale})`,
  );
  const canvas = byId("canvas");
  canvas.classList.toggle("far", scale < LEGIBLE);
  canvas.classList.toggle("farther", scale < LEGIBLE / 2.5);
  byId("zoom").textContent = `${Math.round(scale * 100)}%`;
}

function measureViewport() {
  const { width, height } = byId("canvas").getBoundingClientRect();
  viewport.width = width || 1;
  viewport.height = height || 1;
}

/** @param {number} factor @param {Point} [about] in the window */
function zoom(factor, about = { x: viewport.width / 2, y: viewport.height / 2 }) {
  const scale = Math.min(CLOSEST, Math.max(FARTHEST, viewport.scale * factor));
  const ratio = scale / viewport.scale;
  viewport.x = about.x - (about.x - viewport.x) * ratio;
  viewport.y = about.y - (about.y - viewport.y) * ratio;
  viewport.scale = scale;
  applyViewport();
}

/** @param {number} dx @param {number} dy */
function pan(dx, dy) {
  viewport.x += dx;
  viewport.y += dy;
  applyViewport();
}

/**
 * Show all of the picture; where it would be smaller than `least`, its top at the scale `legible`.
 * @param {number} [least]
 * @param {number} [legible]
 */
function fit(least = FARTHEST, legible = least) {
  measureViewport();
  const { width, height } = /** @type {Layout} */ (model.root.layout);
  const margin = 24;
  const whole = Math.min(
    (viewport.width - 2 * margin) / width,
    (viewport.height - 2 * margin) / height,
    1.25,
  );
  viewport.scale = whole < least ? legible : whole;
  viewport.x = Math.max(margin, (viewport.width - width * viewport.scale) / 2);
  const free = viewport.height - height * viewport.scale;
  viewport.y = free > 0 ? free / 2 : margin;
  applyViewport();
}

/** Put a box in the middle, at a scale at which it can be read.
 * @param {Box} box
 */
function center(box) {
  const place = placeOf(box);
  viewport.scale = Math.max(viewport.scale, FIRST_SCALES[1]);
  viewport.x = viewport.width / 2 - (place.x + place.width / 2) * viewport.scale;
  viewport.y = viewport.height / 2 - (place.y + Math.min(place.height, 120) / 2) * viewport.scale;
  applyViewport();
}

/** The box nearest to the middle of the window. @returns {Box|null} */
function middleBox() {
  let best = null;
  let least = Infinity;
  for (const box of visible) {
    if (box.open) continue;
    const place = placeOf(box);
    const dx = viewport.x + (place.x + place.width / 2) * viewport.scale - viewport.width / 2;
    const dy = viewport.y + (place.y + place.height / 2) * viewport.scale - viewport.height / 2;
    const distance = Math.hypot(dx, dy);
    if (distance < least) {
      least = distance;
      best = box;
    }
  }
  return best;
}

/** Bring a box into view, if it is not.
 * @param {Box} box
 */
function bringIntoView(box) {
  const place = placeOf(box);
  const { scale } = viewport;
  const margin = 40;
  const left = viewport.x + place.x * scale;
  const top = viewport.y + place.y * scale;
  const width = Math.min(place.width * scale, viewport.width - 2 * margin);
  const height = Math.min(place.height * scale, viewport.height - 2 * margin);
  let dx = 0;
  let dy = 0;
  if (left < margin || left + width > viewport.width - margin)
    dx = (viewport.width - width) / 2 - left;
  if (top < margin || top + height > viewport.height - margin)
    dy = (viewport.height - height) / 2 - top;
  if (dx || dy) pan(dx, dy);
}

/** Follow the film to a box: a picture that is all in view never moves, a larger one no further than
 * it must, so that what was there stays there.
 * @param {Box} box
 */
function follow(box) {
  const { x, y, scale, width, height } = viewport;
  const all = /** @type {Layout} */ (model.root.layout);
  if (x >= 0 && y >= 0 && x + all.width * scale <= width && y + all.height * scale <= height) return;
  const place = placeOf(box);
  pan(
    leastMove(x + place.x * scale, place.width * scale, width),
    leastMove(y + place.y * scale, (box.open ? HEADER : place.height) * scale, height),
  );
}

/** The least that a stretch must move to be inside, with some room before it.
 * @param {number} start @param {number} length @param {number} room
 */
function leastMove(start, length, room) {
  const margin = Math.min(90, Math.max(0, (room - length) / 3));
  if (start < 4) return margin - start;
  if (start + length > room - 4) return room - margin - start - length;
  return 0;
}

/** Pan with the pointer, zoom with the wheel or two fingers. */
function listenToPointers() {
  const canvas = byId("canvas");
  /** @type {Map<number, Point>} */
  const pointers = new Map();
  const within = (/** @type {MouseEvent} */ event) => {
    const { left, top } = canvas.getBoundingClientRect();
    return { x: event.clientX - left, y: event.clientY - top };
  };
  canvas.addEventListener(
    "wheel",
    (event) => {
      event.preventDefault();
      const lines = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? 16 : 1;
      zoom(Math.exp(-Math.max(-120, Math.min(120, event.deltaY * lines)) * 0.0022), within(event));
    },
    { passive: false },
  );
  canvas.addEventListener("pointerdown", (event) => {
    if (event.button > 1) return;
    pointers.set(event.pointerId, within(event));
    dragged = 0;
  });
  canvas.addEventListener("pointermove", (event) => {
    const before = pointers.get(event.pointerId);
    if (!before) return;
    const now = within(event);
    if (pointers.size === 2) {
      const other = [...pointers].find(([id]) => id !== event.pointerId)?.[1] ?? now;
      const apart = (/** @type {Point} */ p) => Math.hypot(p.x - other.x, p.y - other.y) || 1;
      zoom(apart(now) / apart(before), { x: (now.x + other.x) / 2, y: (now.y + other.y) / 2 });
    } else {
      dragged += Math.abs(now.x - before.x) + Math.abs(now.y - before.y);
      // Captured once it is a drag: a click must still reach the box under it
      if (dragged > 4) canvas.setPointerCapture(event.pointerId);
      pan(now.x - before.x, now.y - before.y);
    }
    pointers.set(event.pointerId, now);
    canvas.classList.add("panning");
  });
  for (const end of ["pointerup", "pointercancel", "lostpointercapture"])
    canvas.addEventListener(end, (event) => {
      pointers.delete(/** @type {PointerEvent} */ (event).pointerId);
      if (!pointers.size) canvas.classList.remove("panning");
    });
  new ResizeObserver(measureViewport).observe(canvas);
}

/** How far the pointer went since it was pressed: a drag is no click. */
let dragged = 0;
