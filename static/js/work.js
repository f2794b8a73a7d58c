/* The work screen's own habits: keep the lease while somebody really works, and show the preview of an answer.
   Forms name themselves by data-renew-url and data-fence; a preview is <details data-preview> around an element with hx-trigger="preview". */

const EVERY = 60_000; // ms between two renewals
const IDLE = 180_000; // ms without a sign of life after which the lease may run out

let lastSign = performance.now();
for (const name of ["keydown", "pointerdown", "pointermove", "wheel", "touchstart", "scroll"]) {
  document.addEventListener(name, () => { lastSign = performance.now(); }, { passive: true, capture: true });
}

/* One timer for the page; each round it looks for the form that is there now. */
async function renew() {
  const form = document.querySelector("form[data-renew-url]");
  if (!form || form.dataset.lost || document.visibilityState !== "visible" || performance.now() - lastSign > IDLE) return;
  let answer;
  try {
    answer = await fetch(form.dataset.renewUrl, {
      method: "POST", credentials: "same-origin", body: JSON.stringify({ fence: Number(form.dataset.fence) }),
      headers: { ...JSON.parse(document.body.getAttribute("hx-headers") || "{}"), "Content-Type": "application/json", Accept: "application/json" },
    });
  } catch {
    return; // no network: the next round tries again, and autosave says what is true
  }
  if (![403, 409, 410].includes(answer.status)) return;
  const problem = await answer.json().catch(() => ({}));
  if (answer.status === 403 && problem.error?.code !== "paused") return;
  form.dataset.lost = "yes";
  const message = [problem.error?.message, problem.error?.hint].filter(Boolean).join(" ");
  document.dispatchEvent(new CustomEvent("app:toast", { detail: { message, level: "warning", seconds: 30 } }));
}
setInterval(renew, EVERY);

let typing;
function preview(details) {
  if (details.open) details.querySelector("[hx-trigger='preview']")?.dispatchEvent(new CustomEvent("preview"));
}
document.addEventListener("toggle", (event) => { if (event.target.matches?.("details[data-preview]")) preview(event.target); }, true);
document.addEventListener("input", (event) => {
  const details = event.target.closest?.("form")?.querySelector("details[data-preview][open]");
  if (!details) return;
  clearTimeout(typing);
  typing = setTimeout(() => preview(details), 500);
});

/* Time on a task that is skipped or given back counts as well: the form that ends it carries what the work form knows. */
document.addEventListener("submit", (event) => {
  const input = event.target.querySelector?.("input[data-active-seconds]");
  const known = document.querySelector("form[data-autosave-url] input[name=active_seconds]");
  if (input && known) input.value = known.value;
}, true);
