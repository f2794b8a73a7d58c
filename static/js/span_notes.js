/* Comments on stretches of a text: marked in the text as it was written (a read-only text area, so that mouse, caret, keys and screen readers all
   work as everywhere), or taken from a selection in the rendered text where its words stand once. Contract: docs/design-system.md, "Notes on stretches".
   On the ranking screen the notes are a field of the form (saved with the draft); elsewhere the dialog's form sends one to the server. */

const segmenter = (granularity) => (globalThis.Intl?.Segmenter ? new Intl.Segmenter(undefined, { granularity }) : null);
const [SENTENCES, WORDS] = [segmenter("sentence"), segmenter("word")];

/* [start, end] of each sentence or word, in UTF-16 units, blanks around it left off. */
function stretches(text, step) {
  const parts = step === "s"
    ? (SENTENCES ? [...SENTENCES.segment(text)].map((part) => [part.index, part.segment]) : [...text.matchAll(/[^.!?\n]+[.!?]*/g)].map((match) => [match.index, match[0]]))
    : (WORDS ? [...WORDS.segment(text)].filter((part) => part.isWordLike).map((part) => [part.index, part.segment]) : [...text.matchAll(/[^\s]+/g)].map((match) => [match.index, match[0]]));
  return parts.filter(([, part]) => part.trim()).map(([index, part]) => [index + part.length - part.trimStart().length, index + part.trimEnd().length]);
}
/* UTF-16 units of the text area to code points of the raw text, where a line may end in "\r\n". */
function toCodePoints(raw, units) {
  let points = 0;
  for (let seen = 0, at = 0; seen < units && at < raw.length; seen += 1) {
    if (raw[at] === "\r" && raw[at + 1] === "\n") { at += 2; points += 2; continue; }
    const wide = raw.codePointAt(at) > 0xffff;
    if (wide) seen += 1;
    at += wide ? 2 : 1;
    points += 1;
  }
  return points;
}
function sliceByCodePoints(raw, start, end) { return [...raw].slice(start, end).join(""); }

const dialog = () => document.getElementById("span-dialog");
const part = (name) => dialog()?.querySelector(`[data-span-${name}]`);
const area = () => document.getElementById("span-text");
/* The raw text as JSON: markup would lose its "\r", and with it the places of all that follows. */
const rawOf = (name) => JSON.parse(document.querySelector(`[data-span-raw="${CSS.escape(name)}"]`)?.dataset.text || '""');

/* ── marking ── */
let key = "";
function showChosen() {
  const chosen = part("chosen");
  const { selectionStart: start, selectionEnd: end, value } = area();
  chosen.textContent = end > start ? chosen.dataset.some.replace("#", () => `“${value.slice(start, end)}”`) : chosen.dataset.none;
}
function choose(start, end) {
  area().setSelectionRange(start, end);
  // The caret's line comes into view in all browsers only on focus.
  if (document.activeElement !== area()) { const back = document.activeElement; area().focus(); back?.focus?.(); }
  showChosen();
}
function walk(step, backwards) {
  const { selectionStart: start, selectionEnd: end, value } = area();
  if (step === "+" || step === "-") {
    const words = stretches(value, "w");
    const marked = words.filter(([wordStart, wordEnd]) => wordStart >= start && wordEnd <= end);
    const to = step === "+" ? words.find(([, wordEnd]) => wordEnd > end)?.[1] : marked.at(-2)?.[1];
    if (to !== undefined) choose(start, to);
    return;
  }
  const all = stretches(value, step);
  const next = backwards ? all.filter(([, partEnd]) => partEnd <= start).at(-1) : all.find(([partStart]) => (end > start ? partStart >= end : partStart >= start)) ;
  if (next) choose(...next);
}
const unsent = new Map(); // comments begun and not added, by text: a dialog that closes takes no words with it
let held = ""; // what was selected as the pointer went down on the button: some browsers drop the selection then
function open(button) {
  key = button.dataset.spanOpen;
  const raw = rawOf(key);
  const quote = held || selectedIn(button);
  held = "";
  part("title").textContent = button.dataset.spanName || "";
  part("key-input").value = key;
  area().value = raw;
  document.getElementById("span-comment").value = unsent.get(key) || "";
  dialog().showModal();
  area().focus();
  area().setSelectionRange(0, 0);
  const place = quote ? area().value.indexOf(quote) : -1;
  const isOnce = place >= 0 && area().value.indexOf(quote, place + 1) < 0;
  if (isOnce) choose(place, place + quote.length); else showChosen();
  if (quote && !isOnce) part("chosen").textContent = part("chosen").dataset.twice;
}
/* What the person has selected on the page, if it lies in the text that this button is about. */
function selectedIn(button) {
  const selection = document.getSelection();
  if (!selection || selection.isCollapsed) return "";
  const holder = selection.anchorNode.parentElement?.closest("[data-completion], [data-span-rendered], [data-span-key]");
  const about = holder?.dataset.completion || holder?.dataset.spanRendered || holder?.dataset.spanKey;
  return about === button.dataset.spanOpen ? selection.toString().trim() : "";
}

/* ── notes that are a field of the form ── */
const notesOf = (input) => { try { const notes = JSON.parse(input.value || "[]"); return Array.isArray(notes) ? notes : []; } catch { return []; } };
function write(input, notes) {
  input.value = JSON.stringify(notes);
  input.dispatchEvent(new Event("input", { bubbles: true }));
  draw(input);
}
function draw(input) {
  const section = input.closest("[data-span-notes]");
  const list = section.querySelector("[data-span-list]");
  const notes = notesOf(input);
  list.replaceChildren(...notes.map((note, index) => item(section, input, note, index)));
  list.hidden = notes.length === 0;
  highlight();
}
function footOf(card) {
  const foot = Object.assign(document.createElement("div"), { className: "completion-foot" });
  card.append(foot);
  return foot;
}
/* Cards of the pairwise screen go by their side. */
function letterOf(card) { return card?.dataset.letter || card?.dataset.side?.toUpperCase() || "?"; }
function item(section, input, note, index) {
  const node = document.createElement("li");
  node.className = "cluster small";
  const letter = letterOf(document.querySelector(`[data-completion="${CSS.escape(String(note.completion))}"]`));
  const quote = Object.assign(document.createElement("q"), { textContent: sliceByCodePoints(rawOf(String(note.completion)), note.start, note.end), className: "mono", dir: "auto" });
  const words = Object.assign(document.createElement("span"), { textContent: note.comment, dir: "auto" });
  const remove = Object.assign(document.createElement("button"), { type: "button", className: "btn btn-s btn-ghost", textContent: section.dataset.spanRemove });
  remove.setAttribute("aria-label", `${section.dataset.spanRemove}: ${quote.textContent.slice(0, 60)}`);
  remove.addEventListener("click", () => {
    write(input, notesOf(input).filter((_, place) => place !== index));
    (section.querySelector("[data-span-list] button") || document.querySelector(`[data-span-open="${CSS.escape(String(note.completion))}"]`))?.focus();
  });
  node.append(Object.assign(document.createElement("strong"), { textContent: letter }), quote, words, remove);
  return node;
}
function begin() {
  for (const section of document.querySelectorAll("[data-span-notes]:not([data-ready])")) {
    section.dataset.ready = "";
    section.querySelectorAll("[data-span-open]").forEach((button) => { button.hidden = false; });
    const input = section.querySelector("[data-span-input]");
    if (input) prepare(section, input);
  }
  highlight();
}
function prepare(section, input) {
  for (const card of section.closest("form").querySelectorAll("[data-completion]")) {
    const button = Object.assign(document.createElement("button"), { type: "button", className: "btn btn-s btn-ghost", textContent: section.dataset.spanLabel });
    button.dataset.spanOpen = card.dataset.completion;
    button.dataset.spanName = section.dataset.spanName.replace("#", letterOf(card));
    button.setAttribute("aria-label", `${section.dataset.spanLabel}: ${button.dataset.spanName}`);
    (card.querySelector(".rank-moves") || card.querySelector(".completion-foot") || footOf(card)).append(button);
    card.addEventListener("keydown", (event) => {
      if (event.target === card && event.key === "m" && !event.ctrlKey && !event.metaKey && !event.altKey) { event.preventDefault(); open(button); }
    });
  }
  input.closest("form").addEventListener("autosave:restored", () => draw(input));
  draw(input);
}

/* ── the same stretches in the rendered texts: only where the words stand once ── */
function highlight() {
  if (!globalThis.CSS?.highlights) return;
  const found = [];
  for (const node of document.querySelectorAll("[data-span-quotes]")) {
    const rendered = document.querySelector(`[data-span-rendered="${CSS.escape(node.dataset.spanKey)}"]`);
    if (rendered) for (const quote of JSON.parse(node.dataset.spanQuotes)) found.push(rangeOf(rendered, quote));
  }
  const input = document.querySelector("[data-span-input]");
  for (const note of input ? notesOf(input) : []) {
    const body = document.querySelector(`[data-completion="${CSS.escape(String(note.completion))}"] .completion-body`);
    if (body) found.push(rangeOf(body, sliceByCodePoints(rawOf(String(note.completion)), note.start, note.end)));
  }
  CSS.highlights.set("span-note", new Highlight(...found.filter(Boolean)));
}
function rangeOf(root, quote) {
  const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
  const places = [];
  let text = "";
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    for (let at = 0; at < node.data.length; at += 1) {
      const blank = /\s/.test(node.data[at]);
      if (blank && text.endsWith(" ")) continue;
      text += blank ? " " : node.data[at];
      places.push([node, at]);
    }
  }
  const wanted = quote.replace(/\s+/g, " ").trim();
  const start = wanted ? text.indexOf(wanted) : -1;
  if (start < 0 || text.indexOf(wanted, start + 1) >= 0) return null;
  const range = document.createRange();
  range.setStart(...places[start]);
  const [last, offset] = places[start + wanted.length - 1];
  range.setEnd(last, offset + 1);
  return range;
}

document.addEventListener("pointerdown", (event) => {
  const opener = event.target.closest?.("[data-span-open]");
  held = opener ? selectedIn(opener) : "";
}, true);
document.addEventListener("click", (event) => {
  const opener = event.target.closest?.("[data-span-open]");
  if (opener) open(opener);
  const step = event.target.closest?.("[data-span-step]");
  if (step) walk(step.dataset.spanStep, event.shiftKey);
});
document.addEventListener("keydown", (event) => {
  if (event.target.id !== "span-text" || event.ctrlKey || event.metaKey || event.altKey) return;
  const step = event.key.toLowerCase() === "−" ? "-" : event.key.toLowerCase();
  if (["s", "w", "+", "-"].includes(step)) { event.preventDefault(); walk(step, event.shiftKey); }
  else if (event.key === "Enter") { event.preventDefault(); document.getElementById("span-comment").focus(); }
});
for (const name of ["keyup", "mouseup", "select"]) document.addEventListener(name, (event) => { if (event.target.id === "span-text") showChosen(); });
document.addEventListener("input", (event) => { if (event.target.id === "span-comment") unsent.set(key, event.target.value); });
document.addEventListener("submit", (event) => {
  if (!event.target.matches("[data-span-form]")) return;
  const { selectionStart: start, selectionEnd: end } = area();
  if (end <= start) { event.preventDefault(); event.stopPropagation(); part("chosen").textContent = part("chosen").dataset.none; area().focus(); return; }
  unsent.delete(key);
  const raw = rawOf(key);
  const [from, to] = [toCodePoints(raw, start), toCodePoints(raw, end)];
  part("start").value = from;
  part("end").value = to;
  const input = document.querySelector("[data-span-input]");
  if (input) write(input, [...notesOf(input), { completion: key, start: from, end: to, comment: document.getElementById("span-comment").value }]);
}, true);
begin();
document.body.addEventListener("htmx:afterSettle", begin);
