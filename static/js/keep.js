/* Words in forms that have no draft on the site (comments, a reviewer's fix or note, an appeal): any <form data-keep="KEY">.
   This browser keeps what was typed until the form was sent and the page that follows shows that it arrived. Contract: docs/design-system.md, "Kept words".
   data-keep-version says which state of the thing the form is about; data-keep-strict: words about another state are dropped, not offered. */

const KEPT_FOR = 60 * 86_400_000; // ms
const NOT_WORDS = new Set(["csrfmiddlewaretoken", "active_seconds", "revision", "back", "decision"]);

const keyOf = (form) => `kept:${document.body.dataset.user || "nobody"}:${form.dataset.keep}`;
const versionOf = (form) => form.dataset.keepVersion || "";
function read(key) { try { return JSON.parse(localStorage.getItem(key)); } catch { return null; } }
function write(key, value) { try { localStorage.setItem(key, JSON.stringify(value)); } catch { /* no storage: the form works as any other */ } }
function forget(key) { try { localStorage.removeItem(key); } catch { /* as above */ } }

function fieldsOf(form) {
  const fields = {};
  for (const [name, value] of new FormData(form)) if (!NOT_WORDS.has(name) && typeof value === "string") (fields[name] ||= []).push(value);
  return fields;
}
function restore(form, fields) {
  for (const control of form.elements) {
    if (!control.name || NOT_WORDS.has(control.name) || control.type === "submit" || control.type === "file") continue;
    const values = fields[control.name] || [];
    if (control.matches("[type=checkbox], [type=radio]")) control.checked = values.includes(control.value);
    else if (control.name in fields) control.value = values[0];
  }
  form.dispatchEvent(new CustomEvent("autosave:restored", { bubbles: true })); // widgets read their inputs again
}
/* Said in the form, where the eye is; a panel that is folded opens. */
function sayRestored(form, at) {
  const when = new Date(at).toLocaleTimeString(undefined, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
  const note = Object.assign(document.createElement("p"), { className: "small muted", textContent: say("Restored from this browser, written %(time)s", { time: when }) });
  form.querySelector("textarea, [data-ranking], [data-pairwise]")?.closest(".field, [data-ranking], [data-pairwise]")?.before(note);
  const panel = form.closest("details");
  if (panel) panel.open = true;
}

const served = new WeakMap(); // what the site wrote into each form
function begin(form) {
  form.dataset.keepReady = "";
  // A page that says what is wrong holds words that are nowhere else yet.
  if (form.dataset.unsaved !== undefined) { served.set(form, ""); changed(form); return; }
  served.set(form, JSON.stringify(fieldsOf(form)));
  const key = keyOf(form);
  const kept = read(key);
  if (!kept) return;
  const isSame = kept.version === versionOf(form);
  if (!isSame && (kept.sent || form.dataset.keepStrict !== undefined)) { forget(key); return; } // it has arrived, or is about what is no more
  if (JSON.stringify(kept.fields) === served.get(form)) { forget(key); return; }
  restore(form, kept.fields);
  sayRestored(form, kept.at);
}

/* Not at once: a widget's hidden inputs follow the event that told of the change. */
function changed(form) {
  queueMicrotask(() => {
    const fields = fieldsOf(form);
    if (JSON.stringify(fields) === served.get(form)) forget(keyOf(form));
    else write(keyOf(form), { fields, version: versionOf(form), at: Date.now() });
  });
}
const formOf = (event) => event.target.closest?.("form[data-keep]");
for (const name of ["input", "change", "ranking:change"]) document.addEventListener(name, (event) => { const form = formOf(event); if (form) changed(form); });
document.addEventListener("submit", (event) => {
  const form = formOf(event);
  const kept = form && read(keyOf(form)); // htmx has prevented the browser's own sending
  if (kept) write(keyOf(form), { ...kept, sent: true });
});

function start() { for (const form of document.querySelectorAll("form[data-keep]:not([data-keep-ready])")) begin(form); }
try {
  for (const key of Object.keys(localStorage)) if (key.startsWith("kept:") && !(Date.now() - read(key)?.at < KEPT_FOR)) forget(key);
} catch { /* no storage here */ }
start();
document.body.addEventListener("htmx:afterSettle", start);
