/* Behaviour every page has, and nothing that one page has alone. Other scripts talk to it by events on document: "app:toast", "app:announce". */

const body = document.body;
const store = {
  get(key) { try { return localStorage.getItem(key); } catch { return null; } },
  set(key, value) { try { localStorage.setItem(key, value); return true; } catch { return false; } },
};

function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) node.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
}

/* theme */
const THEMES = ["auto", "light", "dark"];
function themeWords(theme) {
  return { auto: say("Colour theme: as the system"), light: say("Colour theme: light"), dark: say("Colour theme: dark") }[theme];
}
function showTheme(button) {
  const theme = document.documentElement.dataset.theme || "auto";
  button.title = themeWords(theme);
}
function nextTheme() {
  const root = document.documentElement;
  const theme = THEMES[(THEMES.indexOf(root.dataset.theme || "auto") + 1) % THEMES.length];
  if (theme === "auto") delete root.dataset.theme; else root.dataset.theme = theme;
  store.set("theme", theme);
  document.querySelectorAll("[data-theme-toggle]").forEach(showTheme);
  document.dispatchEvent(new CustomEvent("app:theme"));
  announce(themeWords(theme));
}
document.querySelectorAll("[data-theme-toggle]").forEach(showTheme);

// The page one is on may lie outside a narrow strip. Not by scrollIntoView, after which Tab would begin at this link.
const current = document.querySelector(".sidenav [aria-current]");
if (current) {
  const strip = current.closest(".sidenav"), here = current.getBoundingClientRect(), whole = strip.getBoundingClientRect();
  strip.scrollLeft += here.left + here.width / 2 - (whole.left + whole.width / 2);
}

/* announcements and toasts */
function announce(text) {
  const region = document.getElementById("live-region");
  if (!region) return;
  region.textContent = "";
  requestAnimationFrame(() => { region.textContent = text; });
}

function toast({ message, level = "info", seconds }) {
  const host = document.getElementById("toasts");
  if (!host || !message) return;
  const close = el("button", { class: "btn btn-ghost btn-s", type: "button", "aria-label": say("Dismiss") }, "✕");
  const box = el("div", { class: `toast toast-${level}`, role: level === "error" ? "alert" : "status" }, el("p", {}, message), close);
  const remove = () => { box.remove(); if (!host.childElementCount && host.matches(":popover-open")) host.hidePopover(); };
  close.addEventListener("click", remove);
  // Anew, above a dialog that came later.
  if (host.matches(":popover-open")) host.hidePopover();
  host.append(box);
  host.showPopover();
  placeToasts();
  if (level !== "error") setTimeout(remove, (seconds || Math.max(5, message.length / 12)) * 1000);
}
/* Never over what has the focus, its label, nor the button that submits: just above one of them, or at the top. */
function placeToasts() {
  const host = document.getElementById("toasts");
  if (!host?.childElementCount) return;
  const spared = [...document.querySelectorAll(":focus, [data-shortcut='mod+enter']"), ...document.activeElement?.labels || []].filter((node) => !host.contains(node)).map((node) => node.getBoundingClientRect());
  const highest = innerHeight - host.offsetHeight - 8;
  for (const end of [16, ...spared.map(({ top }) => innerHeight - top + 8), highest]) {
    host.style.insetBlockEnd = `${Math.min(Math.max(end, 16), highest)}px`;
    const box = host.getBoundingClientRect();
    if (!spared.some((each) => each.bottom > box.top && each.top < box.bottom && each.right > box.left && each.left < box.right)) return;
  }
}
for (const name of ["focusin", "scroll", "resize"]) addEventListener(name, placeToasts, { passive: true });
const ASKED_AGAIN = new Set(["signed_out", "csrf_failed"]);
document.addEventListener("app:toast", (event) => toast(event.detail));
document.addEventListener("app:announce", (event) => announce(event.detail));
// From HX-Trigger; htmx wraps a bare string as {value: "..."}.
body.addEventListener("toast", (event) => {
  const detail = event.detail || {};
  if (ASKED_AGAIN.has(detail.code)) return; // what follows a failed request says or does more about it
  toast({ message: [detail.message || detail.value, detail.hint].filter(Boolean).join(" "), level: detail.level, seconds: detail.seconds });
});

/* dialogs */
function openDialog(dialog) {
  if (!dialog.open) dialog.showModal();
  dialog.querySelector("[autofocus]")?.focus();
}

function buildDialog(title, content, buttons, options = {}) {
  const heading = el("h2", { id: `dialog-${Math.random().toString(36).slice(2)}` }, title);
  const dialog = el("dialog", { class: `dialog ${options.wide ? "dialog-wide" : ""}`, "aria-labelledby": heading.id });
  const main = el("div", { class: "dialog-body" });
  main.append(...[].concat(content));
  const footer = el("footer");
  for (const button of buttons) {
    const node = el("button", { class: `btn ${button.style || ""}`, type: "button", autofocus: Boolean(button.focus) }, button.label);
    node.addEventListener("click", () => { if (button.action?.(dialog) !== false) dialog.close(button.value || ""); });
    footer.append(node);
  }
  dialog.append(el("header", {}, heading), main, footer);
  dialog.addEventListener("close", () => dialog.remove());
  body.append(dialog);
  return dialog;
}

function confirmDialog({ title, message, action = say("Continue"), keep = say("Cancel"), danger = false }) {
  return new Promise((resolve) => {
    const dialog = buildDialog(title, message ? el("p", {}, message) : [], [
      { label: keep, value: "", focus: danger },
      { label: action, value: "yes", style: danger ? "btn-danger-solid" : "btn-primary", focus: !danger },
    ]);
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"));
    openDialog(dialog);
  });
}

function confirmOptions(source) {
  return {
    title: source.dataset.confirm,
    message: source.dataset.confirmText,
    action: source.dataset.confirmAction || source.textContent.trim() || say("Continue"),
    keep: source.dataset.confirmKeep || undefined,
    danger: source.matches(".btn-danger, .btn-danger-solid, [data-confirm-danger]"),
  };
}

// hx-confirm and data-confirm alike ask through our dialog, never through window.confirm.
body.addEventListener("htmx:confirm", (event) => {
  if (!event.detail.question) return;
  event.preventDefault();
  const source = event.target;
  confirmDialog({ ...confirmOptions(source), title: event.detail.question }).then((yes) => { if (yes) event.detail.issueRequest(true); });
});
const confirmed = new WeakSet();
document.addEventListener("submit", (event) => {
  const form = event.target;
  const source = event.submitter?.dataset.confirm ? event.submitter : form.dataset.confirm ? form : null;
  if (!source || confirmed.has(form)) { confirmed.delete(form); return; }
  event.preventDefault();
  event.stopImmediatePropagation();
  const submitter = event.submitter;
  confirmDialog(confirmOptions(source)).then((yes) => {
    if (!yes) return;
    confirmed.add(form);
    form.requestSubmit(submitter);
  });
}, true);

// A second click while the first is on its way would make a second batch, rate or correction. Later one may try again.
const SENT_FOR_MS = 5000;
const sentAt = new WeakMap();
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (event.defaultPrevented || form.method !== "post") return;
  if (performance.now() - (sentAt.get(form) ?? -Infinity) < SENT_FOR_MS) event.preventDefault();
  else sentAt.set(form, performance.now());
});
window.addEventListener("pageshow", (event) => { if (event.persisted) for (const form of document.forms) sentAt.delete(form); });

/* clicks, by delegation */
async function copyText(source) {
  const target = source.dataset.copy ? document.querySelector(source.dataset.copy) : source.parentElement.querySelector("code, input");
  const text = source.dataset.copyText ?? (target?.value ?? target?.textContent ?? "");
  try {
    await navigator.clipboard.writeText(text);
    announce(say("Copied"));
    const before = source.dataset.label ?? source.textContent;
    source.dataset.label = before;
    source.textContent = say("Copied");
    setTimeout(() => { source.textContent = before; }, 1600);
  } catch {
    // The clipboard needs a secure context.
    if (target) getSelection().selectAllChildren(target);
    toast({ message: say("The browser does not let this page copy. The text is selected: press Ctrl+C."), level: "warning" });
  }
}

document.addEventListener("click", (event) => {
  const source = event.target.closest("[data-theme-toggle], [data-copy], [data-copy-text], [data-dialog], [data-dialog-close], [data-shortcuts-open], [data-filters-toggle], [data-dismiss]");
  for (const menu of document.querySelectorAll("details.menu[open]")) if (!menu.contains(event.target)) menu.open = false;
  if (!source) return;
  if (source.matches("[data-theme-toggle]")) nextTheme();
  else if (source.matches("[data-copy], [data-copy-text]")) copyText(source);
  else if (source.matches("[data-filters-toggle]")) foldFilters(document.documentElement.dataset.filters === "open");
  else if (source.matches("[data-dialog]")) openDialog(document.querySelector(source.dataset.dialog));
  else if (source.matches("[data-dialog-close]")) source.closest("dialog").close();
  else if (source.matches("[data-shortcuts-open]")) showShortcuts();
  else if (source.matches("[data-dismiss]")) source.closest(source.dataset.dismiss || ".notice").remove();
});

/* live length of a text: <output data-counter-for="id" data-max="500"> */
const graphemes = globalThis.Intl?.Segmenter ? new Intl.Segmenter(undefined, { granularity: "word" }) : null;
function words(text) {
  if (!graphemes) return text.split(/\s+/).filter(Boolean).length;
  let count = 0;
  for (const part of graphemes.segment(text)) if (part.isWordLike) count += 1;
  return count;
}
function count(output) {
  const source = document.getElementById(output.dataset.counterFor);
  if (!source) return;
  const length = [...source.value].length;
  const most = Number(output.dataset.max || source.maxLength);
  const limit = most > 0 ? most : 0;
  output.textContent = say("%(words)s words · %(length)s characters", { words: words(source.value), length: limit ? [length, limit].join(" / ") : length });
  output.dataset.state = limit && length > limit ? "over" : "";
}
document.addEventListener("input", (event) => {
  if (!event.target.id) return;
  document.querySelectorAll(`[data-counter-for="${CSS.escape(event.target.id)}"]`).forEach(count);
});

/* shortcuts: any element with data-shortcut="mod+enter" (what it does: data-shortcut-label, aria-label or its text) */
const isMac = /Mac|iPhone|iPad/.test(navigator.platform);
const KEY_NAMES = { mod: isMac ? "⌘" : "Ctrl", alt: isMac ? "⌥" : "Alt", shift: "Shift", enter: "Enter", escape: "Esc", arrowup: "↑", arrowdown: "↓", arrowleft: "←", arrowright: "→" };

function isTyping(target) {
  return target.matches?.("textarea, select, [contenteditable='true'], input:not([type=checkbox], [type=radio], [type=button], [type=submit], [type=range])");
}
function combination(event) {
  const parts = [];
  if (event.ctrlKey || event.metaKey) parts.push("mod");
  if (event.altKey) parts.push("alt");
  if (event.shiftKey && event.key.length > 1) parts.push("shift");
  // The key itself is meant where Option on a Mac types another sign ("π" for P), or a French digit key without Shift ("é" for 2).
  const printed = event.altKey ? /^Key([A-Z])$/ : !event.shiftKey && !event.getModifierState("AltGraph") && /^Digit(\d)$/;
  const key = printed && !/^[a-z\d/?]$/i.test(event.key) && printed.exec(event.code)?.[1];
  return [...parts, (key || event.key).toLowerCase()].join("+");
}
function visible(node) { return node.checkVisibility?.() ?? node.offsetParent !== null; }

function showShortcuts() {
  const list = el("dl", { class: "facts" });
  const add = (keys, label) => {
    const term = el("dt");
    for (const key of keys.split("+")) term.append(el("kbd", {}, KEY_NAMES[key.toLowerCase()] || (key.length === 1 ? key.toUpperCase() : key)), " ");
    list.append(term, el("dd", {}, label));
  };
  for (const node of document.querySelectorAll("[data-shortcut]")) {
    if (visible(node)) add(node.dataset.shortcut, node.dataset.shortcutLabel || node.getAttribute("aria-label") || node.textContent.replace(/\s+/g, " ").trim());
  }
  for (const node of document.querySelectorAll("[data-shortcuts]")) if (visible(node)) for (const [keys, label] of JSON.parse(node.dataset.shortcuts)) add(keys, label);
  add("escape", say("Close what lies over the page"));
  add("?", say("Show this sheet"));
  openDialog(buildDialog(say("Keyboard shortcuts"), list, [{ label: say("Close"), focus: true }]));
}

document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") {
    const menu = document.querySelector("details.menu[open]");
    if (menu) { menu.open = false; menu.querySelector("summary").focus(); return; }
  }
  if (event.defaultPrevented || event.isComposing) return;
  const keys = combination(event);
  const dialog = [...document.querySelectorAll("dialog[open]")].at(-1);
  if (dialog) {
    // A key means nothing below an open dialog; the one that submits a form submits the dialog's.
    const submit = keys === "mod+enter" && dialog.querySelector("form footer [type=submit]");
    if (submit) { event.preventDefault(); submit.click(); }
    return;
  }
  const typing = isTyping(event.target);
  if (keys === "?" && !typing) { event.preventDefault(); showShortcuts(); return; }
  // While somebody types, only combinations with a modifier may act.
  if (typing && !/^(mod|alt)\+/.test(keys)) return;
  for (const node of document.querySelectorAll("[data-shortcut]")) {
    if (node.dataset.shortcut.toLowerCase() !== keys || node.disabled || !visible(node)) continue;
    event.preventDefault();
    if (node.matches("input:not([type=submit], [type=button], [type=checkbox], [type=radio]), textarea, select, [tabindex]:not(button)")) node.focus(); else node.click();
    return;
  }
});

/* what scrolls sideways can be scrolled by key: a stop of its own, unless something in it is one */
const SCROLLERS = ".table-wrap, .copy-field code, .prose pre, .prose table, .diff-lines, .sidenav, .tabs";
const STOPS = "a[href], button, input, select, textarea, summary, [tabindex]";
const widths = new ResizeObserver((entries) => entries.forEach(({ target }) => reachScroller(target)));
function reachScroller(box) {
  const scrolls = box.scrollWidth > box.clientWidth || box.scrollHeight > box.clientHeight;
  if (scrolls && !box.querySelector(STOPS)) box.tabIndex = 0;
  else if (box.tabIndex === 0 && !box.matches("button, a")) box.removeAttribute("tabindex");
  showMore(box);
}
/* On which side of the box more lies: its edge fades there. */
function showMore(box) {
  const hidden = box.scrollWidth - box.clientWidth;
  const left = getComputedStyle(box).direction === "rtl" ? hidden + box.scrollLeft : box.scrollLeft;
  const sides = [left > 1 && "left", hidden - left > 1 && "right"].filter(Boolean).join(" ");
  if (sides) box.dataset.more = sides; else delete box.dataset.more;
}
function watchScrollers(root) {
  root.querySelectorAll?.(SCROLLERS).forEach((box) => { widths.observe(box); box.addEventListener("scroll", () => showMore(box), { passive: true }); });
}
watchScrollers(document);
/* On the root element, so that filters stay open from one choice to the next. */
function foldFilters(isFolded) {
  document.documentElement.dataset.filters = isFolded ? "folded" : "open";
  for (const button of document.querySelectorAll("[data-filters-toggle]")) button.setAttribute("aria-expanded", String(!isFolded));
}
body.addEventListener("htmx:afterSettle", () => foldFilters(document.documentElement.dataset.filters !== "open"));

body.addEventListener("htmx:afterSettle", (event) => watchScrollers(event.detail.elt || document));

body.addEventListener("htmx:afterSettle", () => {
  for (const node of document.querySelectorAll("[data-announce]:not([data-announced])")) { node.dataset.announced = ""; announce(node.textContent); }
});

/* focus is never lost after an htmx swap */
/* The first field that is wrong has the focus, and why is said there too if it stands outside the window. */
function focusWrong(field) {
  field.focus();
  const why = (field.getAttribute("aria-describedby") || "").split(/\s+/).map((id) => document.getElementById(id)).find((node) => node?.matches("[role=alert]"));
  if (why && why.getBoundingClientRect().bottom < 0) toast({ message: why.innerText, level: "warning" });
}
const focusBefore = new WeakMap(); // by request: a poll may come in between
function noteFocus(event) {
  const active = document.activeElement;
  // A request takes note of its own form's only: a button that is off while it runs has lost the focus when the answer comes.
  if (active && active !== body && (event.type !== "htmx:beforeRequest" || event.detail.elt.contains(active)))
    focusBefore.set(event.detail.xhr, { active, id: active.id, name: active.getAttribute("name"), value: active.matches("[type=radio], [type=checkbox]") ? `[value="${CSS.escape(active.value)}"]` : "" });
}
body.addEventListener("htmx:beforeRequest", noteFocus);
body.addEventListener("htmx:beforeSwap", noteFocus);
body.addEventListener("htmx:afterRequest", ({ detail: { xhr } }) => { if (document.activeElement === body) focusBefore.get(xhr)?.active.focus(); });
body.addEventListener("htmx:afterSettle", (event) => {
  setUp(event.detail.elt || document);
  const before = focusBefore.get(event.detail.xhr);
  focusBefore.delete(event.detail.xhr);
  const active = document.activeElement;
  // In what was swapped in, and nowhere else: a preview that comes must not take the focus from who is writing.
  const came = event.detail.elt;
  const wrong = came?.querySelector?.("[aria-invalid='true']");
  if (wrong) { focusWrong(wrong); return; }
  const wanted = came?.matches?.("[data-focus-after-swap]") ? came : came?.querySelector?.("[data-focus-after-swap]");
  if (wanted) { wanted.removeAttribute("data-focus-after-swap"); wanted.focus(); return; }
  // Only what the swap took away is given back: a poll must not pull the focus to itself.
  if (!before || (active && active !== body && active.isConnected)) return;
  const named = (more) => before.name && document.querySelector(`[name="${CSS.escape(before.name)}"]${more}`);
  const same = (before.id && document.getElementById(before.id)) || named(before.value) || named("");
  if (same) { same.focus({ preventScroll: true }); return; }
  const target = event.detail.target?.isConnected ? event.detail.target : document.getElementById("main");
  const heading = target?.querySelector?.("h1, h2, [tabindex]") || target;
  if (!heading) return;
  if (!heading.hasAttribute("tabindex")) heading.setAttribute("tabindex", "-1");
  heading.focus({ preventScroll: true });
});

/* failed requests say so; 401 asks to sign in without leaving the page */
function problemOf(text, status) {
  try { const { message, hint } = JSON.parse(text).error || {}; return [message, hint].filter(Boolean).join(" "); } catch { return status >= 500 ? say("The site could not do that just now. Nothing was lost; please try again.") : ""; }
}
/* Once more what asked: a form with the button that sends it. */
function again(source) {
  if (source.matches("form")) source.requestSubmit(source.querySelector("button[type=submit]")); else source.click?.();
}
const renewed = new Set(); // addresses that were tried again with a new token: once is enough
function codeOf(xhr) {
  try { return JSON.parse(xhr.getResponseHeader("HX-Trigger")).toast.code; } catch { return ""; } // not an answer of ours
}
body.addEventListener("htmx:responseError", (event) => {
  const { xhr } = event.detail;
  if (xhr.status === 401) { document.dispatchEvent(new CustomEvent("app:signed-out", { detail: { retry: () => again(event.detail.elt) } })); return; }
  if (codeOf(xhr) === "csrf_failed") {
    if (renewed.has(xhr.responseURL)) { toast({ message: say("The site did not accept this page's token. Reload the page; what you typed is kept."), level: "error" }); return; }
    renewed.add(xhr.responseURL);
    document.dispatchEvent(new CustomEvent("app:stale-token", { detail: { retry: () => again(event.detail.elt) } }));
    return;
  }
  if (/toast/i.test(xhr.getResponseHeader("HX-Trigger") || "")) return;
  toast({ message: problemOf(xhr.responseText, xhr.status) || say("That did not work (%(status)s). Nothing was changed.", { status: xhr.status }), level: "error" });
});
body.addEventListener("htmx:sendError", () => toast({ message: say("The site cannot be reached. Check the connection; what you typed is kept."), level: "error" }));

async function freshToken() {
  const answer = await fetch("/", { credentials: "same-origin", headers: { Accept: "text/html" } });
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  return { headers: page.body.getAttribute("hx-headers"), user: page.body.dataset.user || "" };
}

function adoptToken(headers) {
  body.setAttribute("hx-headers", headers);
  const token = JSON.parse(headers)["X-CSRFToken"];
  document.querySelectorAll("input[name=csrfmiddlewaretoken]").forEach((input) => { input.value = token; });
}

let signingIn = null;
function signInHere() {
  signingIn ||= import(body.dataset.signIn).then(({ signIn }) => signIn({ el, buildDialog, openDialog, freshToken, adoptToken })).finally(() => { signingIn = null; });
  return signingIn;
}
document.addEventListener("app:signed-out", async (event) => {
  try {
    if (await signInHere()) { toast({ message: say("Signed in again."), level: "success" }); event.detail?.retry?.(); }
  } catch { toast({ message: say("Your session ended, and the form to sign in cannot be had. Sign in in another tab, then go on here: nothing is lost."), level: "error" }); }
});

/* As the server writes days and times, 2026-11-21 16:40, in the reader's time zone. */
function localTime(when) {
  const two = (number) => String(number).padStart(2, "0");
  return `${when.getFullYear()}-${two(when.getMonth() + 1)}-${two(when.getDate())} ${two(when.getHours())}:${two(when.getMinutes())}`;
}
/* Another tab signed in again and has a new token: taken over for the same person only. */
document.addEventListener("app:stale-token", async (event) => {
  const { headers, user } = await freshToken();
  if (!user) { document.dispatchEvent(new CustomEvent("app:signed-out", { detail: event.detail })); return; }
  if (user !== body.dataset.user) { location.reload(); return; }
  adoptToken(headers);
  event.detail?.retry?.();
});

/* everything that new content needs */
function setUp(root) {
  root.querySelectorAll?.("[data-counter-for]").forEach(count);
  root.querySelectorAll?.("[data-scroll-to-current] [aria-current]").forEach((node) => {
    const strip = node.closest("[data-scroll-to-current]");
    if (strip.scrollWidth > strip.clientWidth) strip.scrollLeft = node.offsetLeft - strip.clientWidth / 2 + node.offsetWidth / 2;
  });
  root.querySelectorAll?.("time[data-local]").forEach((node) => {
    const when = new Date(node.dateTime);
    if (!Number.isNaN(when.valueOf())) { node.title = node.dateTime; node.textContent = localTime(when); }
  });
}
setUp(document);
