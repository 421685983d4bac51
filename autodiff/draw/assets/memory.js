// Live memory through the computation: what is held at each step, and where most is.

/**
 * Bytes held at each step, from 0, before the first operation, to the last.
 *
 * A value is there from the operation that computes it to the last one that reads it: an operation,
 * or the rule that kept it. A cotangent is there from the first contribution to the rule that takes
 * it. Inputs, outputs and gradients of inputs stay. A view counts as if it were a copy.
 */
function memoryHeld() {
  const last = lastStep();
  const change = new Array(last + 2).fill(0);
  const hold = (/** @type {number} */ bytes, /** @type {number} */ from, /** @type {number} */ to) => {
    change[from] += bytes;
    change[to + 1] -= bytes;
  };
  const swept = (/** @type {Box} */ box) => {
    const reverse = box.op?.reverse ?? -1;
    return model.sweep.length && reverse >= 0 ? model.count + 1 + reverse : -1;
  };
  for (const value of model.values) {
    const op = value.producer?.op;
    const born = op ? op.index + 1 : 0;
    let dies = op ? born : last;
    for (const { to } of value.readers) dies = Math.max(dies, to.op ? to.op.index + 1 : last);
    for (const keeper of value.keepers) dies = Math.max(dies, swept(model.operation(keeper)));
    hold(value.bytes, born, dies);
    if (value.arrivals.length) {
      const taken = value.producer?.op ? swept(value.producer) : last;
      hold(value.bytes, model.count + 1 + value.arrivals[0], taken < 0 ? last : taken);
    }
  }
  const held = [];
  let sum = 0;
  for (let step = 0; step <= last; step += 1) held.push((sum += change[step]));
  return held;
}

/** What is held at each step, the most of it, and where that is. */
const memory = { held: /** @type {number[]} */ ([]), peak: 0, at: 0 };

/** A step in a few words: ``at matmul``, ``at VJP of matmul``.
 * @param {number} step
 */
function stepName(step) {
  if (step === 0) return "at the start";
  if (step <= model.count) return `at ${model.operation(step - 1).op?.primitive}`;
  const { entry } = model.sweep[step - model.count - 1];
  return entry < 0 ? "as the sweep starts" : `at VJP of ${model.operation(entry).op?.primitive}`;
}

const MEMORY_HEIGHT = 30;

/** Draw the chart above the slider. */
function drawMemory() {
  const chart = /** @type {any} */ (byId("memory"));
  const last = lastStep();
  memory.held = memoryHeld();
  memory.peak = memory.held.reduce((a, b) => Math.max(a, b), 0);
  memory.at = memory.held.indexOf(memory.peak);
  if (!last || !memory.peak) return;
  chart.removeAttribute("hidden");
  chart.setAttribute("viewBox", `0 0 1000 ${MEMORY_HEIGHT}`);
  chart.setAttribute("preserveAspectRatio", "none");
  chart.setAttribute("aria-hidden", "true");
  const x = (/** @type {number} */ step) => ((1000 * step) / last).toFixed(1);
  const y = (/** @type {number} */ bytes) =>
    (MEMORY_HEIGHT - (MEMORY_HEIGHT - 3) * (bytes / memory.peak)).toFixed(2);
  let line = `M0 ${y(memory.held[0])}`;
  memory.held.forEach((bytes, step) => {
    line += `L${x(step)} ${y(bytes)}`;
  });
  chart.append(
    shape("path", { class: "area", d: `${line}V${MEMORY_HEIGHT}H0z` }),
    shape("path", { class: "curve", d: line }),
    shape("path", { class: "peak", d: `M${x(memory.at)} 0V${MEMORY_HEIGHT}` }),
    shape("path", { id: "memory-now", class: "now", d: `M0 0V${MEMORY_HEIGHT}` }),
  );
  const words = html(
    "button",
    { type: "button", id: "peak", title: "To the step that holds most", click: () => goTo(memory.at) },
    `peak ${bytesText(memory.peak)} ${stepName(memory.at)}`,
  );
  const place = memory.at / last;
  words.style.left = `${100 * place}%`;
  words.style.translate = place < 0.5 ? "6px 0" : "calc(-100% - 6px) 0";
  chart.parentElement.append(words);
}

/** Say how much is held at the current step. */
function showMemory() {
  const last = lastStep();
  if (!last || !memory.peak) return;
  const x = ((1000 * timeline.step) / last).toFixed(1);
  byId("memory-now")?.setAttribute("d", `M${x} 0V${MEMORY_HEIGHT}`);
  byId("held").textContent = `${bytesText(memory.held[timeline.step])} held`;
}
