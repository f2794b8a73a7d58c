/* The work screen's own habits: keep the lease while somebody really works, and show the preview of an answer.
   Forms name themselves by data-renew-url and data-fence; a preview is <details data-preview> around an element with hx-trigger="preview". */

/* A page that opens with a task begins at what is wrong, else at its heading, as the next task does that comes into it. */
const begin = document.querySelector("main [aria-invalid='true']") || document.querySelector("main [data-focus-after-swap]");
if (document.activeElement === document.body) begin?.focus({ preventScroll: !begin.matches("[aria-invalid]") });

/* What must be filled says so beside itself, not in a bubble of the browser's. */
const beside = (control) => (control.type === "radio" ? control.closest("fieldset") : control);
function forgive(control) {
  const field = beside(control), error = document.getElementById(`${control.name}-needed`);
  if (!error) return;
  error.remove();
  const others = (field.getAttribute("aria-describedby") || "").split(" ").filter((id) => id !== error.id).join(" ");
  if (others) field.setAttribute("aria-describedby", others); else field.removeAttribute("aria-describedby");
  field.removeAttribute("aria-invalid");
}
let firstWrong;
document.addEventListener("invalid", (event) => {
  const control = event.target, field = beside(control);
  if (!control.name || !field) return;
  event.preventDefault();
  if (!firstWrong) { firstWrong = control; setTimeout(() => { firstWrong.focus(); firstWrong = null; }); }
  const id = `${control.name}-needed`;
  if (document.getElementById(id)) return;
  const error = document.createElement("p");
  Object.assign(error, { id, className: "error", textContent: control.validity.valueMissing ? (control.type === "radio" ? say("Choose one of these.") : say("This needs an answer.")) : control.validationMessage });
  if (field === control) { control.before(error); control.setAttribute("aria-invalid", "true"); } else field.querySelector("legend").after(error);
  field.setAttribute("aria-describedby", [id, field.getAttribute("aria-describedby")].filter(Boolean).join(" "));
}, true);
for (const name of ["input", "change"]) document.addEventListener(name, ({ target }) => { if (target.name) forgive(target); });

/* An answer is handed in by its button or that button's key: Enter in a field of one line, or on a choice, would send half of one, and nobody can take it back. */
document.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.isComposing || event.ctrlKey || event.metaKey) return;
  if (event.target.matches("form[data-renew-url] input:not([type=submit], [type=button])")) event.preventDefault();
});

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
