// What is known of a box: shortly beside it, and in full in the panel.

/** @type {{box: Box|null}} */
const selection = { box: null };

/** @param {Route} route */
const selected = (route) =>
  selection.box !== null &&
  route.uses.some((use) => use.from === selection.box || use.to === selection.box);

/** @param {Summary} s */
function summaryText(s) {
  if (s.text === "empty") return "no elements";
  const parts = [];
  if (s.text) parts.push(s.text);
  if (s.text === undefined || s.text.startsWith("[")) {
    const name = s.modulus ? "modulus " : "";
    parts.push(`${name}min ${s.min}, mean ${s.mean}, max ${s.max}, norm ${s.norm}`);
  }
  if (s.infinite) parts.push(`${plural(s.infinite, "element")} not finite`);
  return parts.join("; ");
}

/**
 * Rows of a table of facts.
 * @typedef {[string, (Node|string|null)[]]} Fact
 * @param {Box} box
 * @param {boolean} full with links to its neighbours
 * @returns {Fact[]}
 */
function facts(box, full) {
  return isGroup(box) ? groupFacts(box) : nodeFacts(box, full);
}

/** @param {Box} box @returns {Fact[]} */
function groupFacts(box) {
  const kind = /** @type {Record<string, string>} */ (GROUP_NAMES)[box.kind] ?? box.kind;
  /** @type {Fact[]} */
  const rows = box.repeats ? [["kind", [`${kind}, ${box.repeats} times`]]] : [];
  const count = box.operations.length;
  if (count) rows.push(["holds", [plural(count, "operation")]]);
  if (count > 1) rows.push(["", [commonest(box, 6)]]);
  rows.push(["flops", [box.flops.toLocaleString("en")]]);
  rows.push(["moves", [bytesText(box.bytes)]]);
  if (model.timed) rows.push(["measured", [measuredText(box)]]);
  const inside = new Set(box.operations);
  let kept = 0;
  for (const index of box.operations)
    for (const value of model.operation(index).values)
      if (value.keepers.some((keeper) => inside.has(keeper))) kept += value.bytes;
  if (kept) rows.push(["saved", [`${bytesText(kept)} of its results, for its own VJPs`]]);
  rows.push(["source", [sourcesOf(box)]]);
  return rows.filter(([, shown]) => shown[0]);
}

/** Measured time, its share, and how fast that is.
 * @param {Box} box
 */
function measuredText(box) {
  const parts = [timeText(box.time)];
  const all = model.root.time;
  if (box !== model.root && all) parts.push(`${((100 * box.time) / all).toFixed(1)} % of all`);
  // Flops in a nanosecond are as many in a second, with nine zeros
  if (box.flops && box.time) parts.push(`${(box.flops / box.time).toPrecision(3)} Gflop/s`);
  return parts.join(", ");
}

/** @param {Box} group */
function sourcesOf(group) {
  const found = new Set();
  for (const index of group.operations) {
    const source = model.operation(index).op?.source;
    if (source) found.add(source);
    if (found.size > 3) break;
  }
  return [...found].slice(0, 3).join(", ") + (found.size > 3 ? ", …" : "");
}

/** @param {Box} box @param {boolean} full @returns {Fact[]} */
function nodeFacts(box, full) {
  /** @type {Fact[]} */
  const rows = [];
  const op = box.op;
  if (op) {
    rows.push(["operation", [html("code", {}, op.primitive)]]);
    if (op.params) rows.push(["parameters", [html("code", {}, op.params)]]);
  }
  if (full && box.operands.length)
    rows.push(["inputs", box.operands.map((operand, i) => inputLink(box, operand, i))]);
  if (box.kind === "output") return rows;
  for (const value of box.values) {
    const several = box.values.length > 1 ? `${value.name}: ` : "";
    const spec = /^(.*?)\[(.*)\]$/.exec(value.spec);
    const typed = spec
      ? `${spec[1]}  shape (${spec[2].replace(/,/g, ", ")}${spec[2] && !spec[2].includes(",") ? "," : ""})`
      : value.spec;
    rows.push(["value", [`${several}${typed}, ${bytesText(value.bytes)}`]]);
    if (value.value) rows.push(["", [summaryText(value.value)]]);
    if (full && value.map) rows.push(["", [heatImage(value.map)]]);
    if (value.gradient) rows.push(["gradient", [summaryText(value.gradient)]]);
    if (full && value.gradientMap) rows.push(["", [heatImage(value.gradientMap)]]);
    if (value.arrivals.length > 1)
      rows.push(["", [`sum of ${value.arrivals.length} contributions`]]);
    const cotangent = model.values[value.cotangent];
    if (full && cotangent?.producer)
      rows.push(["cotangent", [link(cotangent.producer, cotangent.name)]]);
    if (value.keepers.length) {
      const by = value.keepers.slice(0, full ? 12 : 3).map((index) => {
        const keeper = model.operation(index);
        const name = keeper.op?.primitive ?? "";
        return full ? link(keeper, `VJP of ${name}`) : `VJP of ${name}  `;
      });
      rows.push(["saved by", by]);
    }
    if (full && value.readers.length)
      rows.push(["read by", value.readers.slice(0, 24).map((use) => link(use.to, use.to.title))]);
  }
  if (op) {
    rows.push(["flops", [op.flops.toLocaleString("en")]]);
    rows.push(["moves", [bytesText(op.bytes)]]);
    if (model.timed) rows.push(["measured", [measuredText(box)]]);
    const partner = op.pulls >= 0 ? model.operation(op.pulls) : null;
    if (partner) {
      const name = `VJP of ${partner.op?.primitive}`;
      rows.push(["part of", [full ? link(partner, name) : name]]);
    } else if (model.sweep.length)
      rows.push([
        "reverse",
        [
          op.reverse < 0
            ? "not reached by the sweep"
            : `step ${op.reverse + 1} of ${model.sweep.length}`,
        ],
      ]);
    if (op.scope) rows.push(["called in", [op.scope]]);
    if (op.source) rows.push(["source", [html("code", {}, op.source)]]);
  }
  return rows;
}

/** @param {Box} box @param {Value|Constant} operand @param {number} position */
function inputLink(box, operand, position) {
  const name = box.op?.inputs[position] ?? "";
  const fixed = box.op && !box.op.differentiable[position] ? " (no derivative)" : "";
  const prefix = name && box.operands.length > 1 ? `${name} = ` : "";
  if ("producer" in operand && operand.producer)
    return html("span", {}, prefix, link(operand.producer, operand.name), fixed);
  const text = "text" in operand ? `${operand.text} ${operand.spec}` : "";
  return html("span", {}, `${prefix}${text}${fixed}`);
}

/** @param {Box} box @param {string} text */
function link(box, text) {
  return html(
    "button",
    { type: "button", class: "link", click: () => jumpTo(box) },
    shortened(text, 40),
  );
}

/** @param {Fact[]} rows */
function table(rows) {
  const list = html("dl");
  for (const [name, shown] of rows) {
    const description = html("dd", {});
    shown.forEach((part) => part !== null && description.append(part));
    list.append(html("dt", {}, name), description);
  }
  return list;
}

/** @param {Box} box */
function heading(box) {
  const kind = isGroup(box)
    ? /** @type {Record<string, string>} */ (GROUP_NAMES)[box.kind]
    : box.kind;
  return html(
    "h2",
    {},
    html(
      "span",
      { class: `kind ${isGroup(box) ? "group" : box.kind} phase-${box.phase}` },
      box.phase ? `backward ${kind}` : kind,
    ),
    shortened(box.title, 80),
  );
}

/** Select a box: its details go to the panel, its edges stand out.
 * @param {Box|null} box
 */
function select(box) {
  selection.box = box;
  if (box) openSheet();
  showPanel();
  drawOverlay(box);
  showStep();
}

/** The box that the panel is about: the selected one, else the operation that is played.
 * @returns {Box|null}
 */
const told = () => selection.box ?? happening().at;

function showPanel() {
  const panel = byId("facts");
  const box = told();
  // What is played is spoken below the picture already
  panel.setAttribute("aria-live", selection.box ? "polite" : "off");
  if (!box) {
    panel.replaceChildren(overview());
    return;
  }
  const again = isGroup(box)
    ? html("button", { type: "button", click: () => toggle(box) }, box.open ? "Close" : "Open")
    : null;
  panel.replaceChildren(heading(box), table(facts(box, true)), ...(again ? [again] : []));
}

/** What the panel shows while nothing is selected. */
function overview() {
  /** @type {Fact[]} */
  const rows = [
    ["operations", [model.count.toLocaleString("en")]],
    ["flops", [model.root.flops.toLocaleString("en")]],
    ["moves", [bytesText(model.root.bytes)]],
    ["measured", [model.timed ? measuredText(model.root) : "0"]],
    ["inputs", [model.nodes.filter((n) => n.kind === "input").length.toLocaleString("en")]],
    ["parameters", [model.nodes.filter((n) => n.kind === "parameter").length.toLocaleString("en")]],
    ["outputs", [model.nodes.filter((n) => n.kind === "output").length.toLocaleString("en")]],
  ];
  rows.push(["saved", [`${bytesText(model.saved)} for the reverse sweep`]]);
  if (memory.peak > 0)
    rows.push([
      "peak",
      [
        html(
          "button",
          { type: "button", class: "link", click: () => goTo(memory.at) },
          `${bytesText(memory.peak)} ${stepName(memory.at)}`,
        ),
      ],
    ]);
  // What it says of the Jacobian stands beside the name
  if (model.scarcity) rows.push(["Jacobian", [model.scarcity.replace("Jacobian of ", "")]]);
  const notes = [model.missing.values, model.missing.gradients].filter(Boolean);
  return html(
    "div",
    {},
    html("h2", {}, "The tape"),
    table(rows.filter(([, shown]) => shown[0] !== "0")),
    ...[...new Set(notes)].map((note) => html("p", { class: "missing" }, `Not shown: ${note}`)),
    html("p", { class: "hint" }, "Choose a box to read what is known of it. Press ? for the keys."),
  );
}

/** What is said beside a box: what it is, and what is in it. The rest is in the panel.
 * @param {Box} box
 * @returns {Fact[]}
 */
function shortFacts(box) {
  const wanted = isGroup(box) ? ["holds", "flops"] : ["parameters", "value", "gradient", "flops"];
  const rows = facts(box, false);
  const found = rows.filter(([name], i) => wanted.includes(name) || (!name && rows[i - 1][0] === "value"));
  return found.slice(0, 4);
}

/** Show short details beside a box, unless the panel has them.
 * @param {Box|null} box
 */
function hint(box) {
  const tip = byId("tip");
  const view = box && views.get(box);
  const inPanel = box === told() && byId("panel").clientHeight > 0;
  tip.hidden = !view || inPanel;
  if (!box || tip.hidden) return;
  tip.replaceChildren(heading(box), table(shortFacts(box)));
  const { left, top } = besides(box, tip.getBoundingClientRect());
  tip.style.left = `${left}px`;
  tip.style.top = `${top}px`;
}

/** A place for the tip where it covers as few boxes as possible.
 * @param {Box} box
 * @param {Size} size
 */
function besides(box, { width, height }) {
  const onScreen = (/** @type {Box} */ b) => {
    const place = placeOf(b);
    const { x, y, scale } = viewport;
    return {
      left: x + place.x * scale,
      top: y + place.y * scale,
      right: x + (place.x + place.width) * scale,
      bottom: y + (place.y + (b.open ? HEADER : place.height)) * scale,
    };
  };
  const own = onScreen(box);
  const others = visible.map(onScreen);
  const gap = 10;
  const middle = (own.left + own.right - width) / 2;
  const spots = [
    [own.right + gap, own.top],
    [own.left - width - gap, own.top],
    [own.right + gap, own.bottom - height],
    [own.left - width - gap, own.bottom - height],
    [middle, own.bottom + gap],
    [middle, own.top - height - gap],
  ];
  // Or at a side of the window, as near as may be
  for (const x of [viewport.width - width - gap, gap])
    for (let y = gap; y + height < viewport.height; y += 40) spots.push([x, y]);
  let best = { left: 0, top: 0 };
  let least = Infinity;
  for (const [x, y] of spots) {
    const left = Math.max(4, Math.min(viewport.width - width - 4, x));
    const top = Math.max(4, Math.min(viewport.height - height - 4, y));
    // Pushed back into the window it may stand on the box itself, which is worst
    let price = (Math.abs(left - x) + Math.abs(top - y)) / 100;
    price += Math.hypot(left - own.right, top - own.top) / 2000;
    for (const other of others) {
      const across = Math.min(left + width, other.right) - Math.max(left, other.left);
      const down = Math.min(top + height, other.bottom) - Math.max(top, other.top);
      if (across > 0 && down > 0) price += (across * down) / 400;
    }
    const across = Math.min(left + width, own.right) - Math.max(left, own.left);
    const down = Math.min(top + height, own.bottom) - Math.max(top, own.top);
    if (across > 0 && down > 0) price += 1000;
    if (price < least) {
      least = price;
      best = { left, top };
    }
  }
  return best;
}
