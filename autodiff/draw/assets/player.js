// The film that every page plays: a slider, its buttons, and their keys. A page says how many steps
// there are (`lastStep`), shows one (`showStep`: `true` where the film moved), and brings it into view
// (`followStep`).

const timeline = { step: 0, playing: 0 };

/** @param {number} step @param {boolean} [follow] bring what happens into view */
function goTo(step, follow = true) {
  timeline.step = Math.max(0, Math.min(lastStep(), step));
  showStep(true);
  if (follow) followStep();
}

/** @param {boolean} [on] */
function play(on = !timeline.playing) {
  window.clearInterval(timeline.playing);
  timeline.playing = 0;
  if (on && lastStep()) {
    if (timeline.step >= lastStep()) goTo(0);
    // A film of any length takes half a minute at the most
    const pause = 700;
    const jump = Math.max(1, Math.ceil((lastStep() * pause) / 30000 / 8));
    const wait = Math.max(90, Math.min(pause, 30000 / Math.max(1, lastStep())));
    timeline.playing = window.setInterval(() => {
      if (timeline.step >= lastStep()) play(false);
      else goTo(timeline.step + jump);
    }, wait);
  }
  const button = byId("play");
  button.setAttribute("aria-pressed", String(timeline.playing !== 0));
  button.setAttribute("aria-label", timeline.playing ? "Pause" : "Play");
  button.classList.toggle("on", timeline.playing !== 0);
  byId("happening").setAttribute("aria-live", timeline.playing ? "off" : "polite");
}

/** Set the slider to the current step, and say it.
 * @param {string} short
 */
function showOnSlider(short) {
  const slider = /** @type {HTMLInputElement} */ (byId("slider"));
  slider.max = String(lastStep());
  slider.value = String(timeline.step);
  slider.setAttribute("aria-valuetext", short);
  byId("count").textContent = `${timeline.step} / ${lastStep()}`;
}

/** @param {number} share of the slider that is of the first colour */
function listenToPlayer(share) {
  const slider = /** @type {HTMLInputElement} */ (byId("slider"));
  slider.max = String(lastStep());
  slider.style.setProperty("--swept-from", `${100 * share}%`);
  slider.addEventListener("input", () => {
    play(false);
    goTo(Number(slider.value));
  });
  byId("play").addEventListener("click", () => play());
  const step = (/** @type {string} */ id, /** @type {() => number} */ to) =>
    byId(id).addEventListener("click", () => {
      play(false);
      goTo(to());
    });
  step("back", () => timeline.step - 1);
  step("forward", () => timeline.step + 1);
  step("start", () => 0);
  step("end", lastStep);
}

/** Keys of the film, for the keys of a page. @type {Record<string, () => void>} */
const PLAYER_KEYS = {
  p: () => play(),
  " ": () => play(),
  ".": () => goTo(timeline.step + 1),
  ",": () => goTo(timeline.step - 1),
  ArrowRight: () => goTo(timeline.step + 1),
  ArrowLeft: () => goTo(timeline.step - 1),
  Home: () => goTo(0),
  End: () => goTo(lastStep()),
};
