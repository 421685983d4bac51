// The computation as a film: the operations one by one, then the rules of the reverse sweep.

/** Steps in all: each operation, then each step of the sweep. */
const lastStep = () => model.count + model.sweep.length;

/** The step of the sweep that is shown, -1 while the operations are computed. */
const sweepStep = () => timeline.step - model.count - 1;

/** @param {Value} value */
const arrivedAt = (value) => {
  const now = sweepStep();
  return value.arrivals.filter((step) => step <= now).length;
};

/** How many of sorted numbers are below a limit.
 * @param {number[]} sorted
 * @param {number} limit
 */
function countBelow(sorted, limit) {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sorted[middle] < limit) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Boxes that the current step is about: where it happens, and where its results go.
 * @returns {{at: Box|null, received: Delivery[], partner: Box|null}}
 */
function happening() {
  const { step } = timeline;
  if (step === 0) return { at: null, received: [], partner: null };
  if (step <= model.count) {
    const at = model.operation(step - 1);
    const pulls = at.op?.pulls ?? -1;
    return { at, received: [], partner: pulls >= 0 ? model.operation(pulls) : null };
  }
  const { entry, deliveries } = model.sweep[sweepStep()];
  return { at: entry < 0 ? null : model.operation(entry), received: deliveries, partner: null };
}

/** State of a box at the current step: classes of the stylesheet.
 * @param {Box} box
 */
function stepState(box) {
  const { step } = timeline;
  if (step === 0) return "";
  const now = sweepStep();
  if (isGroup(box)) {
    const done = countBelow(box.operations, step);
    if (box.open) return done ? "reached" : "waiting";
    const back = model.sweep.length && now >= 0 ? reversedIn(box, now) : 0;
    const view = views.get(box);
    const room = boxSize(box).width - 10;
    const share = (/** @type {number} */ n) => (room * n) / Math.max(1, box.operations.length);
    view?.bar?.setAttribute("width", share(done).toFixed(1));
    view?.backBar?.setAttribute("width", share(back).toFixed(1));
    if (back) return "cotangent";
    return done === box.operations.length ? "computed" : done ? "partly" : "waiting";
  }
  if (box.kind === "output") {
    const source = box.uses[0]?.from;
    const there = !source?.op || source.op.index < step;
    return there ? (now >= 0 && box.uses[0]?.differentiable ? "cotangent" : "computed") : "waiting";
  }
  if (box.op && box.op.index >= step) return "waiting";
  return now >= 0 && box.values.some((value) => value.arrivals[0] <= now)
    ? "cotangent"
    : "computed";
}

/** How many operations of a group the sweep has passed.
 * @param {Box} group
 * @param {number} now
 */
function reversedIn(group, now) {
  let count = 0;
  for (const index of group.operations) {
    const at = /** @type {Operation} */ (model.operation(index).op).reverse;
    if (at >= 0 && at <= now) count += 1;
  }
  return count;
}

/** State of an edge at the current step.
 * @param {Route} route
 * @param {Set<Use>} current
 */
function edgeState(route, current) {
  const { step } = timeline;
  if (step === 0) return "";
  const now = sweepStep();
  if (route.uses.some((use) => current.has(use))) return now >= 0 ? "pulling" : "flowing";
  if (now >= 0 && route.uses.some((use) => use.delivered <= now)) return "pulled";
  const there = route.uses.every((use) => !use.from.op || use.from.op.index < step);
  return there ? "done" : "waiting";
}

/** Show the current step in the picture, the slider, the panel and the text.
 * @param {boolean} [moved] the film went on: the panel is about what it plays
 */
function showStep(moved = false) {
  const { step } = timeline;
  const { at, received, partner } = happening();
  if (moved && selection.box) {
    selection.box = null;
    drawOverlay(null);
  }
  /** @type {Set<Use>} */
  const current = new Set();
  const positions = new Set(received.map((delivery) => delivery.position));
  if (at)
    for (const use of at.uses)
      if (step <= model.count || positions.has(use.position)) current.add(use);
  if (!at && received.length)
    for (const { value } of received)
      for (const use of value.readers) if (use.to.kind === "output") current.add(use);
  const atShown = at && visibleOf(at);
  const partnerShown = partner && visibleOf(partner);
  /** @type {Map<Box, Delivery[]>} */
  const receivers = new Map();
  for (const delivery of received) {
    if (!delivery.value.producer) continue;
    const shown = visibleOf(delivery.value.producer);
    receivers.set(shown, [...(receivers.get(shown) ?? []), delivery]);
  }
  for (const box of visible) {
    let state = stepState(box);
    if (box === atShown) state += step <= model.count ? " current" : " current rule";
    if (box === partnerShown) state += " partner";
    const deliveries = receivers.get(box);
    if (deliveries) state += " receives";
    if (selection.box === box) state += " selected";
    if (search.hits.has(box)) state += " hit";
    if (search.current && box === visibleOf(search.current)) state += " found";
    setState(box, state);
    const inside = box.open ? 0 : (search.inside.get(box) ?? 0);
    const badge = deliveries ? arrivalText(deliveries) : inside ? plural(inside, "hit") : "";
    if (badge || views.get(box)?.badge) setBadge(box, badge);
  }
  for (const box of [model.root, ...visible]) {
    if (!box.open) continue;
    for (const drawn of /** @type {View} */ (views.get(box)).routes) {
      const state = `${edgeState(drawn.route, current)}${selected(drawn.route) ? " traced" : ""}`;
      if (state !== drawn.state) {
        drawn.state = state;
        drawn.path.setAttribute("class", `${drawn.base} ${state}`);
      }
    }
  }
  byId("canvas").classList.toggle("playing", step > 0);
  const { short, parts } = stepText();
  showOnSlider(short);
  showMemory();
  if (!selection.box) showPanel();
  byId("happening").replaceChildren(...parts);
  byId("happening").classList.toggle("reverse", step > model.count || (at?.phase ?? 0) > 0);
}

/** ``+= 2 of 3`` for a cotangent that is added to one that is there already.
 * @param {Delivery[]} deliveries
 */
function arrivalText(deliveries) {
  if (deliveries.length > 1 && new Set(deliveries.map((d) => d.value)).size === 1) {
    const first = deliveries[0];
    const last = deliveries[deliveries.length - 1];
    return `${first.number > 1 ? "+= " : ""}${first.number} and ${last.number} of ${last.total}`;
  }
  if (deliveries.length > 1) return `${deliveries.length} cotangents`;
  const { number, total } = deliveries[0];
  if (total === 1) return "cotangent";
  return number > 1 ? `+= ${number} of ${total}` : `1 of ${total}`;
}

/** What the current step does, in words. */
function stepText() {
  const { step } = timeline;
  if (step === 0) {
    const forward = plural(model.count, "operation");
    const back = model.sweep.length
      ? `, then ${plural(model.sweep.length, "step")} of the reverse sweep`
      : "";
    const how = model.twoSided
      ? "Forward operations flow down, the backward sweep beside them flows up."
      : `Play to see ${forward}${back}.`;
    return { short: "start", parts: [how] };
  }
  const { at, received, partner } = happening();
  const strong = (/** @type {string} */ text) => html("strong", {}, text);
  const code = (/** @type {string} */ text) => html("code", {}, text);
  /** @type {(Node|string)[]} */
  const parts = [];
  if (at && step <= model.count) {
    const op = /** @type {Operation} */ (at.op);
    const names = at.values.map((value) => value.name).join(", ");
    const operands = at.operands.map((o) => ("name" in o ? o.name : o.text)).join(", ");
    parts.push(strong(op.phase ? "backward" : "forward"), " ");
    parts.push(code(`${names} = ${op.primitive}(${shortened(operands, 80)})`), `  ${at.subtitle}`);
    if (partner?.op) {
      parts.push("  for the rule of ", code(`${partner.op.primitive}`));
      parts.push(` (${partner.values.map((value) => value.name).join(", ")})`);
    }
    for (const value of model.values)
      if (value.cotangent >= 0 && at.values.some((v) => v.id === value.cotangent)) {
        parts.push("  = cotangent of ", code(value.name));
      }
  } else if (!at) {
    parts.push(strong("reverse"), "  the sweep starts with a cotangent of ");
    parts.push(code(received.map((d) => d.value.name).join(", ")), " (1 for a gradient)");
  } else {
    parts.push(
      strong("reverse"),
      "  VJP of ",
      code(/** @type {Operation} */ (at.op).primitive),
      ": ",
    );
    received.forEach((d, i) => {
      parts.push(i ? ",  " : "", code(d.rule), " → cotangent of ", code(d.value.name));
      if (d.number > 1) parts.push(strong(`  += ${d.number} of ${d.total}`));
      else if (d.total > 1) parts.push(`  (1 of ${d.total})`);
    });
    if (!received.length) parts.push("nothing to deliver");
  }
  return { short: parts.map((p) => (typeof p === "string" ? p : p.textContent)).join(""), parts };
}

/** Bring what the current step is about into view. */
function followStep() {
  const { at } = happening();
  if (at) follow(visibleOf(at));
}

/** Where on the slider the backward sweep begins, as a share of its length. */
function sweptFrom() {
  if (!model.twoSided) return lastStep() ? model.count / lastStep() : 1;
  const first = model.nodes.find((node) => node.op && node.phase > 0);
  return (first?.op?.index ?? model.count) / Math.max(1, lastStep());
}
