/* Why a completion cannot be ranked: beside the ranking widget, to which it listens (contract: docs/design-system.md, "Ranking").
   Each card has a [data-why] with a select and a note; the board has a button for "none of them" and one select for all. */

class Reasons {
  constructor(root) {
    this.root = root;
    this.input = root.querySelector('input[name="unrankable_reasons"]');
    this.cards = new Map([...root.querySelectorAll("[data-completion]")].map((card) => [card.dataset.completion, card]));
    this.all = root.querySelector("[data-why-all]");
    this.none = root.querySelector("[data-rank-none]");
    this.restore();
    const form = root.closest("form");
    root.addEventListener("ranking:change", () => this.moved());
    root.addEventListener("change", (event) => this.chosen(event.target));
    root.addEventListener("input", (event) => { if (event.target.matches("[data-why-note]")) { this.changed(); this.show(); } });
    root.addEventListener("click", (event) => { if (event.target.closest("[data-rank-none]")) this.noneOrBack(); });
    form?.addEventListener("autosave:restored", () => this.restore());
    form?.addEventListener("submit", (event) => this.onSubmit(event), true);
  }

  unrankable() { return JSON.parse(this.root.querySelector('input[name="unrankable"]').value || "[]").map(String); }
  parts(id) {
    const why = this.cards.get(id).querySelector("[data-why]");
    return { why, reason: why.querySelector("[data-why-reason]"), note: why.querySelector("[data-why-note]") };
  }

  /* From the hidden inputs, which the server or a draft has filled. */
  restore() {
    const given = JSON.parse(this.input.value || "{}");
    for (const id of this.cards.keys()) {
      const { reason, note } = this.parts(id);
      reason.value = given[id]?.reason || "";
      note.value = given[id]?.note || "";
    }
    this.show();
  }

  show() {
    const ids = this.unrankable();
    for (const id of this.cards.keys()) {
      const { why, reason, note } = this.parts(id);
      why.hidden = !ids.includes(id);
      note.hidden = !reason.value;
      note.required = !why.hidden && reason.value === "other";
    }
    const everything = ids.length === this.cards.size;
    this.none.setAttribute("aria-pressed", String(everything));
    this.all.hidden = !everything;
    const chosen = new Set(ids.map((id) => this.parts(id).reason.value));
    this.all.querySelector("select").value = chosen.size === 1 ? [...chosen][0] : "";
    const open = this.open();
    this.root.querySelector("[data-why-missing]").textContent = open ? this.missing(open) : "";
  }

  open() { return this.unrankable().find((id) => !this.parts(id).reason.value || (this.parts(id).reason.value === "other" && !this.parts(id).note.value.trim())); }
  missing(id) { return say("Say why %(name)s cannot be ranked.", { name: this.cards.get(id).dataset.letter }); }

  moved() { this.show(); this.store(); }
  changed() { this.store(); this.input.dispatchEvent(new Event("input", { bubbles: true })); }

  store() {
    const reasons = {};
    for (const id of this.unrankable()) {
      const { reason, note } = this.parts(id);
      if (reason.value) reasons[id] = { reason: reason.value, note: note.value.trim() };
    }
    this.input.value = JSON.stringify(reasons);
  }

  chosen(control) {
    if (control.closest("[data-why-all]")) {
      for (const id of this.cards.keys()) this.parts(id).reason.value = control.value;
      const words = control.selectedOptions[0].textContent;
      document.dispatchEvent(new CustomEvent("app:announce", { detail: say("%(reason)s: for all of them", { reason: words }) }));
    } else if (!control.matches("[data-why-reason]")) return;
    this.changed();
    this.show();
    if (control.value === "other") control.closest("[data-why]")?.querySelector("[data-why-note]").focus();
  }

  noneOrBack() {
    const everything = this.unrankable().length === this.cards.size;
    this.root.dispatchEvent(new CustomEvent(everything ? "ranking:undo" : "ranking:none"));
    if (!everything) this.all.querySelector("select").focus();
  }

  /* After the ranking has had its say: what is still missing here. */
  onSubmit(event) {
    if (event.defaultPrevented || event.submitter?.hasAttribute("data-allow-partial") || event.submitter?.formNoValidate) return;
    const open = this.open();
    if (!open) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    const { reason, note } = this.parts(open);
    document.dispatchEvent(new CustomEvent("app:toast", { detail: { message: this.missing(open), level: "warning" } }));
    (reason.value ? note : reason).focus();
  }
}

function start(root) {
  for (const section of root.querySelectorAll("[data-ranking]:not([data-reasons-ready])")) {
    if (!section.querySelector('input[name="unrankable_reasons"]')) continue;
    section.dataset.reasonsReady = "";
    new Reasons(section);
  }
}
start(document);
document.body.addEventListener("htmx:afterSettle", (event) => start(event.detail.elt?.parentElement || document));
