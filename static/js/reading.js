/* Reading completions: side by side or stacked (remembered for the person), long texts whole or short, scrolling together,
   raw text, differences to one of them. Works on a [data-reading] around [data-completion] cards (contract: docs/design-system.md). */

const MOST_CELLS = 6_000_000; // of the table that compares two texts word by word; longer ones are compared by sentence
const ALIKE = 0.5; // from this share of common words on, what is missing is shown too
// Words; each sign of a script without blanks; each other sign.
const WORD = /\s+|[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}\p{Script=Lao}\p{Script=Khmer}\p{Script=Myanmar}]\p{M}*|[\p{L}\p{N}_\p{M}]+|[^\s\p{L}\p{N}_]/gu;
const SENTENCE = /[^.!?。！？\n]*[.!?。！？\n]+|[^.!?。！？\n]+$/gu;

const announce = (text) => document.dispatchEvent(new CustomEvent("app:announce", { detail: text }));

/* ── differences: pure functions over lists of words ── */

/* For each word of `other`: is it part of the longest common run with `reference`; and what is missing before it. */
export function compare(reference, other) {
  let start = 0;
  while (start < reference.length && start < other.length && reference[start] === other[start]) start += 1;
  let end = 0;
  while (end < reference.length - start && end < other.length - start && reference.at(-1 - end) === other.at(-1 - end)) end += 1;
  const a = reference.slice(start, reference.length - end);
  const b = other.slice(start, other.length - end);
  if (a.length * b.length > MOST_CELLS) return null;
  const width = b.length + 1;
  const lengths = new Uint16Array((a.length + 1) * width);
  for (let i = a.length - 1; i >= 0; i -= 1) {
    for (let j = b.length - 1; j >= 0; j -= 1) {
      lengths[i * width + j] = a[i] === b[j] ? lengths[(i + 1) * width + j + 1] + 1 : Math.max(lengths[(i + 1) * width + j], lengths[i * width + j + 1]);
    }
  }
  const same = other.map((_, index) => index < start || index >= other.length - end);
  const missing = new Map();
  let i = 0;
  let j = 0;
  const drop = () => { const at = start + j; missing.set(at, [...(missing.get(at) || []), a[i]]); i += 1; };
  while (i < a.length && j < b.length) {
    if (a[i] === b[j]) { same[start + j] = true; i += 1; j += 1; } else if (lengths[(i + 1) * width + j] >= lengths[i * width + j + 1]) drop(); else j += 1;
  }
  j = b.length;
  while (i < a.length) drop();
  return { same, missing };
}

/* The words of an element with where they are; formulas stay whole and uncompared. */
function wordsOf(body, pattern) {
  const found = [];
  const walker = document.createTreeWalker(body, NodeFilter.SHOW_TEXT, (node) => (node.parentElement.closest("math") ? NodeFilter.FILTER_REJECT : NodeFilter.FILTER_ACCEPT));
  while (walker.nextNode()) {
    const node = walker.currentNode;
    for (const match of node.data.matchAll(pattern)) if (match[0].trim()) found.push({ node, word: match[0], start: match.index, end: match.index + match[0].length });
  }
  return found;
}

/* Words with a blank between them, signs of a script without blanks as they stand. */
const UNSPACED = /^[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}\p{Script=Lao}\p{Script=Khmer}\p{Script=Myanmar}]/u;
const joined = (words, pattern) => words.reduce((text, word) => text + (text && pattern === WORD && !UNSPACED.test(word) ? " " : "") + word, "");

const element = (tag, text) => { const node = document.createElement(tag); node.textContent = text; return node; };

/* Marks in `body` what the reference does not have; returns the share of its words that both have, or null where both are too long. */
function markDifferences(body, reference) {
  for (const pattern of [WORD, SENTENCE]) {
    const words = wordsOf(body, pattern);
    const result = compare(wordsOf(reference, pattern).map((one) => one.word.trim()), words.map((one) => one.word.trim()));
    if (!result) continue;
    // Full stops and commas are in every text: they tell nothing of how alike two are.
    const spoken = words.map((one, index) => /[\p{L}\p{N}]/u.test(one.word) && [result.same[index]]).filter(Boolean).flat();
    const share = spoken.length ? spoken.filter(Boolean).length / spoken.length : 1;
    const lost = (index) => (share >= ALIKE && joined(result.missing.get(index) || [], pattern)) || "";
    for (const node of new Set(words.map((one) => one.node))) rewrite(node, words, result.same, lost);
    return share;
  }
  return null;
}

/* One text node anew: what both have as it was, what only this one has in <ins>, what is missing before a word in <del>. */
function rewrite(node, words, same, lost) {
  const pieces = document.createDocumentFragment();
  let at = 0;
  let mark = null; // the <ins> that is being written
  words.forEach((one, index) => {
    if (one.node !== node) return;
    const gap = node.data.slice(at, one.start);
    const gone = lost(index);
    if (mark && !same[index] && !gone) mark.append(gap); else { pieces.append(gap); mark = null; }
    if (gone) pieces.append(element("del", gone), UNSPACED.test(gone) ? "" : " ");
    const text = node.data.slice(one.start, one.end);
    if (same[index]) pieces.append(text);
    else if (mark) mark.append(text);
    else { mark = element("ins", text); pieces.append(mark); }
    at = one.end;
  });
  pieces.append(node.data.slice(at));
  const isLast = words.at(-1).node === node;
  if (isLast && lost(words.length)) pieces.append(" ", element("del", lost(words.length)));
  node.replaceWith(pieces);
}

/* ── the widget ── */
class Reading {
  constructor(root) {
    this.root = root;
    this.cards = [...root.querySelectorAll("[data-completion]")];
    this.bodies = [...root.querySelectorAll("[data-body]")];
    this.originals = new Map(this.bodies.map((body) => [body, [...body.childNodes].map((node) => node.cloneNode(true))]));
    this.select = root.querySelector("[data-compare]");
    root.addEventListener("click", (event) => this.onClick(event));
    root.addEventListener("keydown", (event) => this.onKey(event));
    this.select?.addEventListener("change", () => this.compareWith(this.select.value));
    for (const body of this.bodies) body.addEventListener("scroll", () => this.follow(body), { passive: true });
    this.together = root.querySelector("[data-scroll-together]")?.getAttribute("aria-pressed") === "true";
    this.sizes = new ResizeObserver(() => this.measure());
    for (const body of this.bodies) this.sizes.observe(body);
    this.measure();
  }

  onClick(event) {
    const button = event.target.closest("button");
    if (!button || !this.root.contains(button)) return;
    if (button.matches("[data-layout-choice]")) this.layOut(button.dataset.layoutChoice);
    else if (button.matches("[data-layout-next]")) this.layOut(this.layout === "side" ? "stacked" : "side");
    else if (button.matches("[data-expand]")) this.expand(button.closest("[data-completion]"));
    else if (button.matches("[data-expand-all]")) this.expandAll();
    else if (button.matches("[data-scroll-together]")) this.scrollTogether(!this.together);
    else if (button.matches("[data-raw-toggle]")) this.showRaw(button.getAttribute("aria-pressed") !== "true");
    else if (button.matches("[data-compare-next]")) this.compareNext();
  }

  /* V on a completion: the others show how they differ from it; again: no more. */
  onKey(event) {
    const card = event.target.closest("[data-completion]");
    if (event.key !== "v" || event.ctrlKey || event.metaKey || event.altKey || !card || event.target.matches("input:not([type=radio], [type=checkbox]), select, textarea")) return;
    event.preventDefault();
    this.compareWith(this.select.value === card.dataset.completion ? "" : card.dataset.completion);
  }

  /* ── layout ── */
  get layout() { return this.root.querySelector("[data-layout]").dataset.layout; }
  layOut(layout) {
    this.root.querySelector("[data-layout]").dataset.layout = layout;
    for (const button of this.root.querySelectorAll("[data-layout-choice]")) button.setAttribute("aria-pressed", String(button.dataset.layoutChoice === layout));
    announce(layout === "side" ? say("Side by side") : say("One above the other"));
    this.remember({ ranking_layout: layout });
    this.measure();
  }

  /* For this person, on every device. Where the site does not answer, the page is as they want it all the same. */
  remember(changes) {
    const url = this.root.dataset.preferencesUrl;
    if (!url) return;
    fetch(url, {
      method: "PATCH", credentials: "same-origin", keepalive: true, body: JSON.stringify(changes),
      headers: { ...JSON.parse(document.body.getAttribute("hx-headers") || "{}"), "Content-Type": "application/json", Accept: "application/json" },
    }).then((answer) => { if (!answer.ok) announce(say("Not remembered (%(status)s).", { status: answer.status })); }, () => announce(say("Not remembered: the site cannot be reached.")));
  }

  /* ── long and short ── */
  isLong(body) { return body.scrollHeight > body.clientHeight + 4; }
  measure() {
    for (const card of this.cards) {
      const body = this.shown(card);
      const button = card.querySelector("[data-expand]");
      const expanded = card.hasAttribute("data-expanded");
      if (!button || !body.clientHeight) continue;
      button.hidden = !expanded && !this.isLong(body);
      // What scrolls must be reachable by keyboard.
      if (!expanded && this.isLong(body)) body.tabIndex = 0; else body.removeAttribute("tabindex");
      card.toggleAttribute("data-long", !expanded && this.isLong(body));
    }
    const all = this.root.querySelector("[data-expand-all]");
    if (all) all.disabled = !this.cards.some((card) => card.hasAttribute("data-long") || card.hasAttribute("data-expanded"));
    if (all) all.setAttribute("aria-pressed", String(this.allExpanded));
  }
  get allExpanded() { return this.cards.some((card) => card.hasAttribute("data-expanded")) && !this.cards.some((card) => card.hasAttribute("data-long")); }
  shown(card) { return [...card.querySelectorAll("[data-body]")].find((body) => !body.hidden); }
  expand(card, wanted = !card.hasAttribute("data-expanded")) {
    card.toggleAttribute("data-expanded", wanted);
    const button = card.querySelector("[data-expand]");
    button.setAttribute("aria-expanded", String(wanted));
    button.querySelector("[data-more]").hidden = wanted;
    button.querySelector("[data-less]").hidden = !wanted;
    this.measure();
    if (!wanted && card.getBoundingClientRect().top < 0) card.scrollIntoView({ block: "nearest" });
  }
  expandAll() {
    const wanted = !this.allExpanded;
    for (const card of this.cards) if (wanted ? card.hasAttribute("data-long") : card.hasAttribute("data-expanded")) this.expand(card, wanted);
    announce(wanted ? say("All texts in full") : say("Long texts shortened"));
  }

  /* ── scrolling together: the same share of each text ── */
  scrollTogether(wanted) {
    this.together = wanted;
    this.root.querySelector("[data-scroll-together]").setAttribute("aria-pressed", String(wanted));
    announce(wanted ? say("Texts scroll together") : say("Each text scrolls by itself"));
    this.remember({ scroll_together: wanted ? "yes" : "no" });
  }
  follow(leader) {
    if (!this.together || (this.leader && this.leader !== leader)) return;
    this.leader = leader;
    const share = leader.scrollTop / Math.max(1, leader.scrollHeight - leader.clientHeight);
    for (const body of this.bodies) if (body !== leader && !body.hidden) body.scrollTop = share * (body.scrollHeight - body.clientHeight);
    clearTimeout(this.leading);
    this.leading = setTimeout(() => { this.leader = null; }, 120); // the others' own scroll events are over by then
  }

  /* ── raw text ── */
  showRaw(wanted) {
    for (const body of this.bodies) body.hidden = body.hasAttribute("data-raw") !== wanted;
    this.root.querySelector("[data-raw-toggle]").setAttribute("aria-pressed", String(wanted));
    announce(wanted ? say("Text as it was written") : say("Text with its formatting"));
    this.measure();
  }

  /* ── differences ── */
  compareNext() {
    const values = [...this.select.options].map((option) => option.value);
    this.compareWith(values[(values.indexOf(this.select.value) + 1) % values.length]);
  }
  compareWith(id) {
    this.select.value = id;
    for (const [body, nodes] of this.originals) body.replaceChildren(...nodes.map((node) => node.cloneNode(true)));
    const reference = this.cards.find((card) => card.dataset.completion === id);
    for (const card of this.cards) this.showDifference(card, reference);
    this.root.querySelector("[data-difference-key]").hidden = !reference;
    announce(reference ? this.cards.filter((card) => card !== reference).map((card) => `${card.dataset.letter}: ${card.querySelector("[data-difference]").textContent}`).join(". ") : say("Differences are off"));
    this.measure();
  }
  showDifference(card, reference) {
    const note = card.querySelector("[data-difference]");
    card.toggleAttribute("data-reference", card === reference);
    if (!reference || card === reference) { note.textContent = reference ? say("compared with this") : ""; return; }
    const kinds = ["[data-body]:not([data-raw])", "[data-raw]"];
    const shares = kinds.map((kind) => markDifferences(card.querySelector(kind), reference.querySelector(kind)));
    const share = shares[0];
    note.textContent = share === null ? say("too long to compare") : share === 1 ? say("all its words are in %(name)s", { name: reference.dataset.letter }) : say("%(share)s % as in %(name)s", { share: Math.round(100 * share), name: reference.dataset.letter });
  }
}

function start(root) {
  for (const section of root.querySelectorAll("[data-reading]:not([data-reading-ready])")) {
    section.dataset.readingReady = "";
    new Reading(section);
  }
}
if (globalThis.document) {
  start(document);
  document.body.addEventListener("htmx:afterSettle", (event) => start(event.detail.elt?.parentElement || document));
}
