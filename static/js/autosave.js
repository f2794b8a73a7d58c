/* Drafts that are never lost: any <form data-autosave-url>. Contract: docs/design-system.md, "Drafts".
   One ordered channel to the server (never two saves at once), a copy in the browser, a status line that says only what is true. */

const QUIET = 800; // ms after the last change
const LONGEST = 5000; // ms between two saves of somebody who types without pause
const RETRY = [2000, 5000, 10000, 20000, 30000];
const PATIENCE = 20_000; // ms for an answer; a connection that died without a word would keep the channel for ever
const KEPT_FOR = 60 * 86_400_000; // ms: copies of drafts that nobody came back to make room for others
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
const WORDS = "textarea, input:not([type=checkbox], [type=radio], [type=button], [type=submit], [type=range], [type=hidden])";
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

/* Are the fields as the site wrote them? Not where somebody typed before this script ran, nor where the browser put words of its own back. */
function isAsServed(form) {
  return [...form.elements].every((control) => {
    if (!control.name || LEFT_OUT.has(control.name) || control.type === "hidden" || control.matches("[data-no-autosave], [data-score], [data-flag]")) return true;
    if (control.matches("[type=checkbox], [type=radio]")) return control.checked === control.defaultChecked;
    if (control.matches("textarea")) return control.value === control.defaultValue.replace(/\r\n?/g, "\n");
    if (control.matches("select")) return ![...control.options].some((option) => option.defaultSelected) || [...control.options].every((option) => option.selected === option.defaultSelected);
    return !control.matches("input") || control.value === control.defaultValue.replace(/[\r\n]/g, "");
  });
}

/* ── the copy in the browser ── */
class LocalCopy {
  /* Of drafts that nobody has touched for long. */
  static prune() {
    try {
      for (const key of Object.keys(localStorage)) {
        if (key.startsWith("draft:") && !(Date.now() - Date.parse(new LocalCopy(key).read()?.at) < KEPT_FOR)) localStorage.removeItem(key);
      }
    } catch { /* no storage here: the status line says so where it matters */ }
  }
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
    // What the site has; null: not known, or surely not these words (a refused submission comes back with more than the draft holds).
    this.saved = form.dataset.unsaved === undefined && isAsServed(form) ? essence(readFields(form)) : null;
    this.sent = new Set(); // what left without an answer: the site may have it, and then it is no other window's
    this.attempts = 0;
    const active = form.elements.active_seconds;
    this.life = new AbortController();
    const { signal } = this.life;
    if (active) { this.time = new ActiveTime(active, signal); this.startSeconds = this.time.seconds; }
    if (form.elements.pasted_characters) this.pasted = new Pasted(form, form.elements.pasted_characters, signal);
    form.addEventListener("input", (event) => { if (event.target.dataset?.noAutosave === undefined) this.changed(); });
    form.addEventListener("change", (event) => { if (event.target.dataset?.noAutosave === undefined) this.changed(); });
    form.addEventListener("submit", (event) => this.onSubmit(event));
    form.addEventListener("htmx:beforeRequest", (event) => { if (event.detail.elt === form) { this.onSubmit(); this.asked = true; this.show("saving", say("Handing in…")); } });
    // Not afterRequest: by then the answer may have replaced the form, which hears nothing any more.
    form.addEventListener("htmx:beforeOnLoad", (event) => { if (event.detail.elt === form) this.afterSubmit(event.detail.xhr.status); });
    for (const name of ["htmx:sendError", "htmx:sendAbort", "htmx:timeout"]) form.addEventListener(name, (event) => { if (event.detail.elt === form) this.afterSubmit(0); });
    form.addEventListener("click", (event) => this.holdBack(event), true);
    document.addEventListener("keydown", (event) => this.holdBack(event), { capture: true, signal });
    window.addEventListener("online", () => { this.attempts = 0; this.save(); }, { signal });
    window.addEventListener("offline", () => this.offline(), { signal });
    window.addEventListener("pagehide", () => this.leave(), { signal });
    window.addEventListener("pageshow", (event) => { if (event.persisted) { this.left = false; this.submitting = false; this.seen = null; this.changed(); } }, { signal });
    document.addEventListener("visibilitychange", () => { if (document.visibilityState === "hidden") this.flush(); }, { signal });
    window.addEventListener("beforeunload", (event) => { if (this.isDirty() && this.copy.refused && !this.submitting) event.preventDefault(); }, { signal });
    this.rest();
    this.recover();
  }

  /* What the line says while nothing is under way. */
  rest() {
    if (this.savedAt) this.show("saved", say("Saved %(time)s", { time: this.savedAt }));
    else if (this.revision > 1 && this.saved !== null) this.show("saved", say("Saved"));
    else this.show("", say("Nothing to save yet"));
  }

  isDirty() { return essence(readFields(this.form)) !== this.saved; }

  /* The site has what is on the page, and the browser's copy says nothing new. */
  settled() {
    clearTimeout(this.timer);
    this.firstChange = 0;
    this.copy.clear(Date.now());
    this.rest();
  }

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
    if (!this.isDirty()) { this.show("local", say("Offline")); return; }
    this.show("offline", this.copy.refused ? say("Offline, and this browser keeps no copy: do not close this page") : say("Offline, kept in this browser"));
  }

  /* A crash or a reload before the server had the words: offer what the browser kept. */
  recover() {
    const kept = this.copy.read();
    const mine = essence(readFields(this.form));
    if (!kept?.fields || this.form.dataset.unsaved !== undefined || essence(kept.fields) === mine) {
      if (this.isDirty()) this.changed();
      else if (kept?.fields) this.copy.clear();
      return;
    }
    this.sent.add(essence(kept.fields)); // sent perhaps as the page before closed, and not heard of since
    if (kept.revision === this.revision && mine === this.saved) {
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
    if (this.done || now === this.seen) return;
    this.seen = now;
    if (this.submitting) { this.copy.write(readFields(this.form), this.revision); return; }
    if (now === this.saved) { if (!this.running && !this.stopped) this.settled(); return; }
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
    if (!this.isDirty()) { this.settled(); return; }
    if (!navigator.onLine) { this.offline(); return; }
    this.firstChange = 0;
    this.time?.tick();
    const fields = readFields(this.form);
    if (this.refused === essence(fields)) return; // it would be refused again
    this.askedAt = Date.now();
    this.running = true;
    this.show("saving", say("Saving…"));
    const { status, ok, data } = await this.send(fields);
    this.running = false;
    if (this.submitting) { if (ok) this.adopt(data, fields); return; }
    this.afterSave(status, ok, data, fields);
    if (this.again) { this.again = false; this.save(); }
  }

  /* {status, ok, data}; status 0 where no answer came in time. */
  async send(fields) {
    const mark = essence(fields);
    this.sent.add(mark);
    const patience = new AbortController();
    const bell = setTimeout(() => patience.abort(), PATIENCE);
    try {
      const answer = await fetch(this.url, {
        method: this.form.dataset.autosaveMethod || "PUT", credentials: "same-origin", headers: this.headers(), signal: patience.signal,
        body: JSON.stringify({ revision: this.revision, fields }),
      });
      const data = await answer.json().catch(() => ({}));
      if (answer.status < 500 && answer.status !== 409) this.sent.delete(mark); // it was heard, and said what became of it
      return { status: answer.status, ok: answer.ok, data };
    } catch { return { status: 0, ok: false, data: {} }; } finally { clearTimeout(bell); }
  }

  afterSave(status, ok, data, fields) {
    if (ok) { this.accepted(data, fields); return; }
    if (status === 401) { this.signedOut(); return; }
    const isStaleToken = status === 403 && /^CSRF Failed/.test(data.error?.message || "");
    if (isStaleToken && !this.renewed) {
      // Somebody signed in again in another tab: with that tab's token it goes on.
      this.renewed = true;
      this.schedule(RETRY[2]); // should the new token not be had now
      document.dispatchEvent(new CustomEvent("app:stale-token", { detail: { retry: () => this.save() } }));
      return;
    }
    const other = status === 409 ? otherVersion(data) : null;
    if (other && this.sent.has(essence(other.fields))) { this.takeOver(other); return; }
    if (other) { this.resolveConflict(other); return; }
    if ([413, 422].includes(status)) { this.refused = essence(fields); this.refuse(data, status); return; }
    if ([403, 404, 409, 410].includes(status) && !isStaleToken) { this.stop(data, status); return; }
    this.renewed = false;
    this.saved = null; // what the site has now is not known
    const wait = RETRY[Math.min(this.attempts, RETRY.length - 1)];
    this.attempts += 1;
    const kept = this.copy.refused ? say("Not saved: the site does not answer. Trying again…") : say("Not saved on the site yet, kept in this browser. Trying again…");
    if (navigator.onLine) this.show("offline", kept); else this.offline();
    this.schedule(wait);
  }

  /* What the site has is what this page sent before and never heard of: no other window's words, and nothing to ask about. */
  takeOver({ fields, revision }) {
    this.sent.delete(essence(fields));
    this.adopt({ revision }, fields);
    this.savedAt = clock(new Date());
    this.save();
  }

  /* Also where it was saved while the form was handed in: should the site refuse that, the next save knows what was saved last. */
  adopt(data, fields) {
    this.renewed = false;
    this.refused = null;
    this.revision = data.revision ?? this.revision + 1;
    this.form.dataset.revision = String(this.revision);
    const input = this.form.elements.revision;
    if (input) input.value = String(this.revision);
    this.saved = essence(fields);
    this.savedSeconds = Number(fields.active_seconds) || 0;
  }

  accepted(data, fields) {
    this.attempts = 0;
    this.sent.clear();
    this.adopt(data, fields);
    this.savedAt = clock(data.saved_at ? new Date(data.saved_at) : new Date());
    this.form.dispatchEvent(new CustomEvent("autosave:saved", { bubbles: true, detail: data }));
    if (this.isDirty()) { this.copy.write(readFields(this.form), this.revision); this.schedule(); return; }
    this.copy.clear(this.askedAt);
    this.show("saved", say("Saved %(time)s", { time: this.savedAt }));
  }

  signedOut() {
    this.problem(say("Signed out: your text is kept. Sign in to go on"));
    document.dispatchEvent(new CustomEvent("app:signed-out", { detail: { retry: () => this.save() } }));
  }

  /* The task was closed, taken or handed in: stop, say why, and leave the words in the browser. */
  stop(data, status) {
    this.stopped = true;
    clearTimeout(this.timer);
    this.refuse(data, status);
    this.form.dispatchEvent(new CustomEvent("autosave:stopped", { bubbles: true, detail: { status, ...data } }));
  }

  /* These words are not taken (too many, say); what is written next may be. */
  refuse(data, status) {
    const reason = data.error?.message || say("The site no longer takes this draft (%(status)s).", { status });
    const kept = this.copy.refused ? say("Copy your text before you leave.") : say("Your text is kept in this browser.");
    this.problem([reason, kept].join(" "));
  }

  /* ── two versions: show both, the person decides ── */
  resolveConflict({ fields, revision, fromBrowser }) {
    if (this.conflict) return;
    this.conflict = true;
    const mine = readFields(this.form);
    if (essence(mine) === essence({ ...mine, ...fields })) { this.conflict = false; this.revision = revision; this.saved = essence(mine); this.copy.clear(); this.show("saved", say("Saved")); return; }
    this.problem(say("Two versions of this draft: choose one"));
    this.form.dispatchEvent(new CustomEvent("autosave:conflict", { bubbles: true, detail: { mine, fields, revision } }));
    const dialog = conflictDialog(mine, fields, fromBrowser, lettersOf(this.form), (name) => wordsFor(this.form, name));
    dialog.addEventListener("cancel", (event) => event.preventDefault()); // Escape would choose, and one text would go
    dialog.addEventListener("close", () => {
      if (!dialog.returnValue) { dialog.showModal(); return; }
      dialog.remove();
      this.conflict = false;
      this.revision = revision;
      this.sent.clear();
      this.saved = fromBrowser ? this.saved : essence({ ...mine, ...fields });
      this.seen = null;
      if (dialog.returnValue === "other") writeFields(this.form, fields);
      this.changed();
      this.save();
      if (!this.isDirty()) { this.copy.clear(); this.show("saved", say("Saved")); }
    });
    document.body.append(dialog);
    dialog.showModal();
  }

  /* ── handing in ── */
  onSubmit(event) {
    this.time?.tick();
    clearTimeout(this.timer);
    this.copy.write(readFields(this.form), this.revision);
    this.askedAt = Date.now();
    this.handed = readFields(this.form);
    this.submitting = true;
    // A later listener may hold the submission back (a confirmation): look once everybody has had a say.
    setTimeout(() => { if (event?.defaultPrevented && !this.asked) this.notSubmitted(); });
    setTimeout(() => { if (!this.left && !this.asked) this.notSubmitted(); }, 1500);
  }

  notSubmitted() {
    if (!this.submitting) return;
    this.submitting = this.asked = false;
    this.seen = null;
    this.rest();
    this.changed();
  }

  /* While it is on its way no key or click acts: it could not come along, and would be meant for another page by then. Words are
     typed as ever: they are told apart from what was sent (lateWords). */
  holdBack(event) {
    if (!this.asked || (event.type === "keydown" && (event.key === "Tab" || event.ctrlKey || event.metaKey))) return;
    if (event.target.matches?.(WORDS) && !event.altKey) { event.stopPropagation(); return; }
    event.preventDefault();
    event.stopPropagation();
  }

  /* [name, words as sent, words now] of each text that was written on while the form was handed in. */
  lateWords() {
    return [...this.form.elements].filter((control) => control.name && control.matches(WORDS) && control.name in (this.handed || {}) && control.value !== this.handed[control.name])
      .map((control) => [control.name, this.handed[control.name], control.value]);
  }

  afterSubmit(status) {
    if (status < 200 || status >= 300) { this.notSubmitted(); return; }
    this.submitting = this.asked = false;
    this.copy.clear(this.askedAt);
    this.stopped = true;
    this.done = true;
    this.time?.stop();
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
    this.sent.add(essence(readFields(this.form))); // the page may come back as it was
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
  if (Array.isArray(data)) return data.map((each) => letter(each ?? "—")).join(", ");
  return Object.entries(data).map(([id, each]) => `${letter(id)}: ${typeof each === "object" ? Object.values(each).filter(Boolean).join(", ") : each}`).join("; ");
}

/* A field as the person knows it: by its label or legend. */
function wordsFor(form, name) {
  const found = form.elements[name];
  const control = found instanceof RadioNodeList ? found[0] : found;
  const label = control?.closest?.("fieldset")?.querySelector("legend") || control?.labels?.[0];
  const group = control?.closest?.("[role=group][aria-label]")?.getAttribute("aria-label"); // flags: one box of many
  const words = control?.matches?.("[type=checkbox]") && group ? group : label?.textContent;
  return words?.replace(/[*\s]+/g, " ").trim() || name.replaceAll("_", " ");
}

function conflictDialog(mine, other, fromBrowser, letters, named) {
  const silent = (name) => MEASURED.has(name) || name === "touched" || /^(score|flag)-/.test(name); // said by "scores" and "flags" too
  const texts = (fields) => Object.entries(fields).filter(([name, value]) => !silent(name) && essence({ [name]: mine[name] ?? "" }) !== essence({ [name]: other[name] ?? mine[name] ?? "" }) && value !== "")
    .map(([name, value]) => (Object.keys(fields).length > 1 ? `${named(name)}:\n${readable(name, value, letters)}` : String(value))).join("\n\n");
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

/* What this browser kept of a draft whose task is gone: shown where the page asks for it, unless the page has the words. */
function showLeft(root) {
  for (const node of root.querySelectorAll("[data-draft-left]:not([data-draft-shown])")) {
    node.dataset.draftShown = "";
    const kept = new LocalCopy(`draft:${document.body.dataset.user || "nobody"}:${node.dataset.draftLeft}`).read();
    const words = ["prompt", "text", "rationale"].map((name) => String(kept?.fields?.[name] ?? "").trim()).filter(Boolean);
    if (!words.length || words.every((each) => document.querySelector("main").textContent.includes(each))) continue;
    node.querySelector("[data-draft-words]").textContent = words.join("\n\n");
    node.querySelector("[data-draft-forget]").addEventListener("click", () => { new LocalCopy(`draft:${document.body.dataset.user || "nobody"}:${node.dataset.draftLeft}`).clear(); node.remove(); document.getElementById("main").focus(); });
    node.hidden = false;
  }
}

/* What was written while a form was handed in: the same form that came back gets it, else it is shown. */
function keepLate(autosave) {
  const { form } = autosave;
  const again = document.querySelector(`form[data-draft-key="${CSS.escape(form.dataset.draftKey || "")}"]`);
  for (const [name, sent, now] of autosave.lateWords()) {
    const field = again?.elements[name];
    if (field && field.value === sent) { field.value = now; field.dispatchEvent(new Event("input", { bubbles: true })); continue; }
    const written = now.startsWith(sent) ? now.slice(sent.length) : now;
    if (written.trim()) document.dispatchEvent(new CustomEvent("app:toast", { detail: { message: say("Written while it was handed in, and not part of it: “%(text)s”", { text: written.trim() }), level: "warning", seconds: 60 } }));
  }
}

const alive = new Set();
function start(root) {
  for (const autosave of alive) if (!autosave.form.isConnected) { keepLate(autosave); autosave.destroy(); alive.delete(autosave); }
  forgetDone(root);
  showLeft(root);
  for (const form of root.querySelectorAll("form[data-autosave-url]:not([data-autosave-ready])")) {
    form.dataset.autosaveReady = "";
    alive.add(new Autosave(form));
  }
}
LocalCopy.prune();
start(document);
document.body.addEventListener("htmx:afterSettle", (event) => start(event.detail.elt?.parentElement || document));
