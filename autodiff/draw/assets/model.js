// The tape: what `autodiff/draw/page.py` wrote, with names instead of positions, and its boxes.

/**
 * @typedef {{min?: number|string, mean?: number|string, max?: number|string, norm?: number|string,
 *   infinite?: number, modulus?: number, text?: string}} Summary
 *
 * @typedef {[number, number, string]} HeatMap  rows, columns, and a letter for each element
 *
 * @typedef {{id: number, name: string, named: boolean, spec: string, bytes: number,
 *   value: Summary|null, gradient: Summary|null, map: HeatMap|null, gradientMap: HeatMap|null,
 *   keepers: number[], cotangent: number,
 *   producer: Box|null, readers: Use[], arrivals: number[]}} Value  a variable of the tape
 *
 * @typedef {{text: string, spec: string}} Constant
 *
 * @typedef {{value: Value, from: Box, to: Box, position: number, differentiable: boolean,
 *   saved: boolean, delivered: number}} Use  a variable read by an operation or output
 *
 * @typedef {{id: number, kind: string, phase: number, parent: Box|null, depth: number,
 *   title: string, subtitle: string, search: string,
 *   op: Operation|null, values: Value[], operands: (Value|Constant)[], uses: Use[],
 *   members: Box[], repeats: number, operations: number[], flops: number, bytes: number,
 *   time: number, pulls: number[], open: boolean, layout: Layout|null, size: Size|null,
 *   inner: Use[], incoming: Use[], outgoing: Use[],
 *   x: number, y: number, width: number, height: number,
 *   element: SVGGElement|null, state: string}} Box  a node of the tape, or a group
 *
 * @typedef {{index: number, primitive: string, params: string, flops: number, bytes: number,
 *   source: string, differentiable: number[], inputs: string[], pulls: number, phase: number,
 *   scope: string, reverse: number}} Operation
 *
 * @typedef {{position: number, value: Value, rule: string, number: number, total: number}} Delivery
 * @typedef {{entry: number, deliveries: Delivery[]}} ReverseStep
 * @typedef {{width: number, height: number}} Size
 */

const GROUP_NAMES = {
  module: "module",
  function: "function",
  repeat: "repeated block",
  block: "block",
  run: "run of operations",
};

/**
 * Read the page's data.
 * @param {any} data
 */
function readModel(data) {
  const text = (/** @type {number} */ i) => /** @type {string} */ (data.strings[i]);
  const summary = (/** @type {number} */ i) => (i < 0 ? null : data.summaries[i]);
  /** @type {Value[]} */
  const values = data.variables.map((/** @type {any[]} */ row, /** @type {number} */ id) => ({
    id,
    name: text(row[0]),
    named: row[1] === 1,
    spec: text(row[2]),
    bytes: row[3],
    value: summary(row[4]),
    gradient: summary(row[5]),
    keepers: row[6],
    cotangent: row[7],
    map: row[8] < 0 ? null : data.maps[row[8]],
    gradientMap: row[9] < 0 ? null : data.maps[row[9]],
    producer: null,
    readers: [],
    arrivals: [],
  }));
  const operand = (/** @type {number} */ reference) =>
    reference >= 0
      ? values[reference]
      : {
          text: text(data.constants[-1 - reference][0]),
          spec: text(data.constants[-1 - reference][1]),
        };

  /** @type {Box[]} */
  const nodes = [];
  const box = (/** @type {Partial<Box>} */ given) =>
    /** @type {Box} */ ({
      id: 0,
      kind: "",
      phase: 0,
      parent: null,
      depth: 0,
      title: "",
      subtitle: "",
      search: "",
      op: null,
      values: [],
      operands: [],
      uses: [],
      members: [],
      repeats: 0,
      operations: [],
      flops: 0,
      bytes: 0,
      time: 0,
      pulls: [],
      open: false,
      layout: null,
      size: null,
      inner: [],
      incoming: [],
      outgoing: [],
      x: 0,
      y: 0,
      width: 0,
      height: 0,
      element: null,
      state: "",
      ...given,
    });
  const add = (/** @type {Partial<Box>} */ given) => {
    const made = box({ ...given, id: nodes.length });
    nodes.push(made);
    return made;
  };

  data.inputs.forEach((/** @type {number} */ parameter, /** @type {number} */ i) => {
    const value = values[i];
    value.producer = add({
      kind: parameter ? "parameter" : "input",
      title: value.name,
      subtitle: value.spec,
      values: [value],
    });
  });
  const firstOperation = nodes.length;
  data.operations.forEach((/** @type {any[]} */ row, /** @type {number} */ index) => {
    const outputs = row[7].map((/** @type {number} */ i) => values[i]);
    const named = outputs
      .filter((/** @type {Value} */ v) => v.named)
      .map((/** @type {Value} */ v) => v.name);
    const made = add({
      kind: "operation",
      phase: row[11],
      title: named.length ? `${named.join(", ")} = ${text(row[0])}` : text(row[0]),
      subtitle: outputs.map((/** @type {Value} */ v) => v.spec).join(", "),
      values: outputs,
      operands: row[6].map(operand),
      operations: [index],
      flops: row[3],
      bytes: row[4],
      time: data.times[index] ?? 0,
      op: {
        index,
        primitive: text(row[1]),
        params: text(row[2]),
        flops: row[3],
        bytes: row[4],
        source: text(row[5]),
        differentiable: row[8],
        inputs: row[9].map(text),
        pulls: row[10],
        phase: row[11],
        scope: text(row[12]),
        reverse: -1,
      },
    });
    for (const value of outputs) value.producer = made;
  });
  const firstOutput = nodes.length;
  data.outputs.forEach((/** @type {number[]} */ row) => {
    const shown = operand(row[1]);
    const made = add({
      kind: "output",
      title: text(row[0]),
      subtitle: shown.spec,
      operands: [shown],
    });
    made.phase = "producer" in shown && shown.producer ? shown.producer.phase : 0;
  });

  const uses = connect(nodes, firstOperation);
  const groups = nest(data.groups, text, nodes, box);
  placeUses(uses);
  const sweep = readSweep(data.sweep, values, text, nodes, firstOperation);
  for (const node of nodes) node.search = searchText(node);
  for (const group of groups) group.search = group.title.toLowerCase();
  return {
    title: /** @type {string} */ (data.title),
    saved: /** @type {number} */ (data.saved),
    scarcity: /** @type {string} */ (data.scarcity),
    missing: /** @type {{values: string, gradients: string}} */ (data.missing),
    values,
    nodes,
    uses,
    groups,
    root: groups[0],
    timed: data.times.length > 0,
    sweep,
    count: firstOutput - firstOperation,
    twoSided: nodes.some((node) => node.phase > 0),
    operation: (/** @type {number} */ index) => nodes[firstOperation + index],
  };
}

/** @typedef {ReturnType<typeof readModel>} Model */

/**
 * Make the list of uses: which box reads which value.
 * @param {Box[]} nodes
 * @param {number} firstOperation
 */
function connect(nodes, firstOperation) {
  /** @type {Use[]} */
  const uses = [];
  for (const to of nodes.slice(firstOperation)) {
    to.operands.forEach((value, position) => {
      if (!("producer" in value) || !value.producer) return;
      const from = value.producer;
      const floating = /^(float|complex|bfloat)/.test(value.spec);
      const use = {
        value,
        from,
        to,
        position,
        differentiable: floating && (!to.op || to.op.differentiable[position] === 1),
        saved: from.phase === 0 && to.phase > 0,
        delivered: Infinity,
      };
      uses.push(use);
      to.uses.push(use);
      value.readers.push(use);
    });
  }
  return uses;
}

/**
 * Make the groups, and put everything in its place.
 * @param {any[][]} rows
 * @param {(i: number) => string} text
 * @param {Box[]} nodes
 * @param {(given: Partial<Box>) => Box} box
 */
function nest(rows, text, nodes, box) {
  const groups = rows.map((row, i) =>
    box({ id: -1 - i, kind: row[0], title: text(row[1]), phase: row[2], repeats: row[3] }),
  );
  // A group's row stands before those of the groups inside it
  rows.forEach((row, i) => {
    const group = groups[i];
    group.members = row[4].map((/** @type {number} */ m) => (m < 0 ? groups[-1 - m] : nodes[m]));
    for (const member of group.members) {
      member.parent = group;
      member.depth = group.depth + 1;
    }
  });
  for (const group of [...groups].reverse()) {
    for (const member of group.members) {
      group.flops += member.flops;
      group.bytes += member.bytes;
      group.time += member.time;
      for (const index of member.operations) group.operations.push(index);
    }
    group.operations.sort((a, b) => a - b);
    const count = group.operations.length;
    if (!count) group.subtitle = plural(nodesIn(group), "value");
    // A run is called by its numbers already
    else if (group.kind === "run") group.subtitle = commonest(group, 3, nodes);
    else group.subtitle = plural(count, "operation");
  }
  groups[0].open = true;
  return groups;
}

/**
 * Tell each group which uses it has inside, and which cross its border.
 * @param {Use[]} uses
 */
function placeUses(uses) {
  for (const use of uses) {
    let from = use.from;
    let to = use.to;
    const leaving = [];
    const entering = [];
    while (from.parent !== to.parent) {
      if (from.depth >= to.depth) {
        from = /** @type {Box} */ (from.parent);
        leaving.push(from);
      } else {
        to = /** @type {Box} */ (to.parent);
        entering.push(to);
      }
    }
    /** @type {Box} */ (from.parent).inner.push(use);
    for (const group of leaving) group.outgoing.push(use);
    for (const group of entering) group.incoming.push(use);
  }
}

/**
 * Read the reverse sweep; notes at values, uses and operations when it reaches them.
 * @param {any[][]} rows
 * @param {Value[]} values
 * @param {(i: number) => string} text
 * @param {Box[]} nodes
 * @param {number} firstOperation
 */
function readSweep(rows, values, text, nodes, firstOperation) {
  return rows.map((row, number) => {
    const deliveries = row[1].map((/** @type {number[]} */ part) => ({
      position: part[0],
      value: values[part[1]],
      rule: text(part[2]),
      number: part[3],
      total: part[4],
    }));
    for (const delivery of deliveries) {
      delivery.value.arrivals.push(number);
      if (row[0] < 0)
        for (const use of delivery.value.readers) if (!use.to.op) use.delivered = number;
    }
    if (row[0] >= 0) {
      const node = nodes[firstOperation + row[0]];
      /** @type {Operation} */ (node.op).reverse = number;
      for (const delivery of deliveries)
        for (const use of node.uses) if (use.position === delivery.position) use.delivered = number;
    }
    return /** @type {ReverseStep} */ ({ entry: row[0], deliveries });
  });
}

/** @param {Box} node */
function searchText(node) {
  const op = node.op;
  const parts = [node.title, node.subtitle, node.kind, ...node.values.map((v) => v.name)];
  if (op) parts.push(op.primitive, op.params, op.source, op.scope);
  return parts.join("\n").toLowerCase();
}

/**
 * The child of a group that a box is, or is in.
 * @param {Box} group
 * @param {Box} box
 */
function memberOf(group, box) {
  while (box.parent !== group) box = /** @type {Box} */ (box.parent);
  return box;
}

/** The outermost closed group around a box, or the box itself: what stands for it in the picture.
 * @param {Box} box
 */
function visibleOf(box) {
  let shown = box;
  for (let group = box.parent; group; group = group.parent) if (!group.open) shown = group;
  return shown;
}

/** The commonest operations of a group, with their numbers.
 * @param {Box} group
 * @param {number} most
 * @param {Box[]} [nodes]
 */
function commonest(group, most, nodes = model.nodes) {
  const first = nodes.findIndex((node) => node.op !== null);
  /** @type {Map<string, number>} */
  const counts = new Map();
  for (const index of group.operations) {
    const name = nodes[first + index].op?.primitive ?? "";
    counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  const sorted = [...counts].sort((a, b) => b[1] - a[1]);
  const shown = sorted
    .slice(0, most)
    .map(([name, count]) => (count > 1 ? `${count} ${name}` : name));
  return shown.join(", ") + (sorted.length > most ? ", …" : "");
}

/** How many nodes a group holds.
 * @param {Box} group
 * @returns {number}
 */
function nodesIn(group) {
  return group.members.reduce((sum, m) => sum + (isGroup(m) ? nodesIn(m) : 1), 0);
}

/** @param {Box} box */
const isGroup = (box) => box.id < 0;
