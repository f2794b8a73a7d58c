/* The guideline at work: shown beside or over the work or not at all (remembered for the person), searched, with its contents.
   Works on an [data-guideline] panel inside .work[data-place]; any [data-guideline-toggle] shows or hides it. */

const MOST_MATCHES = 500;
const announce = (text) => document.dispatchEvent(new CustomEvent("app:announce", { detail: text }));

class Guideline {
  constructor(panel) {
    this.panel = panel;
    this.work = panel.closest(".work");
    this.text = panel.querySelector("[data-guideline-text]");
    this.search = panel.querySelector("[data-guideline-search]");
    this.found = panel.querySelector("[data-guideline-found]");
    this.original = [...this.text.childNodes].map((node) => node.cloneNode(true));
    this.matches = [];
    this.life = new AbortController();
    const { signal } = this.life;
    document.addEventListener("click", (event) => { if (event.target.closest("[data-guideline-toggle]")) this.toggle(); }, { signal });
    document.addEventListener("keydown", (event) => this.onKey(event), { signal });
    panel.addEventListener("click", (event) => this.onClick(event));
    this.search.addEventListener("input", () => this.look());
    this.search.addEventListener("keydown", (event) => this.onSearchKey(event));
  }

  get isOver() { return this.work.dataset.place === "over"; }

  toggle() { this.show(this.panel.hidden); }

  show(wanted) {
    const inside = this.panel.contains(document.activeElement);
    if (wanted) this.leave();
    this.panel.hidden = !wanted;
    if (wanted && this.work.dataset.place === "hidden") this.work.dataset.place = this.panel.querySelector("[data-guideline-over]").getAttribute("aria-pressed") === "true" ? "over" : "beside";
    for (const button of document.querySelectorAll("[data-guideline-toggle][aria-expanded]")) {
      button.setAttribute("aria-expanded", String(wanted));
    }
    if (!wanted && inside) this.goBack();
    if (wanted) this.panel.querySelector("h2").focus({ preventScroll: !this.isNarrow() });
    announce(wanted ? say("Guideline shown") : say("Guideline hidden"));
    this.remember(wanted ? this.work.dataset.place : "hidden");
  }

  /* Where the person was before they came here, to go back to. */
  leave() { if (!this.panel.contains(document.activeElement)) this.before = document.activeElement; }
  goBack() {
    const place = this.before?.isConnected && this.before !== document.body ? this.before : document.querySelector("[data-guideline-toggle][aria-expanded]");
    place.focus();
  }

  isNarrow() { return !this.isOver && getComputedStyle(this.panel).position === "static"; }

  place(place) {
    this.work.dataset.place = place;
    this.panel.querySelector("[data-guideline-over]").setAttribute("aria-pressed", String(place === "over"));
    announce(place === "over" ? say("Guideline over the work") : say("Guideline beside the work"));
    this.remember(place);
  }

  remember(place) {
    fetch(this.panel.dataset.preferencesUrl, {
      method: "PATCH", credentials: "same-origin", keepalive: true, body: JSON.stringify({ guideline_place: place }),
      headers: { ...JSON.parse(document.body.getAttribute("hx-headers") || "{}"), "Content-Type": "application/json", Accept: "application/json" },
    }).then((answer) => { if (!answer.ok) announce(say("Not remembered (%(status)s).", { status: answer.status })); }, () => announce(say("Not remembered: the site cannot be reached.")));
  }

  onClick(event) {
    if (event.target.closest("[data-guideline-over]")) this.place(this.isOver ? "beside" : "over");
    const step = event.target.closest("[data-guideline-step]");
    if (step) this.go(Number(step.dataset.guidelineStep));
    const link = event.target.closest(".contents a");
    if (!link) return;
    // Within the panel, and without another address: the work's own must stay.
    event.preventDefault();
    const heading = this.text.querySelector(`[id="${CSS.escape(link.hash.slice(1))}"]`);
    link.closest("details").open = false;
    heading.tabIndex = -1;
    heading.focus({ preventScroll: true });
    this.reveal(heading, "start");
  }

  /* "/" from anywhere but a text field: search. Escape closes what lies over the work. */
  onKey(event) {
    if (event.defaultPrevented || event.isComposing || event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    const typing = event.target.matches?.("textarea, select, input:not([type=checkbox], [type=radio])");
    if (event.key === "/" && !typing) {
      event.preventDefault();
      if (this.panel.hidden) this.show(true); else this.leave();
      this.search.focus();
      this.search.select();
    } else if (event.key === "Escape" && this.isOver && !this.panel.hidden && this.panel.contains(event.target)) this.show(false);
  }

  onSearchKey(event) {
    if (event.key === "Enter") { event.preventDefault(); this.go(event.shiftKey ? -1 : 1); }
    if (event.key !== "Escape" || (this.isOver && !this.search.value)) return;
    event.preventDefault();
    event.stopPropagation();
    if (!this.search.value) { this.goBack(); return; }
    this.search.value = "";
    this.look();
  }

  look() {
    const wanted = this.search.value.trim().toLocaleLowerCase();
    this.text.replaceChildren(...this.original.map((node) => node.cloneNode(true)));
    this.matches = wanted ? this.mark(wanted) : [];
    this.at = -1;
    for (const button of this.panel.querySelectorAll("[data-guideline-step]")) button.disabled = !this.matches.length;
    this.found.textContent = wanted ? (this.matches.length ? "" : say("not found")) : "";
    if (this.matches.length) this.go(1);
  }

  mark(wanted) {
    const nodes = [];
    const walker = document.createTreeWalker(this.text, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) nodes.push(walker.currentNode);
    const marks = [];
    for (let node of nodes) {
      // Lower case may be longer than what was written ("İ"): then places would not fit, and the text is taken as it is.
      const lower = (text) => (text.toLocaleLowerCase().length === text.length ? text.toLocaleLowerCase() : text);
      for (let at = lower(node.data).indexOf(wanted); at >= 0 && marks.length < MOST_MATCHES; at = lower(node.data).indexOf(wanted)) {
        const match = node.splitText(at);
        node = match.splitText(wanted.length);
        const mark = document.createElement("mark");
        match.replaceWith(mark);
        mark.append(match);
        marks.push(mark);
      }
    }
    return marks;
  }

  go(step) {
    const count = this.matches.length;
    if (!count) return;
    this.matches[this.at]?.removeAttribute("data-current");
    this.at = (this.at + step + count) % count;
    const mark = this.matches[this.at];
    mark.dataset.current = "";
    this.found.textContent = say("%(n)s of %(all)s", { n: this.at + 1, all: count });
    this.reveal(mark, "center");
  }

  /* Scrolls the panel's own text, not the page, where the text is what scrolls. */
  reveal(node, block) {
    if (this.text.scrollHeight <= this.text.clientHeight) { node.scrollIntoView({ block }); return; }
    const top = node.getBoundingClientRect().top - this.text.getBoundingClientRect().top + this.text.scrollTop;
    this.text.scrollTop = top - (block === "center" ? this.text.clientHeight / 2 : 8);
  }
}

const alive = new Set();
function start(root) {
  for (const guideline of alive) if (!guideline.panel.isConnected) { guideline.life.abort(); alive.delete(guideline); }
  for (const panel of root.querySelectorAll("[data-guideline]:not([data-guideline-ready])")) {
    panel.dataset.guidelineReady = "";
    alive.add(new Guideline(panel));
  }
}
start(document);
document.body.addEventListener("htmx:afterSettle", (event) => start(event.detail.elt?.parentElement || document));
