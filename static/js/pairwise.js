/* The pairwise screen: which of two answers is better, and by how much. The row of strengths is a group of radio buttons whose digits are ordinary
   shortcuts (data-shortcut); this adds arrows from anywhere, A and B to read an answer, and says what was chosen. */

const KEYS = [["←", say("Further towards A")], ["→", say("Further towards B")], ["A", say("Read answer A")], ["B", say("Read answer B")]];
const SIDES = { better: say("Better"), worse: "", same: say("About the same"), none: say("Cannot be judged") };

class Pairwise {
  constructor(root) {
    this.root = root;
    this.choices = [...root.querySelectorAll("input[name='strength']")];
    this.strengths = this.choices.filter((input) => input.value !== "neither"); // the row that arrows go along
    root.dataset.shortcuts = JSON.stringify(KEYS);
    root.addEventListener("change", (event) => { if (event.target.name === "strength") this.chosen(); });
    root.closest("form")?.addEventListener("autosave:restored", () => this.show());
    document.addEventListener("keydown", (event) => this.onKey(event));
    this.show();
  }

  get choice() { return this.choices.find((input) => input.checked); }

  onKey(event) {
    if (!this.root.isConnected || !this.root.checkVisibility() || event.defaultPrevented || event.isComposing) return;
    if (event.altKey || event.ctrlKey || event.metaKey || event.shiftKey || document.querySelector("dialog[open]")) return;
    if (event.target.matches("textarea, select, input, [contenteditable='true']") || event.target.closest("[role='region']")) return;
    if (event.key === "ArrowLeft" || event.key === "ArrowRight") this.step(event);
    else this.read(event);
  }

  /* The first arrow starts from the middle, towards its side. In right-to-left pages the row is mirrored, and so are the keys. */
  step(event) {
    const mirrored = getComputedStyle(this.root).direction === "rtl";
    const direction = (event.key === "ArrowRight") === mirrored ? -1 : 1;
    const at = this.strengths.indexOf(this.choice);
    const middle = (this.strengths.length - 1) / 2;
    const next = at < 0 ? (direction < 0 ? Math.ceil(middle) - 1 : Math.floor(middle) + 1) : at + direction;
    event.preventDefault();
    this.strengths[Math.max(0, Math.min(this.strengths.length - 1, next))].click();
  }

  read(event) {
    const side = event.key.toLowerCase();
    if (document.querySelector(`[data-shortcut="${CSS.escape(side)}"]`)) return;
    const card = this.root.querySelector(`[data-side="${CSS.escape(side)}"]`);
    if (!card) return;
    event.preventDefault();
    card.focus();
    card.scrollIntoView({ block: "nearest" });
  }

  chosen() {
    this.show();
    const label = this.choice.closest("label").querySelector("span").textContent;
    document.dispatchEvent(new CustomEvent("app:announce", { detail: label }));
  }

  show() {
    const isNeither = this.choice?.value === "neither";
    const reason = this.root.querySelector("[name='neither_reason']"); // not where the project allows no "neither"
    if (reason) reason.required = isNeither;
    const better = this.choice?.closest("label").dataset.better;
    for (const card of this.root.querySelectorAll("[data-side]")) {
      const state = better === undefined ? "" : better === "" ? "same" : better === "none" ? "none" : better === card.dataset.side ? "better" : "worse";
      card.dataset.stands = state;
      card.querySelector("[data-side-text]").textContent = SIDES[state] ?? "";
    }
  }
}

function start(root) {
  for (const section of root.querySelectorAll("[data-pairwise]:not([data-pairwise-ready])")) {
    section.dataset.pairwiseReady = "";
    new Pairwise(section);
  }
}
start(document);
document.body.addEventListener("htmx:afterSettle", (event) => start(event.detail.elt?.parentElement || document));
