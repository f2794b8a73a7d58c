/* Time spent on a review, in whichever of the page's decision forms is sent: only while the page is seen and somebody does something. */

const IDLE = 60_000;
let active = 0;
let lastTick = performance.now();
let lastSign = lastTick;
let visible = document.visibilityState === "visible";

function tick() {
  const now = performance.now();
  const until = Math.min(now, lastSign + IDLE);
  if (visible && until > lastTick) active += until - lastTick;
  lastTick = now;
  visible = document.visibilityState === "visible";
}

/* One person, one pair of eyes: a sign of life in another tab or window of the site stops the clock of this one. */
const tabs = "BroadcastChannel" in window ? new BroadcastChannel("active-time") : null;
let told = -Infinity;
function tell() {
  if (performance.now() - told < 1000) return;
  told = performance.now();
  tabs?.postMessage("active");
}
tabs?.addEventListener("message", () => { tick(); lastSign = -Infinity; });

for (const name of ["keydown", "pointerdown", "pointermove", "wheel", "touchstart", "scroll"]) {
  document.addEventListener(name, () => { tick(); lastSign = performance.now(); tell(); }, { passive: true, capture: true });
}
document.addEventListener("visibilitychange", tick);
document.addEventListener("submit", (event) => {
  tick();
  const input = event.target.querySelector("[data-active-seconds]");
  if (input) input.value = String(Math.round(active / 1000));
}, true);

// From the list with F: straight to the fix.
const fix = document.querySelector("#fix-panel");
if (fix && location.hash === "#fix-panel") {
  fix.open = true;
  const begin = () => fix.querySelector("textarea, [data-completion]")?.focus();
  // Going to the fragment, which the browser does once the page is there, takes the focus away: come after it.
  if (document.readyState === "complete") begin();
  else window.addEventListener("load", () => requestAnimationFrame(() => requestAnimationFrame(begin)));
}
