// A graph whose vertices, or faces, go one after another. Vertices stay where they are; edges change.

const VERTEX_HEIGHT = 26;
const GLYPH = 30;
/** More rectangles than these on edges hide the graph. */
const MOST_GLYPHS = 90;

/**
 * @typedef {{x: number, y: number, width: number, title: string}} Place
 * @typedef {{x: number, y: number}} Point
 */

/** @type {{places: Place[], bends: Map<string, Point[]>, width: number, height: number}} */
const layout = plan.isChain
  ? { places: [], bends: new Map(), width: 1, height: 1 }
  : layOutGraph();

/** Pixels of an element in the rectangles on edges. */
const glyphScale = GLYPH / Math.max(1, ...plan.vertices.map(([, size]) => size));

function layOutGraph() {
  const graph = new dagre.graphlib.Graph();
  const long = plan.vertices.length > 40;
  graph.setGraph({ rankdir: "TB", nodesep: 18, ranksep: long ? 26 : 38, edgesep: 26, marginx: 14, marginy: 12 });
  graph.setDefaultEdgeLabel(() => ({}));
  plan.vertices.forEach(([name, size], i) => {
    const title = `${shortened(name, 18)}${size > 1 ? ` ${exact(size)}` : ""}`;
    graph.setNode(String(i), { width: textWidth(title, FONT) + 20, height: VERTEX_HEIGHT, title });
  });
  for (const [s, t] of plan.edges) graph.setEdge(String(s), String(t));
  dagre.layout(graph);
  const places = plan.vertices.map((_, i) => graph.node(String(i)));
  const bends = new Map();
  for (const edge of graph.edges()) bends.set(`${edge.v},${edge.w}`, graph.edge(edge).points);
  const { width, height } = graph.graph();
  return { places, bends, width: width ?? 1, height: height ?? 1 };
}

/** @typedef {{source: number, target: number, structure: string, fresh: boolean, used: boolean}} Arc */

/** Edges and their structures after some steps, with what the last step took and made.
 * @param {Order} order
 * @param {number} count
 * @returns {{edges: Arc[], gone: Set<number>, removed: [number, number][]}}
 */
function graphAt(order, count) {
  if (order.faces) return dualAt(order, count);
  /** @type {Map<string, Arc>} */
  const edges = new Map();
  for (const [source, target, word] of plan.edges)
    edges.set(`${source},${target}`, arcOf(source, target, word));
  const gone = new Set();
  /** @type {[number, number][]} */
  let removed = [];
  order.steps.slice(0, count).forEach(([vertex, products], i) => {
    const last = i === count - 1;
    removed = [];
    for (const [key, { source, target }] of edges)
      if (source === vertex || target === vertex) {
        edges.delete(key);
        if (last) removed.push([source, target]);
      }
    for (const [source, target, , word] of products)
      edges.set(`${source},${target}`, arcOf(source, target, word, last));
    gone.add(vertex);
  });
  return { edges: [...edges.values()], gone, removed };
}

/** @param {number} source @param {number} target @param {number} word @returns {Arc} */
const arcOf = (source, target, word, fresh = false, used = false) => ({
  source,
  target,
  structure: plan.structures[word],
  fresh,
  used,
});

/** Edges by their numbers in the dual graph. @param {Order} order @param {number} count */
function numberedAt(order, count) {
  const edges = new Map(plan.edges.map(([s, t, word], number) => [number, arcOf(s, t, word)]));
  /** @type {[number, number][]} */
  let removed = [];
  order.steps.slice(0, count).forEach(([, , , face, changed, ends], i) => {
    const last = i === count - 1;
    removed = [];
    for (const number of ends) {
      const { source, target } = /** @type {Arc} */ (edges.get(number));
      edges.delete(number);
      if (last) removed.push([source, target]);
    }
    for (const [number, source, target, word] of changed)
      edges.set(number, arcOf(source, target, word, last));
    // The edges of the face stay as long as they have others
    if (last)
      for (const number of face) {
        const edge = edges.get(number);
        if (edge) edge.used = true;
      }
  });
  return { edges, removed };
}

/** After some faces: a vertex is gone when nothing begins or ends there.
 * @param {Order} order @param {number} count
 */
function dualAt(order, count) {
  const { edges, removed } = numberedAt(order, count);
  const left = [...edges.values()];
  const ends = new Set(left.flatMap(({ source, target }) => [source, target]));
  const gone = new Set(plan.vertices.keys());
  plan.vertices.forEach(([, , role], v) => {
    if (role || ends.has(v)) gone.delete(v);
  });
  return { edges: left, gone, removed };
}

/** Ways of edges that elimination makes. @type {Map<string, Point[]>} */
const detours = new Map();

/** @param {number} source @param {number} target @param {number} which of several between them */
function edgePoints(source, target, which = 0) {
  const key = which ? `${source},${target},${which}` : `${source},${target}`;
  let points = layout.bends.get(key) ?? detours.get(key);
  if (!points) {
    points = detour(source, target, which);
    detours.set(key, points);
  }
  return points;
}

/** A way for a new edge: past the vertices between its ends, and not where another one is.
 * @param {number} source @param {number} target @param {number} which
 */
function detour(source, target, which) {
  const a = { x: layout.places[source].x, y: layout.places[source].y + VERTEX_HEIGHT / 2 };
  const b = { x: layout.places[target].x, y: layout.places[target].y - VERTEX_HEIGHT / 2 };
  const between = layout.places.filter(({ y }) => y > a.y && y < b.y);
  let best = [a, b];
  let least = Infinity;
  for (const aside of [0, 40, -40, 80, -80, 130, -130, 190, -190, 260, -260].slice(2 * which)) {
    const points = [a, { x: (a.x + b.x) / 2 + aside, y: (a.y + b.y) / 2 }, b];
    let price = Math.abs(aside) / 60;
    for (let i = 1; i < 16; i += 1) {
      const { x, y } = along(points, i / 16);
      for (const place of between)
        if (Math.abs(place.y - y) < VERTEX_HEIGHT && Math.abs(place.x - x) < place.width / 2 + 6)
          price += 1;
      if (x < -10 || x > layout.width + 10) price += 3;
    }
    for (const other of detours.values())
      if (other.length === 3) {
        const here = along(points, 0.5);
        const there = along(other, 0.5);
        if (Math.abs(here.x - there.x) < 30 && Math.abs(here.y - there.y) < 26) price += 5;
      }
    if (price < least) {
      least = price;
      best = points;
    }
  }
  return best;
}

/** A point of a quadratic curve. @param {Point[]} points @param {number} t */
function along([a, via, b], t) {
  const mix = (/** @type {number} */ p, /** @type {number} */ q, /** @type {number} */ r) =>
    (1 - t) * (1 - t) * p + 2 * t * (1 - t) * q + t * t * r;
  return { x: mix(a.x, via.x, b.x), y: mix(a.y, via.y, b.y) };
}

/** A smooth path through points. @param {Point[]} points */
function smooth(points) {
  const r = (/** @type {number} */ n) => n.toFixed(1);
  let data = `M${r(points[0].x)} ${r(points[0].y)}`;
  for (let i = 1; i < points.length - 1; i += 1) {
    const last = i === points.length - 2;
    const end = last
      ? points[i + 1]
      : { x: (points[i].x + points[i + 1].x) / 2, y: (points[i].y + points[i + 1].y) / 2 };
    data += `Q${r(points[i].x)} ${r(points[i].y)} ${r(end.x)} ${r(end.y)}`;
  }
  if (points.length === 2) data += `L${r(points[1].x)} ${r(points[1].y)}`;
  return data;
}

/** Draw what an order has left of the graph.
 * @param {Order} order
 */
function graphPicture(order) {
  const count = taken(order);
  const { edges, gone, removed } = graphAt(order, count);
  const now = count ? order.steps[count - 1][0] : -1;
  const words = count ? graphWords(order, order.steps[count - 1]) : "before the first elimination";
  /** Edges between the same vertices, apart. @type {Map<string, number>} */
  const twins = new Map();
  const ways = edges.map(({ source, target }) => {
    const key = `${source},${target}`;
    const which = twins.get(key) ?? 0;
    twins.set(key, which + 1);
    const bent = !which && layout.bends.has(key);
    return { points: edgePoints(source, target, which), bent };
  });
  const picture = drawing(layout.width + 60, layout.height, {
    class: "graph",
    role: "img",
    "aria-label": `${edges.length} edges left; ${words}`,
  });
  picture.setAttribute("viewBox", `-30 0 ${Math.ceil(layout.width) + 60} ${Math.ceil(layout.height)}`);
  const put = (/** @type {Point[]} */ points, /** @type {string} */ kind) =>
    picture.append(shape("path", { class: `arc ${kind}`, d: smooth(points) }));
  for (const [s, t] of removed) put(edgePoints(s, t), "removed");
  edges.forEach(({ fresh, used }, i) => put(ways[i].points, fresh ? "fresh" : used ? "used" : ""));
  if (edges.length <= MOST_GLYPHS)
    for (const [i, { source, target, structure, fresh }] of edges.entries()) {
      const { points, bent } = ways[i];
      const at = bent ? middleOf(points) : along(points, 0.5);
      const { element, width, height } = matrix(
        plan.vertices[target][1],
        plan.vertices[source][1],
        structure,
        glyphScale,
        fresh ? "fresh" : "",
      );
      element.setAttribute("transform", `translate(${at.x - width / 2} ${at.y - height / 2})`);
      element.append(tooltip(`${nameOfVertex(target)} by ${nameOfVertex(source)}: ${structure}`));
      picture.append(element);
    }
  plan.vertices.forEach(([, , role], i) => {
    const { x, y, width, title } = layout.places[i];
    const state = i !== now ? (gone.has(i) ? "gone" : "") : gone.has(i) ? "goes" : "at";
    const box = shape("g", { class: `vertex ${role} ${state}` });
    const half = VERTEX_HEIGHT / 2;
    box.append(
      shape("rect", { x: x - width / 2, y: y - half, width, height: VERTEX_HEIGHT, rx: role ? 13 : 6 }),
      label(x, y + 4.5, "name", title),
      tooltip(`${plan.vertices[i][0]}, ${plural(plan.vertices[i][1], "element")}`),
    );
    picture.append(box);
  });
  return picture;
}

/** @param {string} words */
function tooltip(words) {
  const title = shape("title");
  title.append(words);
  return title;
}

/** @param {Point[]} points */
function middleOf(points) {
  if (points.length % 2) return points[(points.length - 1) / 2];
  const a = points[points.length / 2 - 1];
  const b = points[points.length / 2];
  return { x: (a.x + b.x) / 2, y: (a.y + b.y) / 2 };
}

/** @param {number} vertex */
const nameOfVertex = (vertex) => plan.vertices[vertex][0];

/** The products of an elimination as equations of rectangles.
 * @param {Order} order
 * @param {any[]} step
 */
function graphEquations(order, [vertex, products, , face]) {
  const MOST = 12;
  const size = (/** @type {number} */ v) => plan.vertices[v][1];
  const ends = [vertex, ...products.flatMap((/** @type {number[]} */ p) => [p[0], p[1]])];
  const scale = 64 / Math.max(1, ...ends.map(size));
  const row = html("div", { class: "terms" });
  for (const [source, target, fma, word, added] of products.slice(0, MOST)) {
    /** @type {[number, number, string, string, string][]} */
    const terms = [
      [target, vertex, structureBefore(order, vertex, target, face?.[1]), "", ""],
      [vertex, source, structureBefore(order, source, vertex, face?.[0]), "·", ""],
      [target, source, plan.structures[word], added ? "⊕" : "=", "fresh"],
    ];
    const tall = Math.max(...terms.map(([rows]) => side(size(rows), scale)));
    const wide = terms.reduce((sum, [, columns]) => sum + side(size(columns), scale), 0);
    const picture = drawing(wide + 96, tall + 22, { class: "equation", "aria-hidden": "true" });
    let x = 10;
    for (const [rows, columns, structure, sign, state] of terms) {
      if (sign) {
        picture.append(label(x + 15, 10 + tall / 2 + 5, "sign", sign));
        x += 30;
      }
      const drawn = matrix(size(rows), size(columns), structure, scale, state);
      const top = 8 + (tall - drawn.height) / 2;
      drawn.element.setAttribute("transform", `translate(${x} ${top})`);
      drawn.element.append(tooltip(`${exact(size(rows))}×${exact(size(columns))}, ${structure}`));
      picture.append(drawn.element);
      x += drawn.width;
    }
    const names = `${nameOfVertex(target)} by ${nameOfVertex(source)}`;
    row.append(
      html(
        "div",
        { class: "term" },
        picture,
        html("p", {}, `${exact(size(target))}×${exact(size(source))}, ${plan.structures[word]}`),
        html("p", {}, `${names}: `, html("strong", {}, exact(fma)), added ? ", added" : ""),
      ),
    );
  }
  if (products.length > MOST)
    row.append(html("p", { class: "hint" }, `and ${exact(products.length - MOST)} more`));
  return row;
}

/** Structure of an edge as it was before the step that is shown.
 * @param {Order} order
 * @param {number} source @param {number} target
 * @param {number} [number] of the edge of a face
 */
function structureBefore(order, source, target, number) {
  const count = taken(order) - 1;
  if (number !== undefined) return numberedAt(order, count).edges.get(number)?.structure ?? "dense";
  const { edges } = graphAt(order, count);
  return edges.find((e) => e.source === source && e.target === target)?.structure ?? "dense";
}

/** @param {Order} order @param {any[]} step */
function graphWords(order, [vertex, products, , , , ends]) {
  if (order.faces) {
    const [[source, target, , , added]] = products;
    const made = added ? "added to the edge that is there" : "a new edge";
    const done = ends.length ? `; ${plural(ends.length, "edge")} done with` : "";
    const [first, middle, last] = [source, vertex, target].map(nameOfVertex);
    return `the face ${first} → ${middle} → ${last} goes: one product, ${made}${done}`;
  }
  const added = products.filter((/** @type {number[]} */ p) => p[4]).length;
  const fresh = products.length - added;
  const parts = [];
  if (fresh) parts.push(`${plural(fresh, "edge")} made`);
  if (added) parts.push(`${plural(added, "product")} added to edges that are there`);
  return `${nameOfVertex(vertex)} goes: ${plural(products.length, "product")}, ${parts.join(", ")}`;
}

/** Scroll to the vertex that goes, where it is out of sight. */
function followVertex() {
  for (const goes of document.querySelectorAll(".vertex.goes, .vertex.at")) {
    const lane = /** @type {HTMLElement} */ (goes.closest(".stage"));
    const box = goes.getBoundingClientRect();
    const window_ = lane.getBoundingClientRect();
    const margin = 24;
    if (box.top < window_.top + margin || box.bottom > window_.bottom - margin)
      lane.scrollTop += (box.top + box.bottom - window_.top - window_.bottom) / 2;
    if (box.left < window_.left || box.right > window_.right)
      lane.scrollLeft += (box.left + box.right - window_.left - window_.right) / 2;
  }
}
