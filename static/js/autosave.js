/* Drafts that are never lost: any <form data-autosave-url>. Contract: docs/design-system.md, "Drafts".
   One ordered channel to the server (never two saves at once), a copy in the browser, a status line that says only what is true. */

const QUIET = 800; // ms after the last change
const LONGEST = 5000; // ms between two saves of somebody who types without pause
const RETRY = [2000, 5000, 10000, 20000, 30000];
const IDLE = 60; // seconds without a sign of life after which time does not count

function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) if (value !== false) node.setAttribute(name, value === true ? "" : value);
  node.append(...children);
  return node;
}
const clock = (date) => date.toLocaleTimeString(undefined, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" }); // 24 hours, as everywhere on the site

/* ── the form's fields as plain data, and back ── */
const MEASURED = new Set(["active_seconds", "pasted_characters"]); // counted by this script, not typed
const LEFT_OUT = new Set(["csrfmiddlewaretoken", "idempotency_key", "revision", "fence"]);
function readFields(form) {
  const fields = {};
  for (const [name, value] of new FormData(form)) {
    if (LEFT_OUT.has(name) || value instanceof File || form.elements[name]?.dataset?.noAutosave !== undefined) continue;
    if (name in fields) fields[name] = [].concat(fields[name], value);
    else fields[name] = value;
  }
  return fields;
}
function writeFields(form, fields) {
  for (const control of form.elements) {
    if (!control.name || LEFT_OUT.has(control.name) || control.type === "file" || !(control.name in fields || control.matches("[type=checkbox], [type=radio]"))) continue;
    if (MEASURED.has(control.name)) continue;
    const values = [].concat(fields[control.name] ?? []);
    if (control.matches("[type=checkbox], [type=radio]")) control.checked = values.includes(control.value);
    else control.value = values[0] ?? "";
  }
  form.dispatchEvent(new CustomEvent("autosave:restored", { bubbles: true }));
  form.querySelectorAll("textarea").forEach((area) => area.dispatchEvent(new Event("input", { bubbles: true })));
}
/* What counts as a difference: the words and choices, not the clock. */
function essence(fields) {
  const rest = Object.fromEntries(Object.entries(fields).filter(([name]) => !MEASURED.has(name)));
  return JSON.stringify(rest, Object.keys(rest).sort());
}

/* ── the copy in the browser ── */
class LocalCopy {
  constructor(key) { this.key = key; this.refused = false; }
  write(fields, revision) {
    try { localStorage.setItem(this.key, JSON.stringify({ fields, revision, at: new Date().toISOString() })); this.refused = false; return true; }
    catch { this.refused = true; return false; } // private mode or full: said in the status line, the server's copy goes on
  }
  read() {
    try { return JSON.parse(localStorage.getItem(this.key)); }
    catch { return null; }
  }
  /* What was written after `until` (milliseconds), perhaps in another tab, stays. */
  clear(until = Infinity) {
    if (Date.parse(this.read()?.at) > until) return;
    try { localStorage.removeItem(this.key); } catch { this.refused = true; }
  }
}

/* ── time somebody really worked ── */
/* One person, one pair of eyes: a sign of life in another tab or window of the site stops the clock of this one. */
const tabs = "BroadcastChannel" in window ? new BroadcastChannel("active-time") : null;
class ActiveTime {
  constructor(input, signal) {
    this.input = input;
    this.seconds = Number(input.value) || 0;
    this.lastSign = performance.now();
    this.lastTick = performance.now();
    for (const name of ["keydown", "pointerdown", "pointermove", "wheel", "touchstart", "scroll"]) {
      document.addEventListener(name, () => { this.tick(); this.lastSign = performance.now(); this.tell(); }, { passive: true, capture: true, signal });
    }
    tabs?.addEventListener("message", () => { this.tick(); this.lastSign = -Infinity; }, { signal });
    this.wasVisible = document.visibilityState === "visible";
    document.addEventListener("visibilitychange", () => this.tick(), { signal });
    this.timer = setInterval(() => this.tick(), 5000);
  }
  /* Adds the time since the last tick, up to IDLE seconds after the last sign of life. Monotonic: the wall clock may jump. */
  tick() {
    const now = performance.now();
    const until = Math.min(now, this.lastSign + IDLE * 1000);
    if (this.wasVisible && until > this.lastTick) this.seconds += (until - this.lastTick) / 1000;
    this.lastTick = now;
    this.wasVisible = document.visibilityState === "visible";
    this.input.value = String(Math.round(this.seconds));
  }
  /* At most once a second: the others need no more. */
  tell() {
    if (performance.now() - (this.told ?? -Infinity) < 1000) return;
    this.told = performance.now();
    tabs?.postMessage("active");
  }
  stop() { this.tick(); clearInterval(this.timer); }
}

/* ── characters that came into text fields by paste or drop ──
   Counted as the browser inserts them; what is deleted again stays counted, and a paste that a script or the browser refuses is not seen
   at all. No text is kept, only its length. Says how, never why: many people write in an editor of their own. */
class Pasted {
  constructor(form, input, signal) {
    this.input = input;
    this.count = Number(input.value) || 0;
    form.addEventListener("input", (event) => {
      if (!event.target.matches("textarea") || !["insertFromPaste", "insertFromDrop"].includes(event.inputType)) return;
      const text = event.data ?? event.dataTransfer?.getData("text/plain") ?? this.waiting ?? "";
      this.waiting = null;
      this.count += [...text].length;
      input.value = String(this.count);
    }, { capture: true, signal });
    // A text area's input event carries no data: the paste or drop before it does.
    form.addEventListener("paste", (event) => { this.waiting = event.clipboardData?.getData("text/plain"); }, { capture: true, signal });
    form.addEventListener("drop", (event) => { this.waiting = event.dataTransfer?.getData("text/plain"); }, { capture: true, signal });
  }
}

class Autosave {
  constructor(form) {
    this.form = form;
    this.url = form.dataset.autosaveUrl;
    this.revision = Number(form.dataset.revision || 0);
    this.status = form.querySelector("[data-save-status]") || document.querySelector(`[data-save-status="${form.id}"]`);
    this.status?.setAttribute("aria-live", "off"); // a change each few seconds would drown a screen reader; problems are announced
    const person = document.body.dataset.user || "nobody";
    this.copy = new LocalCopy(`draft:${person}:${form.dataset.draftKey || this.url}`);
    this.saved = essence(readFields(form));
    this.attempts = 0;
    const active = form.elements.active_seconds;
    this.life = new AbortController();
    const { signal } = this.life;
    if (active) { this.time = new ActiveTime(active, signal); this.startSeconds = this.time.seconds; }
    if (form.elements.pasted_characters) this.pasted = new Pasted(form, form.elements.pasted_characters, signal);
    form.addEventListener("input", (event) => { if (event.target.dataset?.noAutosave === undefined) this.changed(); });
    form.addEventListener("change", (event) => { if (event.target.dataset?.noAutosave === undefined) this.changed(); });
    form.addEventListener("submit", () => this.onSubmit());
    form.addEventListener("htmx:beforeRequest", (event) => { if (event.detail.elt === form) { this.onSubmit(); this.asked = true; } });
    // Not afterRequest: by then the answer may have replaced the form, which hears nothing any more.
    form.addEventListener("htmx:beforeOnLoad", (event) => { if (event.detail.elt === form) this.afterSubmit(event.detail.xhr.status); });
    form.addEventListener("htmx:sendError", () => this.afterSubmit(0));
    form.addEventListener("htmx:timeout", () => this.afterSubmit(0));
    window.addEventListener("online", () => { this.attempts = 0; this.save(); }, { signal });
    window.addEventListener("offline", () => this.offline(), { signal });
    window.addEventListener("pagehide", () => this.leave(), { signal });
    window.addEventListener("pageshow", (event) => { if (event.persisted) { this.left = false; this.submitting = false; this.seen = null; this.changed(); } }, { signal });
    document.addEventListener("visibilitychange", () => { if (document.visibilityState === "hidden") this.flush(); }, { signal });
    window.addEventListener("beforeunload", (event) => { if (this.isDirty() && this.copy.refused && !this.submitting) event.preventDefault(); }, { signal });
    this.recover();
  }

  isDirty() { return essence(readFields(this.form)) !== this.saved; }

  show(state, text) {
    if (!this.status) return;
    this.status.dataset.state = state;
    this.status.textContent = text;
  }

  problem(text) {
    this.show("error", text);
    document.dispatchEvent(new CustomEvent("app:announce", { detail: text }));
  }

  offline() {
    if (!this.isDirty()) { this.show("local", "Offline"); return; }
    this.show("offline", this.copy.refused ? say("Offline, and this browser keeps no copy: do not close this page") : say("Offline, kept in this browser"));
  }

  /* A crash or a reload before the server had the words: offer what the browser kept. */
  recover() {
    const kept = this.copy.read();
    if (!kept?.fields) return;
    if (essence(kept.fields) === this.saved) { this.copy.clear(); return; }
    if (kept.revision === this.revision) {
      // The server has not moved on since: what the browser kept is simply newer.
      writeFields(this.form, kept.fields);
      this.show("local", say("Restored from this browser, written %(time)s", { time: clock(new Date(kept.at)) }));
      this.schedule();
      return;
    }
    this.resolveConflict({ fields: kept.fields, revision: this.revision, fromBrowser: true });
  }

  changed() {
    const now = essence(readFields(this.form));
    // Leaving a field repeats what was said while typing: a status line that moves then would push a button from under the pointer.
    if (this.submitting || this.done || now === this.seen) return;
    this.seen = now;
    if (now === this.saved) return;
    const kept = this.copy.write(readFields(this.form), this.revision);
    if (this.stopped) return; // the site takes no more of it, but this browser still keeps each word
    if (!kept) this.show("local", say("This browser keeps no copy; saving to the server"));
    else if (!navigator.onLine) this.offline();
    else if (this.status?.dataset.state !== "saving") this.show("", say("Not saved yet"));
    this.schedule();
  }

  schedule(delay = QUIET) {
    clearTimeout(this.timer);
    this.firstChange ||= Date.now();
    const most = Math.max(0, this.firstChange + LONGEST - Date.now());
    this.timer = setTimeout(() => this.save(), Math.min(delay, Math.max(most, delay === QUIET ? 0 : delay)));
  }

  flush() { if (this.isDirty()) { clearTimeout(this.timer); this.save(); } }

  headers() {
    const headers = JSON.parse(document.body.getAttribute("hx-headers") || "{}");
    return { ...headers, "Content-Type": "application/json", Accept: "application/json", "Accept-Language": document.documentElement.lang };
  }

  async save() {
    if (this.stopped || this.submitting || this.conflict) return;
    if (this.running) { this.again = true; return; }
    if (!this.isDirty()) return;
    if (!navigator.onLine) { this.offline(); return; }
    this.firstChange = 0;
    this.time?.tick();
    const fields = readFields(this.form);
    this.askedAt = Date.now();
    this.running = true;
    this.show("saving", say("Saving…"));
    let answer = null;
    try {
      answer = await fetch(this.url, {
        method: this.form.dataset.autosaveMethod || "PUT", credentials: "same-origin", headers: this.headers(),
        body: JSON.stringify({ revision: this.revision, fields }),
      });
    } catch { /* no answer: handled below, with the failures that are worth another try */ }
    this.running = false;
    if (this.submitting) { if (answer?.ok) await this.keepRevision(answer, fields); return; }
    await this.afterSave(answer, fields);
    if (this.again) { this.again = false; this.save(); }
  }

  async afterSave(answer, fields) {
    const data = answer ? await answer.json().catch(() => ({})) : {};
    if (answer?.ok) { this.accepted(data, fields); return; }
    if (answer?.status === 401) { this.signedOut(); return; }
    if (answer?.status === 403 && /^CSRF Failed/.test(data.error?.message || "") && !this.renewed) {
      // Somebody signed in again in another tab: with that tab's token it goes on.
      this.renewed = true;
      document.dispatchEvent(new CustomEvent("app:stale-token", { detail: { retry: () => this.save() } }));
      return;
    }
    const other = answer?.status === 409 ? otherVersion(data) : null;
    if (other) { this.resolveConflict(other); return; }
    if (answer && [403, 404, 409, 410, 413, 422].includes(answer.status)) { this.stop(data, answer.status); return; }
    const wait = RETRY[Math.min(this.attempts, RETRY.length - 1)];
    this.attempts += 1;
    const kept = this.copy.refused ? say("Not saved: the site does not answer. Trying again…") : say("Not saved on the site yet, kept in this browser. Trying again…");
    if (navigator.onLine) this.show("offline", kept); else this.offline();
    this.schedule(wait);
  }

  /* Saved while the form was being handed in: should the site refuse it, the next save must know what was saved last. */
  async keepRevision(answer, fields) {
    this.adopt(await answer.json().catch(() => ({})), fields);
  }

  adopt(data, fields) {
    this.renewed = false;
    this.revision = data.revision ?? this.revision + 1;
    this.form.dataset.revision = String(this.revision);
    const input = this.form.elements.revision;
    if (input) input.value = String(this.revision);
    this.saved = essence(fields);
    this.savedSeconds = Number(fields.active_seconds) || 0;
  }

  accepted(data, fields) {
    this.attempts = 0;
    this.adopt(data, fields);
    this.form.dispatchEvent(new CustomEvent("autosave:saved", { bubbles: true, detail: data }));
    if (this.isDirty()) { this.copy.write(readFields(this.form), this.revision); this.schedule(); return; }
    this.copy.clear(this.askedAt);
    this.show("saved", say("Saved %(time)s", { time: clock(data.saved_at ? new Date(data.saved_at) : new Date()) }));
  }

  signedOut() {
    this.problem(say("Signed out: your text is kept. Sign in to go on"));
    document.dispatchEvent(new CustomEvent("app:signed-out", { detail: { retry: () => this.save() } }));
  }

  /* The task was closed, taken or handed in: stop, say why, and leave the words in the browser. */
  stop(data, status) {
    this.stopped = true;
    clearTimeout(this.timer);
    const reason = data.error?.message || say("The site no longer takes this draft (%(status)s).", { status });
    const kept = this.copy.refused ? say("Copy your text before you leave.") : say("Your text is kept in this browser.");
    this.problem([reason, kept].join(" "));
    this.form.dispatchEvent(new CustomEvent("autosave:stopped", { bubbles: true, detail: { status, ...data } }));
  }

  /* ── two versions: show both, the person decides ── */
  resolveConflict({ fields, revision, fromBrowser }) {
    if (this.conflict) return;
    this.conflict = true;
    const mine = readFields(this.form);
    if (essence(mine) === essence({ ...mine, ...fields })) { this.conflict = false; this.revision = revision; this.saved = essence(mine); this.copy.clear(); this.show("saved", "Saved"); return; }
    this.problem(say("Two versions of this draft: choose one"));
    this.form.dispatchEvent(new CustomEvent("autosave:conflict", { bubbles: true, detail: { mine, fields, revision } }));
    const dialog = conflictDialog(mine, fields, fromBrowser, lettersOf(this.form));
    dialog.addEventListener("close", () => {
      dialog.remove();
      this.conflict = false;
      this.revision = revision;
      this.saved = fromBrowser ? this.saved : essence({ ...mine, ...fields });
      this.seen = null;
      if (dialog.returnValue === "other") writeFields(this.form, fields);
      this.changed();
      this.save();
      if (!this.isDirty()) { this.copy.clear(); this.show("saved", "Saved"); }
    });
    document.body.append(dialog);
    dialog.showModal();
  }

  /* ── handing in ── */
  onSubmit() {
    this.time?.tick();
    clearTimeout(this.timer);
    this.copy.write(readFields(this.form), this.revision);
    this.askedAt = Date.now();
    // A later listener may hold the submission back (an incomplete ranking): look once everybody has had a say.
    this.submitting = true;
    setTimeout(() => { if (!this.left && !this.asked) this.submitting = false; }, 1500);
  }

  afterSubmit(status) {
    this.submitting = this.asked = false;
    this.seen = null;
    if (status >= 200 && status < 300) { this.copy.clear(this.askedAt); this.stopped = true; this.done = true; this.time?.stop(); }
    else this.changed();
  }

  /* The form left the page (the next task came): this one saves no more. */
  destroy() {
    this.life.abort();
    clearTimeout(this.timer);
    this.time?.stop();
    this.stopped = true;
  }

  leave() {
    this.left = true;
    this.time?.tick();
    const read = this.time && this.time.seconds - (this.savedSeconds ?? this.startSeconds) >= 1; // reading is work too
    if (this.submitting || this.stopped || !(this.isDirty() || read)) return;
    if (this.isDirty()) this.copy.write(readFields(this.form), this.revision);
    fetch(this.url, { method: this.form.dataset.autosaveMethod || "PUT", keepalive: true, credentials: "same-origin", headers: this.headers(), body: JSON.stringify({ revision: this.revision, fields: readFields(this.form) }) })
      .catch(() => { if (this.isDirty()) this.copy.write(readFields(this.form), this.revision); });
  }
}

/* The other text of a 409, from the house's error shape or from the top level; null where it is another kind of conflict. */
function otherVersion(data) {
  if (data.fields) return { fields: data.fields, revision: Number(data.revision ?? 0) };
  const details = data.error?.details || [];
  const revision = details.find((detail) => detail.field === "revision");
  if (!revision) return null;
  const fields = Object.fromEntries(details.filter((detail) => detail.field !== "revision").map((detail) => [detail.field, detail.message]));
  return { fields, revision: Number(revision.message) };
}

/* Completions go by ids in the fields of a ranking; people know their letters. */
function lettersOf(form) {
  return new Map([...form.querySelectorAll("[data-completion][data-letter]")].map((card) => [card.dataset.completion, card.dataset.letter]));
}
function readable(name, value, letters) {
  if (!letters.size || typeof value !== "string" || !/^[[{]/.test(value)) return [].concat(value).join(", ");
  let data;
  try { data = JSON.parse(value); } catch { return value; }
  const letter = (id) => letters.get(String(id)) || String(id);
  if (name === "tiers") return data.map((tier) => tier.map(letter).sort().join(" = ")).join(" > ");
  if (Array.isArray(data)) return data.map((each) => letter(each ?? "–")).join(", ");
  return Object.entries(data).map(([id, each]) => `${letter(id)}: ${typeof each === "object" ? Object.values(each).filter(Boolean).join(", ") : each}`).join("; ");
}

function conflictDialog(mine, other, fromBrowser, letters) {
  const silent = (name) => MEASURED.has(name) || name === "touched" || /^(score|flag)-/.test(name); // said by "scores" and "flags" too
  const texts = (fields) => Object.entries(fields).filter(([name, value]) => !silent(name) && essence({ [name]: mine[name] ?? "" }) !== essence({ [name]: other[name] ?? mine[name] ?? "" }) && value !== "")
    .map(([name, value]) => (Object.keys(fields).length > 1 ? `${name.replaceAll("_", " ")}:\n${readable(name, value, letters)}` : String(value))).join("\n\n");
  const column = (title, fields) => el("div", { class: "stack stack-s" }, el("strong", {}, title), el("div", { class: "plain", dir: "auto", tabindex: "0" }, texts(fields) || "(empty)"));
  const dialog = el("dialog", { class: "dialog dialog-wide", "aria-labelledby": "conflict-title" });
  const button = (label, value, style, focus) => { const node = el("button", { class: `btn ${style}`, type: "button", autofocus: Boolean(focus) }, label); node.addEventListener("click", () => dialog.close(value)); return node; };
  dialog.append(
    el("header", {}, el("h2", { id: "conflict-title" }, fromBrowser ? say("This browser kept another version") : say("This draft was also changed elsewhere"))),
    el("div", { class: "dialog-body" }, el("p", { class: "muted" }, fromBrowser ? say("It was written here and never reached the site. Nothing is lost: choose which one to go on with.") : say("Another tab or device saved it meanwhile. Nothing is lost: choose which one to go on with.")),
      el("div", { class: "two-texts" }, column(fromBrowser ? say("On the site") : say("On this page"), mine), column(fromBrowser ? say("Kept in this browser") : say("Saved elsewhere"), other))),
    el("footer", {}, button(fromBrowser ? say("Take the browser's") : say("Take the other one"), "other", ""), button(fromBrowser ? say("Keep the site's") : say("Keep this page's"), "mine", "btn-primary", true)));
  return dialog;
}

/* The page says that these drafts were handed in: what the browser had kept of them when it asked for the page may go. Once: the task
   may come back to its author, in another tab, while this page still says so. */
let pageAskedAt = performance.timeOrigin;
document.body.addEventListener("htmx:beforeRequest", () => { pageAskedAt = Date.now(); });
function forgetDone(root) {
  for (const node of root.querySelectorAll("[data-draft-done]:not([data-draft-forgotten])")) {
    node.dataset.draftForgotten = "";
    new LocalCopy(`draft:${document.body.dataset.user || "nobody"}:${node.dataset.draftDone}`).clear(pageAskedAt);
  }
}

const alive = new Set();
function start(root) {
  for (const autosave of alive) if (!autosave.form.isConnected) { autosave.destroy(); alive.delete(autosave); }
  forgetDone(root);
  for (const form of root.querySelectorAll("form[data-autosave-url]:not([data-autosave-ready])")) {
    form.dataset.autosaveReady = "";
    alive.add(new Autosave(form));
  }
}
start(document);
document.body.addEventListener("htmx:afterSettle", (event) => start(event.detail.elt?.parentElement || document));
