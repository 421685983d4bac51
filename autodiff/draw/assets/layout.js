// Where things stand: every open group is laid out by itself, the innermost first, and is then one
// box of the group around it. Opening a group lays out that group and those around it.

/**
 * @typedef {{x: number, y: number}} Point
 * @typedef {{points: Point[], uses: Use[], sideways: boolean, through: boolean}} Route
 * @typedef {{width: number, height: number, routes: Route[],
 *   ports: Map<string, number>}} Layout  ports: where values cross the border, by side and value
 */

const HEADER = 24;
const BOX_HEIGHT = 38;
const PADDING = 12;
const MOST_PORTS = 10;
// Layout by layers makes a point for every layer that an edge passes; beyond this many the longest
// edges go straight.
const MOST_BENDS = 260;


/** Lines of a box that is not open.
 * @param {Box} box
 */
function linesOf(box) {
  if (isGroup(box)) {
    const times = box.repeats ? `  ×${box.repeats}` : "";
    return [shortened(box.title, 40) + times, shortened(box.subtitle, 34)];
  }
  const params = box.op && box.op.params ? `  ${shortened(box.op.params, 20)}` : "";
  return [shortened(box.title, 32) + params, shortened(box.subtitle, 34)];
}

/** @param {Box} box @returns {Size} */
function boxSize(box) {
  if (!box.size) {
    const [title, subtitle] = linesOf(box);
    const inner = Math.max(textWidth(title, FONT), textWidth(subtitle, SMALL_FONT));
    const spare = isGroup(box) ? 46 : box.kind === "operation" ? 24 : 34;
    const picture = mapOf(box) ? HEAT + 6 : 0;
    box.size = { width: Math.max(56, Math.ceil(inner) + spare) + picture, height: BOX_HEIGHT };
  }
  return box.size;
}

/**
 * In the picture the backward sweep runs upwards, beside the forward computation.
 * @param {Use} use
 */
const upwards = (use) => use.from.phase === 1 && use.to.phase === 1;

/** @param {"top"|"bottom"} side @param {number} value */
const portKey = (side, value) => `${side}:${value}`;

/**
 * What a group asks of the layout library, and its answer. Equal questions, as of the equal blocks of
 * a loop, are asked once.
 */
class Plan {
  /** @type {Map<string, {points: Point[], edges: Map<string, Point[]>}>} */
  static answers = new Map();

  /** @param {number} ranksep */
  constructor(ranksep) {
    this.ranksep = ranksep;
    /** @type {Map<string, number>} */
    this.numbers = new Map();
    /** @type {Size[]} */
    this.sizes = [];
    /** @type {Map<string, number>} */
    this.weights = new Map();
    /** @type {string[]} */
    this.order = [];
    /** @type {{points: Point[], edges: Map<string, Point[]>}} */
    this.answer = { points: [], edges: new Map() };
  }

  /** @param {string} key @param {Size} size */
  addNode(key, { width, height }) {
    this.numbers.set(key, this.sizes.length);
    this.sizes.push({ width, height });
  }

  /** @param {string} above @param {string} below */
  ends(above, below) {
    return `${this.numbers.get(above)} ${this.numbers.get(below)}`;
  }

  /** @param {string} above @param {string} below @param {number} weight */
  addEdge(above, below, weight) {
    this.weights.set(this.ends(above, below), weight);
  }

  /** @param {string} above @param {string} below */
  hasEdge(above, below) {
    return this.weights.has(this.ends(above, below));
  }

  /** Keep one node to the left of another, where both are in a layer.
   * @param {string} left
   * @param {string} right
   */
  keepLeft(left, right) {
    this.order.push(this.ends(left, right));
  }

  solve() {
    const question = JSON.stringify([this.ranksep, this.sizes, [...this.weights], this.order]);
    let answer = Plan.answers.get(question);
    if (!answer) Plan.answers.set(question, (answer = this.ask()));
    this.answer = answer;
  }

  ask() {
    const graph = new dagre.graphlib.Graph();
    graph.setGraph({ rankdir: "TB", nodesep: 22, edgesep: 12, ranksep: this.ranksep });
    this.sizes.forEach((size, i) => graph.setNode(String(i), { ...size }));
    for (const [ends, weight] of this.weights) {
      const [above, below] = ends.split(" ");
      graph.setEdge(above, below, { weight });
    }
    const constraints = this.order.map((ends) => {
      const [left, right] = ends.split(" ");
      return { left, right };
    });
    dagre.layout(graph, constraints.length ? { constraints } : {});
    /** @type {Map<string, Point[]>} */
    const edges = new Map();
    for (const ends of this.weights.keys()) {
      const [above, below] = ends.split(" ");
      edges.set(ends, graph.edge(above, below).points);
    }
    return {
      points: this.sizes.map((_, i) => /** @type {Point} */ (graph.node(String(i)))),
      edges,
    };
  }

  /** @param {string} key */
  node(key) {
    return this.answer.points[/** @type {number} */ (this.numbers.get(key))];
  }

  /** Points of an edge, none if it was not asked for.
   * @param {string} above
   * @param {string} below
   */
  edge(above, below) {
    return this.answer.edges.get(this.ends(above, below)) ?? [];
  }
}

/**
 * Lay out an open group, whose open members are laid out already.
 * @param {Box} group
 */
function layOut(group) {
  const links = linksInside(group);
  const ports = group.parent ? portsOf(group) : [];
  // Many edges need room to go sideways
  const graph = new Plan(24 + Math.min(20, Math.round(links.length / 2)));
  for (const member of group.members) {
    const size = member.open && member.layout ? member.layout : boxSize(member);
    member.width = size.width;
    member.height = size.height;
    graph.addNode(String(member.id), size);
  }

  for (const port of ports) {
    graph.addNode(port.key, { width: 6, height: 1 });
    for (const member of port.members) {
      const id = String(member.id);
      if (port.side === "top") graph.addEdge(port.key, id, 1);
      else graph.addEdge(id, port.key, 1);
    }
  }
  // Heavy edges to a node above all and one below all keep the ports at the border.
  for (const side of ["top", "bottom"]) {
    const here = ports.filter((port) => port.side === side);
    if (!here.length) continue;
    graph.addNode(side, { width: 1, height: 1 });
    for (const port of here) {
      if (side === "top") graph.addEdge(side, port.key, 10);
      else graph.addEdge(port.key, side, 10);
    }
  }
  const routed = affordable(links);
  for (const link of routed)
    graph.addEdge(String(link.above.id), String(link.below.id), Math.min(8, 1 + link.uses.length));
  align(group, graph);
  graph.solve();
  group.layout = readLayout(group, graph, links, ports);
}

/**
 * Uses between members of a group, by pair of members; saved values apart.
 * @param {Box} group
 */
function linksInside(group) {
  /** @type {Map<string, {above: Box, below: Box, uses: Use[], sideways: boolean}>} */
  const links = new Map();
  for (const use of group.inner) {
    const from = memberOf(group, use.from);
    const to = memberOf(group, use.to);
    const [above, below] = upwards(use) ? [to, from] : [from, to];
    const key = `${above.id} ${below.id} ${use.saved}`;
    let link = links.get(key);
    if (!link) links.set(key, (link = { above, below, uses: [], sideways: use.saved }));
    link.uses.push(use);
  }
  return [...links.values()];
}

/**
 * Where values cross the border of a group: one port for each value and side, or one for all where
 * there would be many.
 * @param {Box} group
 */
function portsOf(group) {
  /** @type {Map<string, {key: string, side: "top"|"bottom", members: Set<Box>, uses: Use[]}>} */
  const ports = new Map();
  const crossing = [
    ...group.incoming.map((use) => ({ use, end: use.to, incoming: true })),
    ...group.outgoing.map((use) => ({ use, end: use.from, incoming: false })),
  ].filter(({ use }) => !use.saved);
  for (const bundled of [false, true]) {
    ports.clear();
    for (const { use, end, incoming } of crossing) {
      /** @type {"top"|"bottom"} */
      const side = incoming !== upwards(use) ? "top" : "bottom";
      const key = portKey(side, bundled ? -1 : use.value.id);
      let port = ports.get(key);
      if (!port) ports.set(key, (port = { key, side, members: new Set(), uses: [] }));
      port.members.add(memberOf(group, end));
      port.uses.push(use);
    }
    if (ports.size <= MOST_PORTS) break;
  }
  return [...ports.values()];
}

/**
 * The links whose routing is affordable: the shortest ones, by a guess at the layers they pass.
 * @param {ReturnType<typeof linksInside>} links
 */
function affordable(links) {
  const between = links.filter((link) => !link.sideways);
  /** @type {Map<Box, number>} */
  const rank = new Map();
  // Links stand in the order of the tape, so forward ones come after those into their source
  for (const link of between)
    rank.set(link.below, Math.max(rank.get(link.below) ?? 0, (rank.get(link.above) ?? 0) + 1));
  const span = (/** @type {(typeof between)[0]} */ link) =>
    Math.abs((rank.get(link.below) ?? 0) - (rank.get(link.above) ?? 0));
  let total = between.reduce((sum, link) => sum + span(link), 0);
  if (total <= MOST_BENDS) return between;
  const sorted = [...between].sort((a, b) => span(a) - span(b));
  while (total > MOST_BENDS && sorted.length) {
    const longest = span(/** @type {any} */ (sorted[sorted.length - 1]));
    if (longest <= 1) break;
    sorted.pop();
    total -= longest;
  }
  return sorted;
}

/**
 * Keep backward operations beside the forward operation whose rule they are of: invisible edges from
 * what comes before it and to what comes after it, and order within a layer.
 * @param {Box} group
 * @param {Plan} graph
 */
function align(group, graph) {
  if (!model.twoSided || !group.members.some((member) => member.phase > 0)) return;
  /** @type {Map<number, Box>} */
  const owner = new Map();
  for (const member of group.members)
    if (member.phase === 0) for (const index of member.operations) owner.set(index, member);
  /** @type {Map<Box, {above: Set<Box>, below: Set<Box>}>} */
  const around = new Map();
  for (const use of group.inner) {
    if (use.from.phase || use.to.phase) continue;
    const from = memberOf(group, use.from);
    const to = memberOf(group, use.to);
    for (const box of [from, to])
      if (!around.has(box)) around.set(box, { above: new Set(), below: new Set() });
    around.get(to)?.above.add(from);
    around.get(from)?.below.add(to);
  }
  for (const member of group.members) {
    if (member.phase !== 1) continue;
    /** @type {Set<Box>} */
    const partners = new Set();
    for (const index of member.operations) {
      const pulls = /** @type {Operation} */ (model.operation(index).op).pulls;
      const partner = owner.get(pulls);
      if (partner) partners.add(partner);
    }
    for (const partner of partners) {
      graph.keepLeft(String(partner.id), String(member.id));
      if (partners.size > 1) continue;
      const { above, below } = around.get(partner) ?? { above: [], below: [] };
      for (const box of above) invisible(graph, box, member);
      for (const box of below) if (box.kind !== "output") invisible(graph, member, box);
    }
  }
}

/** @param {Plan} graph @param {Box} above @param {Box} below */
function invisible(graph, above, below) {
  const ends = [String(above.id), String(below.id)];
  if (!graph.hasEdge(ends[0], ends[1]) && !graph.hasEdge(ends[1], ends[0]))
    graph.addEdge(ends[0], ends[1], 0.5);
}

/**
 * Read positions off the graph, in coordinates of the group.
 * @param {Box} group
 * @param {Plan} graph
 * @param {ReturnType<typeof linksInside>} links
 * @param {ReturnType<typeof portsOf>} ports
 * @returns {Layout}
 */
function readLayout(group, graph, links, ports) {
  let left = Infinity;
  let right = -Infinity;
  let top = Infinity;
  let bottom = -Infinity;
  const reach = (/** @type {Point} */ p, w = 0, h = 0) => {
    left = Math.min(left, p.x - w / 2);
    right = Math.max(right, p.x + w / 2);
    top = Math.min(top, p.y - h / 2);
    bottom = Math.max(bottom, p.y + h / 2);
  };
  for (const member of group.members) {
    const at = graph.node(String(member.id));
    reach(at, member.width, member.height);
  }
  for (const link of links) {
    const edge = link.sideways ? null : graph.edge(String(link.above.id), String(link.below.id));
    for (const point of edge ?? []) reach(point);
  }
  for (const port of ports) {
    const at = graph.node(port.key);
    left = Math.min(left, at.x);
    right = Math.max(right, at.x);
    for (const member of port.members) {
      const id = String(member.id);
      const edge = port.side === "top" ? graph.edge(port.key, id) : graph.edge(id, port.key);
      for (const point of edge.slice(1, -1)) {
        left = Math.min(left, point.x);
        right = Math.max(right, point.x);
      }
    }
  }
  const dx = PADDING - left;
  const head = group.parent ? HEADER : 0;
  // Room for the edges between the border and the first and last layer
  const above = ports.some((port) => port.side === "top") ? 16 : 8;
  const below = ports.some((port) => port.side === "bottom") ? 18 : PADDING;
  const dy = head + above - top;
  const title = group.parent ? textWidth(linesOf(group)[0], FONT) + 2 * PADDING + 74 : 0;
  const width = Math.max(right - left + 2 * PADDING, title);
  const shift = dx + (width - (right - left + 2 * PADDING)) / 2;
  const height = bottom + dy + below;
  for (const member of group.members) {
    const at = graph.node(String(member.id));
    member.x = at.x + shift - member.width / 2;
    member.y = at.y + dy - member.height / 2;
  }
  const move = (/** @type {Point} */ p) => ({ x: p.x + shift, y: p.y + dy });

  /** @type {Map<string, number>} */
  const portX = new Map();
  for (const port of ports) {
    const x = Math.min(width - 10, Math.max(10, graph.node(port.key).x + shift));
    portX.set(port.key, x);
  }
  /** @type {Layout} */
  const layout = { width, height, routes: [], ports: portX };
  /** @type {Draft[]} */
  const drafts = [];
  const half = graph.ranksep / 2;
  for (const link of links) {
    if (link.sideways) {
      layout.routes.push(sideRoute(link));
      continue;
    }
    const { above, below } = link;
    const bends = bendsOf(graph.edge(String(above.id), String(below.id)), move, half);
    for (const uses of byPorts(link)) drafts.push({ above, below, bends, uses, ends: [NaN, NaN] });
  }
  for (const port of ports) {
    const x = /** @type {number} */ (portX.get(port.key));
    const at = { x, y: port.side === "top" ? HEADER : height };
    for (const member of port.members) {
      const id = String(member.id);
      const edge = port.side === "top" ? graph.edge(port.key, id) : graph.edge(id, port.key);
      const [above, below] = port.side === "top" ? [at, member] : [member, at];
      const uses = port.uses.filter((use) => memberOf(group, insideEnd(use, group)) === member);
      drafts.push({ above, below, bends: bendsOf(edge, move, half), uses, ends: [NaN, NaN] });
    }
  }
  spread(drafts);
  for (const draft of drafts) layout.routes.push(route(draft));
  return layout;
}

/** The end of a use that is inside a group whose border it crosses.
 * @param {Use} use
 * @param {Box} group
 */
function insideEnd(use, group) {
  for (let box = /** @type {Box|null} */ (use.to); box; box = box.parent)
    if (box === group) return use.to;
  return use.from;
}

/**
 * Uses of a link, apart where they meet an open group at ports of their own.
 * @param {ReturnType<typeof linksInside>[0]} link
 */
function byPorts(link) {
  /** @type {Map<string, Use[]>} */
  const found = new Map();
  for (const use of link.uses) {
    const key = `${portAt(link.above, "bottom", use)} ${portAt(link.below, "top", use)}`;
    found.set(key, [...(found.get(key) ?? []), use]);
  }
  return found.values();
}

/** @param {Box} box @param {"top"|"bottom"} side @param {Use} use */
function portAt(box, side, use) {
  if (!box.open || !box.layout) return null;
  const ports = box.layout.ports;
  return ports.get(portKey(side, use.value.id)) ?? ports.get(portKey(side, -1)) ?? null;
}

/** @param {Box|Point} at @returns {at is Box} */
const isBox = (at) => "id" in at;

/** @param {Box|Point} at */
const middleOf = (at) => (isBox(at) ? at.x + at.width / 2 : at.x);

/**
 * @typedef {{above: Box|Point, below: Box|Point, bends: Bends, uses: Use[],
 *   ends: [number, number]}} Draft  a route before it is known where it meets its boxes
 * @typedef {{inner: Point[], first: number, last: number, half: number}} Bends  the points between the layers that
 *   an edge passes, and how high the gaps after the first and before the last layer are
 */

/**
 * Bends of an edge. dagre gives a point in each gap between layers and one in each layer that is
 * passed. Those in the first and last gap are moved to where the edge enters and leaves the layers
 * it passes, so that it has the whole gap to go sideways.
 * @param {Point[]} edge
 * @param {(p: Point) => Point} move
 * @param {number} half of the gap between layers
 * @returns {Bends}
 */
function bendsOf(edge, move, half) {
  /** @type {Point[]} */
  const points = edge.slice(1, -1).map(move);
  const count = points.length;
  if (!count) return { inner: [], first: NaN, last: NaN, half };
  const [first, last] = [points[0].y, points[count - 1].y];
  if (count < 3) return { inner: [], first, last, half };
  const inner = [
    { x: points[1].x, y: first + half - 2 },
    ...points.slice(1, -1),
    { x: points[count - 2].x, y: last - half + 2 },
  ];
  return { inner, first, last, half };
}

/**
 * Decide where routes meet their boxes: at ports, or else beside one another in the order in which
 * they leave, so that they do not cross there.
 * @param {Draft[]} drafts
 */
function spread(drafts) {
  /** @type {Map<string, {draft: Draft, end: 0|1, box: Box, toward: number}[]>} */
  const sides = new Map();
  for (const draft of drafts) {
    const { above, below, bends, uses } = draft;
    for (const end of /** @type {(0|1)[]} */ ([0, 1])) {
      const box = end ? below : above;
      const port = isBox(box) ? portAt(box, end ? "top" : "bottom", uses[0]) : 0;
      if (!isBox(box) || port !== null) {
        draft.ends[end] = box.x + /** @type {number} */ (port);
        continue;
      }
      const other = end ? above : below;
      const there = isBox(other) ? portAt(other, end ? "bottom" : "top", uses[0]) : null;
      const straight = there === null ? middleOf(other) : other.x + there;
      const toward = (end ? bends.inner[bends.inner.length - 1] : bends.inner[0])?.x ?? straight;
      const key = `${box.id} ${end}`;
      sides.set(key, [...(sides.get(key) ?? []), { draft, end, box, toward }]);
    }
  }
  for (const meeting of sides.values()) {
    meeting.sort((a, b) => a.toward - b.toward);
    meeting.forEach(({ draft, end, box, toward }, i) => {
      const middle = middleOf(box);
      const straight = Math.abs(toward - middle) < box.width / 2 - 20 ? toward : middle;
      const beside = box.x + (box.width * (i + 1)) / (meeting.length + 1);
      draft.ends[end] = meeting.length === 1 ? straight : beside;
    });
  }
}

/**
 * A route downwards; one of the backward sweep is drawn upwards along it.
 * @param {Draft} draft
 * @returns {Route}
 */
function route({ above, below, bends, uses, ends }) {
  const first = { x: ends[0], y: isBox(above) ? above.y + above.height : above.y };
  const last = { x: ends[1], y: below.y };
  const points = [first];
  // Straight to the end of the layer first: something higher may stand beside
  const leave = bends.first - bends.half;
  const arrive = bends.last + bends.half;
  if (leave > first.y + 4) points.push({ x: first.x, y: leave });
  points.push(...bends.inner);
  if (arrive < last.y - 4) points.push({ x: last.x, y: arrive });
  points.push(last);
  // Under the header of its group an edge is upright
  if (!isBox(above)) points.unshift({ x: first.x, y: 0 });
  const turned = upwards(uses[0]);
  const target = turned ? above : below;
  const side = turned ? "bottom" : "top";
  // An edge that goes on inside a group, or outside, has no arrow head at the border
  const through = !isBox(target) || portAt(target, side, uses[0]) !== null;
  return { points: turned ? points.reverse() : points, uses, sideways: false, through };
}

/**
 * From the right side of a forward box to the left side of a backward one.
 * @param {ReturnType<typeof linksInside>[0]} link
 * @returns {Route}
 */
function sideRoute(link) {
  const { above: from, below: to, uses } = link;
  const rightward = to.x >= from.x + from.width - 20;
  const y = (/** @type {Box} */ box) => box.y + Math.min(box.height, BOX_HEIGHT) / 2;
  const points = rightward
    ? [
        { x: from.x + from.width, y: y(from) },
        { x: to.x, y: y(to) },
      ]
    : [
        { x: from.x, y: y(from) },
        { x: to.x + to.width, y: y(to) },
      ];
  return { points, uses, sideways: true, through: false };
}

/** Groups that have to be laid out before a group is: its open members without a layout, and theirs.
 * @param {Box} group
 * @returns {Generator<Box>}
 */
function* pending(group) {
  for (const member of group.members)
    if (member.open && isGroup(member) && !member.layout) yield* pending(member);
  yield group;
}

/** Forget the layout of a group and of those around it.
 * @param {Box|null} group
 */
function forget(group) {
  for (; group; group = group.parent) group.layout = null;
}
