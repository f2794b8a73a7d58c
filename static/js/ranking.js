/* The ranking widget (contract: docs/design-system.md, "Ranking"). Texts stay where they are; letters move on a board of K places.
   One state object, one render; drag, keys and buttons all go through `act`. */

const ORDINALS = [say("1st"), say("2nd"), say("3rd"), say("4th"), say("5th"), say("6th"), say("7th"), say("8th"), say("9th")];
const ORDINAL = (n) => ORDINALS[n - 1];
const asId = (text) => (/^\d{1,15}$/.test(text) ? Number(text) : text);
const DEFAULT_MARGINS = [
  { value: "significantly", label: "significantly better" }, { value: "clearly", label: "clearly better" },
  { value: "slightly", label: "slightly better" }, { value: "negligibly", label: "negligibly better" },
];
/* What the sheet of keys says: of the completions, scores and buttons that there are. */
function keysOf(root, cards) {
  return [[`1–${cards.length}`, say("Place at that rank; the same rank twice is a tie")], ["↑", say("Better")], ["↓", say("Worse")], ["=", say("Tie with the one above")], ["T", say("Tie with the one above")], ["U", say("Cannot be ranked")],
    ["0", say("Take off the board")], ...scoreKeys(cards[0]), [`A–${cards.at(-1).dataset.letter}`, say("Go to that completion")],
    root.querySelector("[data-rank-none]") && ["Shift+U", say("None of them can be ranked")], ["Ctrl+Z", say("Undo a move, a score or a flag")], ["Ctrl+Shift+Z", say("Redo it")]].filter(Boolean);
}

/* Of the scores only those that this form has; each is reached by the arrows, also where Shift and its digit type a sign that is a key itself. */
function scoreKeys(card) {
  const scores = [...card.querySelectorAll("[data-score]")].map((radio) => Number(radio.value));
  if (!scores.length) return [];
  const digits = scores.filter((score) => score <= 9);
  const range = [...new Set([digits[0], digits.at(-1)])].join("–");
  return [...(digits.length ? [[`Shift+${range}`, say("Overall score")]] : []), ["Shift+↑", say("Overall score one higher")], ["Shift+↓", say("Overall score one lower")]];
}

/* Signs that are keys of this page. A key that types one is that sign, wherever its keyboard has it: German "/" is Shift+7, "=" Shift+0. */
function isSign(key) {
  if (key === "?" || document.querySelector(`[data-shortcut="${CSS.escape(key)}"]`)) return true;
  return [...document.querySelectorAll("[data-shortcuts]")].some((node) => JSON.parse(node.dataset.shortcuts).some(([keys]) => keys === key));
}
/* The digit that is meant: the one typed, else the one printed on the key (French keys type & é " without Shift, others ! @ # with it). */
function digitOf(event) {
  if (/^\d$/.test(event.key)) return event.key;
  const [, place, digit] = /^(Digit|Numpad)(\d)$/.exec(event.code) || [];
  if (!digit || event.getModifierState("AltGraph") || isSign(event.key)) return undefined;
  return place === "Digit" || event.shiftKey ? digit : undefined; // a number pad without NumLock has arrows
}

function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

/* ── the state: pure functions over {slots: [[id…]…K], unrankable: [id…]}; an id in neither is unplaced ── */
export const board = {
  create(size) { return { slots: Array.from({ length: size }, () => []), unrankable: [] }; },
  copy(state) { return { slots: state.slots.map((slot) => [...slot]), unrankable: [...state.unrankable] }; },
  slotOf(state, id) { return state.slots.findIndex((slot) => slot.includes(id)); },
  remove(state, id) {
    for (const slot of [...state.slots, state.unrankable]) { const at = slot.indexOf(id); if (at >= 0) slot.splice(at, 1); }
  },
  place(state, id, slot) { this.remove(state, id); state.slots[slot].push(id); },
  /* A place of its own before `slot`: neighbours move towards the nearest empty place. There is one, as there are as many places as completions. */
  insert(state, id, slot) {
    this.remove(state, id);
    const { slots } = state;
    const after = slots.findIndex((content, index) => index >= slot && !content.length);
    if (after >= 0) { slots.splice(after, 1); slots.splice(slot, 0, [id]); return; }
    const before = slots.findLastIndex((content, index) => index < slot && !content.length);
    slots.splice(before, 1);
    slots.splice(slot - 1, 0, [id]);
  },
  step(state, id, direction) {
    const { slots } = state;
    const at = this.slotOf(state, id);
    if (at < 0) { this.append(state, id, direction); return; }
    const next = at + direction;
    if (slots[at].length > 1) {
      // Out of a tie: a place of its own just above (or below) those it was tied with.
      this.insert(state, id, direction < 0 ? at : at + 1);
      return;
    }
    if (next < 0 || next >= slots.length) return;
    [slots[at], slots[next]] = [slots[next], slots[at]];
  },
  /* First touch by arrow: up puts it on top of the free places from the start, down at the end of what is placed. */
  append(state, id, direction) {
    const { slots } = state;
    this.remove(state, id);
    const last = slots.findLastIndex((content) => content.length);
    if (direction < 0) { this.insert(state, id, 0); return; }
    if (last + 1 < slots.length) slots[last + 1].push(id); else this.insert(state, id, last + 1);
  },
  tie(state, id) {
    const at = this.slotOf(state, id);
    const from = at < 0 ? state.slots.length : at;
    const above = state.slots.findLastIndex((content, index) => index < from && content.length);
    if (above < 0) return false;
    this.place(state, id, above);
    return true;
  },
  tiers(state) { return state.slots.filter((slot) => slot.length); },
};

/* The moves of a ranking that was handed in, should the site refuse it: they can be undone on the page that comes back as well. */
let handedIn = null;

class Ranking {
  constructor(root) {
    this.root = root;
    this.cards = [...root.querySelectorAll("[data-completion]")];
    this.ids = this.cards.map((card) => card.dataset.completion);
    this.card = new Map(this.cards.map((card) => [card.dataset.completion, card]));
    this.inputs = Object.fromEntries(["tiers", "unrankable", "scores", "flags", "margins", "touched"].map((name) => [name, root.querySelector(`input[name="${name}"]`)]));
    this.marginChoices = this.readMargins();
    this.history = [];
    this.undone = [];
    this.margins = new Map();
    this.restore();
    this.takeUp();
    this.buildBoard();
    root.dataset.shortcuts = JSON.stringify(keysOf(root, this.cards));
    root.addEventListener("keydown", (event) => this.onKey(event));
    document.addEventListener("keydown", (event) => this.onPageKey(event));
    root.addEventListener("click", (event) => this.onClick(event));
    root.addEventListener("change", (event) => this.onChange(event));
    root.closest("form")?.addEventListener("submit", (event) => this.onSubmit(event), true);
    root.closest("form")?.addEventListener("autosave:restored", () => { this.restore(); this.history = []; this.undone = []; this.render(); });
    root.addEventListener("ranking:none", () => this.none());
    root.addEventListener("ranking:undo", () => this.noneBack());
    this.render();
  }

  readMargins() {
    if (!("margins" in this.root.dataset)) return null;
    const given = this.root.dataset.margins;
    if (!given || given === "true") return DEFAULT_MARGINS;
    return JSON.parse(given).map((margin) => (typeof margin === "string" ? { value: margin, label: `${margin} better` } : margin));
  }

  read(name, fallback) {
    const text = this.inputs[name]?.value;
    return text ? JSON.parse(text) : fallback;
  }

  /* From the hidden inputs, which the server fills from the draft. */
  restore() {
    const known = (id) => this.card.has(String(id));
    this.state = board.create(this.ids.length);
    const tiers = this.read("tiers", []).map((tier) => tier.map(String).filter(known)).filter((tier) => tier.length);
    tiers.forEach((tier, index) => { this.state.slots[index] = tier; });
    this.state.unrankable = this.read("unrankable", []).map(String).filter(known);
    this.touched = this.read("touched", []).map(String).filter(known);
    this.margins.clear();
    this.read("margins", []).forEach((value, index) => { if (value && tiers[index + 1]) this.margins.set(this.boundary(tiers[index], tiers[index + 1]), value); });
    for (const [id, score] of Object.entries(this.read("scores", {}))) {
      const radio = this.card.get(id)?.querySelector(`[data-score][value="${CSS.escape(String(score))}"]`);
      if (radio) radio.checked = true;
    }
    for (const [id, flags] of Object.entries(this.read("flags", {}))) {
      for (const flag of flags) { const box = this.card.get(id)?.querySelector(`[data-flag="${CSS.escape(flag)}"]`); if (box) box.checked = true; }
    }
    this.marks = this.readMarks();
  }

  /* Scores and flags as the page has them: {id: {score: "5" or "", flags: ["made_up"]}}. */
  readMarks() {
    return Object.fromEntries(this.cards.map((card) => [card.dataset.completion, {
      score: card.querySelector("[data-score]:checked")?.value ?? "",
      flags: [...card.querySelectorAll("[data-flag]:checked")].map((box) => box.dataset.flag),
    }]));
  }
  writeMarks(marks) {
    for (const [id, { score, flags }] of Object.entries(marks)) {
      for (const radio of this.card.get(id).querySelectorAll("[data-score]")) radio.checked = radio.value === score;
      for (const box of this.card.get(id).querySelectorAll("[data-flag]")) box.checked = flags.includes(box.dataset.flag);
    }
    this.marks = marks;
  }

  get mark() { return JSON.stringify([this.root.closest("form")?.dataset.draftKey, board.tiers(this.state), this.state.unrankable]); }
  takeUp() {
    if (handedIn?.mark === this.mark) [this.history, this.undone] = [handedIn.history, handedIn.undone];
    handedIn = null;
  }

  /* A margin belongs to the two sets of completions it lies between: it goes when they change. */
  boundary(upper, lower) { return `${[...upper].sort().join()}>${[...lower].sort().join()}`; }

  /* ── the board ── */
  buildBoard() {
    const host = this.root.querySelector("[data-rank-slots]");
    this.lists = [];
    this.gaps = [];
    const list = (slot, label, empty) => {
      const node = el("div", { class: "rank-slot", "data-slot": slot, role: "group", "aria-label": label, "data-empty": empty, "data-tie": say("tie") });
      this.lists.push(node);
      return node;
    };
    const tray = el("div", { class: "stack stack-s" }, el("span", { class: "rank-label" }, say("Not placed yet")), list("tray", say("Not placed yet"), say("All placed")));
    const rows = this.ids.flatMap((_, index) => {
      const gap = el("div", { class: "rank-gap", "data-gap": String(index), "aria-hidden": "true" });
      this.gaps.push(gap);
      const label = index === 0 ? say("%(rank)s, best", { rank: ORDINAL(1) }) : ORDINAL(index + 1);
      const row = el("div", { class: "rank-row" }, el("span", { class: "rank-label" }, ORDINAL(index + 1)), list(String(index), say("Rank %(rank)s", { rank: label }), index === 0 ? say("best") : index === this.ids.length - 1 ? say("worst") : ""));
      const margin = el("div", { class: "rank-margin", "data-margin-after": String(index), hidden: "" });
      return [gap, row, margin];
    });
    const none = el("div", { class: "stack stack-s" }, el("span", { class: "rank-label" }, say("Cannot be ranked")), list("unrankable", say("Cannot be ranked"), say("none")));
    host.className = "stack stack-s";
    host.replaceChildren(tray, el("div", {}, ...rows), none);
    this.chips = new Map(this.cards.map((card) => {
      const id = card.dataset.completion;
      const text = (card.querySelector(".completion-body")?.textContent || "").replace(/\s+/g, " ").trim().slice(0, 60);
      const chip = el("div", { class: "rank-chip", "data-chip": id }, el("span", { class: "letter" }, card.dataset.letter), el("span", { dir: "auto" }, text));
      chip.addEventListener("click", () => card.focus());
      return [id, chip];
    }));
    this.makeSortable();
  }

  makeSortable() {
    if (!window.Sortable) return; // Keys and buttons do everything; drag is a convenience.
    const options = {
      group: `ranking-${this.ids.join("-")}`, animation: matchMedia("(prefers-reduced-motion: reduce)").matches ? 0 : 120,
      onStart: () => this.freeze(true),
      onEnd: (event) => {
        this.freeze(false);
        this.dropped(event.item.dataset.chip, event.to);
      },
      emptyInsertThreshold: 4, fallbackTolerance: 4, touchStartThreshold: 4,
    };
    for (const list of [...this.lists, ...this.gaps]) window.Sortable.create(list, { ...options, sort: false });
  }

  /* While a chip is dragged the places keep their size: nothing may slip away under the pointer. */
  freeze(frozen) {
    for (const list of this.lists) {
      // Not style.blockSize = "": it leaves an empty attribute, which htmx's copy of the page for the history may not have (CSP).
      if (frozen) list.style.blockSize = `${list.offsetHeight}px`;
      else list.removeAttribute("style");
    }
    // Opening the gaps moves what lies below: wait until the drag has begun.
    setTimeout(() => this.root.classList.toggle("dragging", frozen));
  }

  dropped(id, target) {
    if (target.dataset.gap) this.act(id, (state) => board.insert(state, id, Number(target.dataset.gap)));
    else if (target.dataset.slot === "tray") this.act(id, (state) => board.remove(state, id));
    else if (target.dataset.slot === "unrankable") this.act(id, (state) => { board.remove(state, id); state.unrankable.push(id); });
    else this.act(id, (state) => board.place(state, id, Number(target.dataset.slot)));
  }

  /* ── one door for every change ── */
  act(id, change, moved = [id]) {
    const before = board.copy(this.state);
    change(this.state);
    const changed = JSON.stringify(before) !== JSON.stringify(this.state);
    if (changed) {
      this.history.push({ state: before, touched: [...this.touched], marks: this.marks, id });
      this.undone = [];
      for (const each of moved) if (!this.touched.includes(each)) this.touched.push(each);
    }
    this.render();
    if (changed) this.changed();
    this.announce(this.sentence(id));
  }

  undo() { this.goBack(this.history, this.undone, say("Nothing to undo"), say("Undone")); }
  redo() { this.goBack(this.undone, this.history, say("Nothing to redo"), say("Done again")); }

  goBack(from, to, nothing, done) {
    const last = from.pop();
    if (!last) { this.announce(nothing); return; }
    to.push({ ...last, state: this.state, touched: this.touched, marks: this.marks });
    this.state = last.state;
    this.touched = last.touched;
    this.writeMarks(last.marks);
    this.render();
    this.changed();
    this.announce(`${done}. ${last.mark ? this.markSentence(last.mark) : this.sentence(last.id)}`);
  }

  /* A score or a flag was given: {id, score: true} or {id, flag: its label and key}. */
  marked(mark) {
    this.history.push({ state: board.copy(this.state), touched: [...this.touched], marks: this.marks, mark });
    this.undone = [];
    this.marks = this.readMarks();
    this.switchButtons();
    this.changed();
  }
  markOf(control) {
    const id = control.closest("[data-completion]").dataset.completion;
    return control.matches("[data-score]") ? { id } : { id, flag: control.dataset.flag, label: control.closest("label").textContent.trim() };
  }
  markSentence({ id, flag, label }) {
    const values = { name: this.letter(id), score: this.marks[id].score, flag: label };
    if (flag === undefined) return values.score ? say("%(name)s: score %(score)s", values) : say("%(name)s: no score", values);
    return this.marks[id].flags.includes(flag) ? say("%(name)s: flagged “%(flag)s”", values) : say("%(name)s: not flagged “%(flag)s”", values);
  }

  /* None of them can be ranked: one move, undone by one. */
  none() { this.act(null, (state) => { state.slots = state.slots.map(() => []); state.unrankable = [...this.ids]; }, this.ids); }

  /* The button that says so is let go: scores and flags since then stay. */
  noneBack() {
    const last = this.history.findLast(({ state }) => state.unrankable.length < this.ids.length);
    if (!last || last === this.history.at(-1)) { this.undo(); return; }
    this.act(null, (state) => Object.assign(state, board.copy(last.state)), []);
  }

  letter(id) { return this.card.get(id).dataset.letter; }

  sentence(id) {
    if (id === null) return this.state.unrankable.length === this.ids.length ? say("None of them can be ranked. Say why.") : this.howMany();
    const slot = board.slotOf(this.state, id);
    if (this.state.unrankable.includes(id)) return say("%(name)s: cannot be ranked", { name: this.letter(id) });
    if (slot < 0) return say("%(name)s: not placed", { name: this.letter(id) });
    const others = this.state.slots[slot].filter((other) => other !== id).map((other) => this.letter(other));
    const values = { name: this.letter(id), rank: slot + 1, all: this.ids.length, others: others.join(say(" and ")) };
    const where = others.length ? say("%(name)s: rank %(rank)s of %(all)s, tied with %(others)s", values) : say("%(name)s: rank %(rank)s of %(all)s", values);
    return `${where}. ${this.howMany()}`;
  }

  howMany() { return say("%(n)s of %(all)s placed", { n: this.placed, all: this.ids.length }); }

  announce(text) { document.dispatchEvent(new CustomEvent("app:announce", { detail: text })); }

  get placed() { return this.state.slots.flat().length + this.state.unrankable.length; }

  /* ── edges: keys, buttons, scores, submit ── */
  onKey(event) {
    if (event.isComposing || event.altKey) return;
    const typing = event.target.matches("textarea, select, input:not([type=radio], [type=checkbox])");
    const modifier = event.ctrlKey || event.metaKey;
    if (modifier && !typing && this.undoByKey(event)) return;
    if (typing || modifier) return;
    if (event.shiftKey && event.key.toLowerCase() === "u") { event.preventDefault(); this.root.querySelector("[data-rank-none]")?.click(); return; }
    // A long text that has the focus is scrolled by the arrows.
    if (event.target.matches("[data-body]") && event.key.startsWith("Arrow")) return;
    const card = event.target.closest("[data-completion]");
    const digit = digitOf(event);
    if (card && event.shiftKey && digit) { if (this.score(card, digit)) event.preventDefault(); return; }
    if (card && !event.target.matches("input[type=radio]") && this.moveByKey(card, event, digit)) { event.preventDefault(); return; }
    if (event.key.length === 1 && !event.shiftKey) this.jumpTo(event);
  }

  undoByKey(event) {
    const key = event.key.toLowerCase();
    if (key !== "z" && key !== "y") return false;
    event.preventDefault();
    if (key === "y" || event.shiftKey) this.redo(); else this.undo();
    return true;
  }

  /* From anywhere on the page, unless somebody types there or the letter is a shortcut: who works by keys need not tab to the first completion. */
  onPageKey(event) {
    if (!this.root.isConnected || !this.root.checkVisibility() || event.defaultPrevented || event.isComposing) return;
    if (event.altKey || this.root.contains(event.target)) return;
    if (event.target.matches("textarea, select, input") || event.target.closest("dialog") || document.querySelector("dialog[open]")) return;
    if ((event.ctrlKey || event.metaKey) && this.undoByKey(event)) return;
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    if (/^[a-i]$/.test(event.key) && !document.querySelector(`[data-shortcut="${event.key}"]`)) this.jumpTo(event);
  }

  jumpTo(event) {
    const wanted = this.cards.find((card) => card.dataset.letter === event.key.toUpperCase());
    if (!wanted) return;
    event.preventDefault();
    wanted.focus();
    wanted.scrollIntoView({ block: "nearest" });
  }

  /* True where the key meant something. */
  moveByKey(card, event, digit) {
    const id = card.dataset.completion;
    const key = digit ?? (event.shiftKey && event.key.length === 1 ? event.key : event.key.toLowerCase());
    const step = { arrowup: -1, arrowdown: 1 }[key];
    if (step && event.shiftKey) this.scoreStep(card, -step);
    else if (/^[1-9]$/.test(key)) {
      const slot = Math.min(Number(key), this.ids.length) - 1;
      this.act(id, (state) => board.place(state, id, slot));
    } else if (step) this.act(id, (state) => board.step(state, id, step));
    else if (key === "=" || key === "t") this.tie(id);
    else if (key === "u") this.toggleUnrankable(id);
    else if (key === "0" || key === "delete") this.act(id, (state) => board.remove(state, id));
    else return false;
    return true;
  }

  tie(id) {
    if (!board.tie(board.copy(this.state), id)) { this.announce(say("Nothing above to tie with")); return; }
    this.act(id, (state) => board.tie(state, id));
  }

  toggleUnrankable(id) {
    this.act(id, (state) => {
      const already = state.unrankable.includes(id);
      board.remove(state, id);
      if (!already) state.unrankable.push(id);
    });
  }

  score(card, value) {
    const radio = card.querySelector(`[data-score][value="${value}"]`);
    if (!radio) return false;
    if (!radio.checked) { radio.checked = true; this.marked(this.markOf(radio)); }
    this.announce(this.markSentence(this.markOf(radio)));
    return true;
  }

  /* One score on: from none, the first of that end. */
  scoreStep(card, direction) {
    const radios = [...card.querySelectorAll("[data-score]")];
    const at = radios.findIndex((radio) => radio.checked);
    const next = at < 0 && direction < 0 ? radios.length - 1 : Math.max(0, Math.min(radios.length - 1, at + direction));
    if (radios.length) this.score(card, radios[next].value);
  }

  onClick(event) {
    if (event.target.closest("[data-rank-undo]")) { this.undo(); return; }
    if (event.target.closest("[data-rank-redo]")) { this.redo(); return; }
    const button = event.target.closest("[data-move]");
    const id = button?.closest("[data-completion]")?.dataset.completion;
    if (!id) return;
    const move = button.dataset.move;
    if (move === "up") this.act(id, (state) => board.step(state, id, -1));
    else if (move === "down") this.act(id, (state) => board.step(state, id, 1));
    else if (move === "tie") this.tie(id);
    else if (move === "unrankable") this.toggleUnrankable(id);
  }

  onChange(event) {
    const select = event.target.closest("[data-margin]");
    if (select) { if (select.value) this.margins.set(select.dataset.margin, select.value); else this.margins.delete(select.dataset.margin); }
    if (select) this.changed();
    else if (event.target.matches("[data-score], [data-flag]")) this.marked(this.markOf(event.target));
  }

  onSubmit(event) {
    if (event.submitter?.hasAttribute("data-allow-partial") || event.submitter?.formNoValidate) return;
    const problem = this.problem();
    if (!problem) { handedIn = { mark: this.mark, history: this.history, undone: this.undone }; return; }
    event.preventDefault();
    event.stopImmediatePropagation();
    document.dispatchEvent(new CustomEvent("app:toast", { detail: { message: problem.message, level: "warning" } }));
    problem.node?.focus();
  }

  /* What is still missing, or null. */
  problem() {
    const open = this.ids.filter((id) => board.slotOf(this.state, id) < 0 && !this.state.unrankable.includes(id));
    if (open.length) return { message: say("Not ranked yet: %(names)s. Place each one, or mark it “Can’t rank”.", { names: open.map((id) => this.letter(id)).join(", ") }), node: this.card.get(open[0]) };
    const select = [...this.root.querySelectorAll("[data-margin]")].find((candidate) => !candidate.value);
    if (select) return { message: say("Say how much better, at each boundary of your ranking."), node: select };
    const unscored = this.unscored();
    if (unscored.length) return { message: this.noScore(unscored), node: this.card.get(unscored[0]).querySelector("[data-score]") };
    return null;
  }

  /* What is placed and not scored yet, where each needs a score: "complete" would not be true. */
  unscored() { return "requireScores" in this.root.dataset ? this.ids.filter((id) => board.slotOf(this.state, id) >= 0 && !this.card.get(id).querySelector("[data-score]:checked")) : []; }
  noScore(ids) { return say("No score yet: %(names)s.", { names: ids.map((id) => this.letter(id)).join(", ") }); }

  /* ── out: hidden inputs, event, screen ── */
  values() {
    // Within a tie the order means nothing: always the order shown, so that equal judgments are equal bytes.
    const shown = (one, other) => this.ids.indexOf(one) - this.ids.indexOf(other);
    const tiers = board.tiers(this.state).map((tier) => [...tier].sort(shown));
    const scores = {};
    const flags = {};
    for (const card of this.cards) {
      const id = card.dataset.completion;
      const score = card.querySelector("[data-score]:checked");
      if (score) scores[id] = Number(score.value);
      const marked = [...card.querySelectorAll("[data-flag]:checked")].map((box) => box.dataset.flag);
      if (marked.length) flags[id] = marked;
    }
    const margins = this.marginChoices ? tiers.slice(1).map((tier, index) => this.margins.get(this.boundary(tiers[index], tier)) ?? null) : [];
    return { tiers: tiers.map((tier) => tier.map(asId)), unrankable: this.state.unrankable.map(asId), scores, flags, margins, touched: this.touched.map(asId) };
  }

  changed() {
    const values = this.values();
    for (const [name, input] of Object.entries(this.inputs)) if (input) input.value = JSON.stringify(values[name]);
    this.inputs.tiers?.dispatchEvent(new Event("input", { bubbles: true }));
    this.showStatus();
    this.root.dispatchEvent(new CustomEvent("ranking:change", { bubbles: true, detail: { ...values, complete: !this.problem(), placed: this.placed, total: this.ids.length } }));
  }

  render() {
    const content = (slot) => (slot === "unrankable" ? this.state.unrankable : slot === "tray" ? this.ids.filter((id) => board.slotOf(this.state, id) < 0 && !this.state.unrankable.includes(id)) : this.state.slots[Number(slot)]);
    for (const list of this.lists) list.replaceChildren(...content(list.dataset.slot).map((id) => this.chips.get(id)));
    for (const gap of this.gaps) gap.replaceChildren();
    for (const [id, card] of this.card) this.renderCard(id, card);
    this.renderMargins();
    this.switchButtons();
    this.showStatus();
  }

  switchButtons() {
    this.switchButton("[data-rank-undo]", this.history.length);
    this.switchButton("[data-rank-redo]", this.undone.length);
  }

  /* A button that is switched off under the focus would lose it: the board takes it. */
  switchButton(selector, on) {
    const button = this.root.querySelector(selector);
    if (!button) return;
    if (!on && document.activeElement === button) this.root.querySelector("[data-rank-board]").focus();
    button.disabled = !on;
  }

  renderCard(id, card) {
    const slot = board.slotOf(this.state, id);
    const unrankable = this.state.unrankable.includes(id);
    const tied = slot >= 0 && this.state.slots[slot].length > 1;
    if (slot >= 0) card.dataset.rank = String(slot + 1); else delete card.dataset.rank;
    card.toggleAttribute("data-unrankable", unrankable);
    const text = card.querySelector("[data-rank-text]");
    if (text) text.textContent = unrankable ? say("Cannot be ranked") : slot < 0 ? say("Not placed yet") : tied ? say("Tied %(rank)s", { rank: ORDINAL(slot + 1) }) : ORDINAL(slot + 1);
    card.querySelector('[data-move="unrankable"]')?.setAttribute("aria-pressed", String(unrankable));
  }

  renderMargins() {
    if (!this.marginChoices) return;
    const { slots } = this.state;
    for (const place of this.root.querySelectorAll("[data-margin-after]")) {
      const index = Number(place.dataset.marginAfter);
      const below = slots.findIndex((content, other) => other > index && content.length);
      place.hidden = !slots[index].length || below < 0;
      if (place.hidden) { place.replaceChildren(); continue; }
      const key = this.boundary(slots[index], slots[below]);
      if (place.firstElementChild?.dataset.margin === key) continue;
      const name = (slot) => slot.map((id) => this.letter(id)).join(" = ");
      const select = el("select", { class: "select", "data-margin": key, "data-no-autosave": "", "aria-label": say("How much better is %(better)s than %(worse)s?", { better: name(slots[index]), worse: name(slots[below]) }) },
        el("option", { value: "" }, say("How much better?")), ...this.marginChoices.map((margin) => el("option", { value: margin.value }, margin.label)));
      select.value = this.margins.get(key) || "";
      place.replaceChildren(select);
    }
  }

  showStatus() {
    const status = this.root.querySelector("[data-rank-status]");
    if (!status || !this.placed) return;
    const open = this.unscored();
    status.textContent = this.problem() ? [`${this.howMany()}.`, open.length ? this.noScore(open) : ""].filter(Boolean).join(" ") : say("Complete: ready to submit.");
  }
}

function start(root) {
  for (const section of root.querySelectorAll("[data-ranking]:not([data-ranking-ready])")) {
    section.dataset.rankingReady = "";
    new Ranking(section);
  }
}
start(document);
document.body.addEventListener("htmx:afterSettle", (event) => start(event.detail.elt?.parentElement || document));
