// The picture: SVG elements for the boxes and edges that are visible, made when a group opens.

/**
 * @typedef {{element: SVGGElement, open: boolean, layout: Layout|null,
 *   routes: {route: Route, path: SVGPathElement, base: string, state: string}[],
 *   base: string, state: string, bar: SVGRectElement|null, backBar: SVGRectElement|null,
 *   badge: SVGGElement|null}} View  what was drawn of a box
 */

/** @type {Map<Box, View>} */
const views = new Map();
/** Paths by the uses that they stand for. @type {Map<Use, SVGPathElement[]>} */
const pathsOf = new Map();
/** Boxes in the picture, groups before what they hold. @type {Box[]} */
let visible = [];

/** A smooth path through points from above to below, upright at both ends.
 * @param {Route} route
 */
function pathData({ points, sideways }) {
  const round = (/** @type {number} */ n) => Math.round(n * 10) / 10;
  let data = `M${round(points[0].x)} ${round(points[0].y)}`;
  for (let i = 1; i < points.length; i += 1) {
    const a = points[i - 1];
    const b = points[i];
    if (sideways) {
      const reach = Math.max(24, Math.abs(b.x - a.x) / 2) * (b.x >= a.x ? 1 : -1);
      data += `C${round(a.x + reach)} ${round(a.y)} ${round(b.x - reach)} ${round(b.y)}`;
    } else {
      const middle = round((a.y + b.y) / 2);
      data += `C${round(a.x)} ${middle} ${round(b.x)} ${middle}`;
    }
    data += ` ${round(b.x)} ${round(b.y)}`;
  }
  return data;
}

/** @param {Box} box */
function baseClass(box) {
  const kind = isGroup(box) ? `group ${box.kind} ${box.open ? "open" : "closed"}` : box.kind;
  return `box ${kind} phase-${Math.min(box.phase, 2)}`;
}

/** @param {Box} box */
function spoken(box) {
  if (isGroup(box)) {
    const what = /** @type {Record<string, string>} */ (GROUP_NAMES)[box.kind] ?? "group";
    return `${box.title}, ${what}, ${box.subtitle}`;
  }
  return `${box.title}, ${box.kind}, ${box.subtitle}`;
}

/** Draw a box that is not open.
 * @param {Box} box
 * @returns {View}
 */
function drawClosed(box) {
  const { width, height } = boxSize(box);
  const group = isGroup(box);
  const element = /** @type {SVGGElement} */ (
    shape("g", { role: "treeitem", tabindex: -1, "aria-label": spoken(box), "data-id": box.id })
  );
  if (group) {
    element.setAttribute("aria-expanded", "false");
    for (const offset of box.repeats ? [6, 3] : [3])
      element.append(
        shape("rect", { class: "behind", x: offset, y: offset, width, height, rx: 6 }),
      );
  }
  const round = box.kind === "input" || box.kind === "parameter" ? 19 : group ? 6 : 8;
  element.append(shape("rect", { class: "frame", width, height, rx: round }));
  if (box.kind === "output")
    element.append(
      shape("rect", { class: "inner", x: 3, y: 3, width: width - 6, height: height - 6, rx: 6 }),
    );
  if (box.kind === "operation")
    element.append(shape("rect", { class: "stripe", x: 0.5, y: 7, width: 4, height: 24, rx: 2 }));
  const [title, subtitle] = linesOf(box);
  const aside = mapOf(box) ? (HEAT + 4) / 2 : 0;
  const middle = width / 2 + (group ? 9 : box.kind === "operation" ? 2 : 0) - aside;
  if (group) element.append(chevron(14, 19, false));
  const head = shape("text", { class: "title", x: middle, y: 16 });
  const op = box.op;
  if (op && op.params) {
    head.append(shortened(box.title, 32));
    const params = shape("tspan", { class: "params" });
    params.append(`  ${shortened(op.params, 20)}`);
    head.append(params);
  } else head.append(title);
  const line = shape("text", { class: "subtitle", x: middle, y: 30 });
  line.append(subtitle);
  element.append(head, line);
  drawHeat(box, element);
  /** @type {SVGRectElement|null} */
  let bar = null;
  let backBar = null;
  if (group) {
    bar = /** @type {SVGRectElement} */ (shape("rect", { class: "bar", x: 5, y: 33, height: 2 }));
    backBar = /** @type {SVGRectElement} */ (
      shape("rect", { class: "bar back", x: 5, y: 35.5, height: 2 })
    );
    element.append(bar, backBar);
  }
  const base = baseClass(box);
  element.setAttribute("class", base);
  return {
    element,
    open: false,
    layout: null,
    routes: [],
    base,
    state: "",
    bar,
    backBar,
    badge: null,
  };
}

/** @param {number} x @param {number} y @param {boolean} open */
function chevron(x, y, open) {
  const d = open ? `M${x - 4} ${y - 2}l4 4l4 -4` : `M${x - 2} ${y - 4}l4 4l-4 4`;
  return shape("path", { class: "chevron", d });
}

/** Draw an open group, and what is in it.
 * @param {Box} group
 * @returns {View}
 */
function drawOpen(group) {
  const layout = /** @type {Layout} */ (group.layout);
  const element = /** @type {SVGGElement} */ (shape("g"));
  const routes = layout.routes.map((route) => {
    const base = routeClass(route);
    const path = /** @type {SVGPathElement} */ (shape("path", { class: base, d: pathData(route) }));
    return { route, path, base, state: "" };
  });
  const base = baseClass(group);
  element.setAttribute("class", base);
  if (group.parent) {
    element.setAttribute("role", "treeitem");
    element.setAttribute("tabindex", "-1");
    element.setAttribute("aria-expanded", "true");
    element.setAttribute("aria-label", spoken(group));
    element.setAttribute("data-id", String(group.id));
    const { width, height } = layout;
    element.append(shape("rect", { class: "frame", width, height, rx: 8 }));
  }
  const edges = shape("g", { class: "edges", "aria-hidden": "true" });
  edges.append(...routes.map(({ path }) => path));
  element.append(edges);
  if (group.parent) {
    const head = shape("g", { class: "head" });
    const title = shape("text", { class: "title", x: 26, y: 17 });
    title.append(linesOf(group)[0]);
    head.append(
      shape("rect", { class: "head-bar", x: 0, y: 0, width: layout.width, height: HEADER, rx: 8 }),
      chevron(14, 13, true),
      title,
    );
    if (group.phase > 0) {
      const note = shape("text", { class: "note", x: layout.width - 10, y: 17 });
      note.append("backward");
      head.append(note);
    }
    element.append(head);
  }
  const inside = shape("g", { role: "group" });
  inside.append(...group.members.map((member) => render(member)));
  element.append(inside);
  return {
    element,
    open: true,
    layout,
    routes,
    base,
    state: "",
    bar: null,
    backBar: null,
    badge: null,
  };
}

/** @param {Route} route */
function routeClass({ uses, sideways, through }) {
  const names = ["edge"];
  if (sideways) names.push("saved");
  else if (upwards(uses[0])) names.push("back");
  if (!uses.some((use) => use.differentiable)) names.push("fixed");
  if (uses.length > 1) names.push("many");
  if (through) names.push("through");
  return names.join(" ");
}

/** The element of a box, drawn anew only if the box changed.
 * @param {Box} box
 * @returns {SVGGElement}
 */
function render(box) {
  let view = views.get(box);
  if (!view || view.open !== box.open || (box.open && view.layout !== box.layout)) {
    view = box.open ? drawOpen(box) : drawClosed(box);
    views.set(box, view);
  }
  view.element.setAttribute("transform", `translate(${box.x.toFixed(1)} ${box.y.toFixed(1)})`);
  return view.element;
}

/** Bring the picture up to date with which groups are open, and where things are. */
function redraw() {
  const world = byId("world");
  const element = render(model.root);
  if (element.parentNode !== world) world.replaceChildren(element, byId("overlay"));
  visible = [];
  const waiting = [...model.root.members].reverse();
  while (waiting.length) {
    const box = /** @type {Box} */ (waiting.pop());
    visible.push(box);
    if (box.open) waiting.push(...[...box.members].reverse());
  }
  pathsOf.clear();
  for (const box of [model.root, ...visible]) {
    if (!box.open) continue;
    for (const { route, path } of /** @type {View} */ (views.get(box)).routes)
      for (const use of route.uses) {
        const found = pathsOf.get(use);
        if (found) found.push(path);
        else pathsOf.set(use, [path]);
      }
  }
}

/** Open or close groups, and lay out and draw what that changes.
 * @param {Box[]} groups
 * @param {boolean} open
 */
function setOpen(groups, open) {
  for (const group of groups) {
    if (group.open === open || !group.parent) continue;
    group.open = open;
    forget(group.parent);
  }
  if (!model.root.layout) for (const group of pending(model.root)) layOut(group);
  redraw();
}

/** Position of a box in the picture.
 * @param {Box} box
 */
function placeOf(box) {
  let { x, y } = box;
  for (let group = box.parent; group; group = group.parent) {
    x += group.x;
    y += group.y;
  }
  const size = box.open && box.layout ? box.layout : boxSize(box);
  return { x, y, width: size.width, height: size.height };
}

/** Set the state classes of a box.
 * @param {Box} box
 * @param {string} state
 */
function setState(box, state) {
  const view = views.get(box);
  if (!view || view.state === state) return;
  view.state = state;
  view.element.setAttribute("class", `${view.base} ${state}`);
}

/** Put a badge at the corner of a box, or take it away.
 * @param {Box} box
 * @param {string} text
 */
function setBadge(box, text) {
  const view = views.get(box);
  if (!view) return;
  view.badge?.remove();
  view.badge = null;
  if (!text) return;
  const width = textWidth(text, SMALL_FONT) + 14;
  const x = (box.open && box.layout ? box.layout.width : boxSize(box).width) - width + 10;
  const badge = /** @type {SVGGElement} */ (shape("g", { class: "badge" }));
  const label = shape("text", { x: x + width / 2, y: -2 });
  label.append(text);
  badge.append(shape("rect", { x, y: -14, width, height: 16, rx: 8 }), label);
  view.element.append(badge);
  view.badge = badge;
}

/** Draw connections of a box that have no path of their own: saved values, and whole cotangents.
 * @param {Box|null} box
 */
function drawOverlay(box) {
  const overlay = byId("overlay");
  overlay.replaceChildren();
  if (!box) return;
  const connect = (/** @type {Box} */ from, /** @type {Box} */ to, /** @type {string} */ kind) => {
    const a = placeOf(visibleOf(from));
    const b = placeOf(visibleOf(to));
    const rightward = b.x + b.width / 2 >= a.x + a.width / 2;
    const y = (/** @type {Size & Point} */ place) =>
      place.y + Math.min(BOX_HEIGHT, place.height) / 2;
    const points = rightward
      ? [
          { x: a.x + a.width, y: y(a) },
          { x: b.x, y: y(b) },
        ]
      : [
          { x: a.x, y: y(a) },
          { x: b.x + b.width, y: y(b) },
        ];
    const data = pathData({ points, uses: [], sideways: true, through: false });
    overlay.append(shape("path", { class: `edge ${kind}`, d: data }));
  };
  if (isGroup(box)) return;
  for (const use of box.uses) if (use.saved) connect(use.from, use.to, "overlay-saved");
  for (const value of box.values) {
    for (const use of value.readers) if (use.saved) connect(use.from, use.to, "overlay-saved");
    const cotangent = model.values[value.cotangent]?.producer;
    if (cotangent) connect(box, cotangent, "overlay-cotangent");
  }
}
