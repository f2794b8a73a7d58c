/* What the project's checks say of an answer while it is written, and its length in tokens. Never in the way of typing: asked after a pause,
   an answer that comes too late is dropped, a failure is silent (submitting says the same). Contract: docs/design-system.md, "Answer checks". */

const PAUSE = 700; // ms after the last key

/* Code points, as the server counts, to the UTF-16 units of a text area. */
export function toUnits(text, codePoints) {
  let units = 0;
  for (let left = codePoints; left > 0 && units < text.length; left -= 1) units += text.codePointAt(units) > 0xffff ? 2 : 1;
  return units;
}

class AnswerChecks {
  constructor(section) {
    this.section = section;
    this.area = document.getElementById(section.dataset.for);
    this.list = section.querySelector("[data-remarks]");
    this.tokens = section.querySelector("[data-tokens]");
    this.said = "";
    this.area.addEventListener("input", () => this.soon());
    if (this.area.value) this.ask();
  }

  soon() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.ask(), PAUSE);
  }

  async ask() {
    if (!this.section.isConnected) return;
    this.asking?.abort();
    this.asking = new AbortController();
    const text = this.area.value;
    let answer;
    try {
      const headers = { ...JSON.parse(document.body.getAttribute("hx-headers") || "{}"), "Content-Type": "application/json", Accept: "application/json" };
      const response = await fetch(this.section.dataset.url, { method: "POST", credentials: "same-origin", headers, body: JSON.stringify(this.question(text)), signal: this.asking.signal });
      if (!response.ok) return;
      answer = await response.json();
    } catch {
      return; // a newer question, or no network: autosave says what is true of that
    }
    if (text === this.area.value) this.show(answer);
  }

  /* What is asked: the answer, held against the prompt where its author writes that too; or that prompt itself. */
  question(text) {
    const { of, prompt } = this.section.dataset;
    if (of) return { text, of };
    return prompt ? { text, prompt: document.getElementById(prompt).value } : { text };
  }

  show({ remarks, tokens }) {
    const form = tokens.is_estimate ? this.tokens.dataset.estimate : this.tokens.dataset.exact;
    this.tokens.textContent = form.replace("#", tokens.count.toLocaleString());
    this.list.replaceChildren(...remarks.map((remark) => this.item(remark)));
    this.list.hidden = remarks.length === 0;
    this.announce(remarks);
  }

  item(remark) {
    const item = this.section.querySelector(`template[data-remark="${remark.action}"]`).content.cloneNode(true).firstElementChild;
    item.querySelector("[data-label]").textContent = remark.title;
    item.querySelector("[data-message]").textContent = remark.message;
    const quote = item.querySelector("[data-quote]");
    const isWhole = remark.start === 0 && remark.end >= [...this.area.value].length;
    if (isWhole) quote.remove(); else quote.textContent = remark.quote;
    const button = item.querySelector("[data-stretch]");
    button.dataset.start = remark.start;
    button.dataset.end = remark.end;
    return item;
  }

  /* Politely, and only what is new: the same findings are not said at each pause. */
  announce(remarks) {
    const now = [...new Set(remarks.map((remark) => `${remark.title}: ${remark.message}`))].join(" ");
    if (now === this.said) return;
    const text = now ? `${this.list.dataset.some} ${now}` : this.list.dataset.none;
    this.said = now;
    document.dispatchEvent(new CustomEvent("app:announce", { detail: text }));
  }
}

document.addEventListener("click", (event) => {
  const button = event.target.closest?.("[data-stretch]");
  const area = button && document.getElementById(button.dataset.stretch);
  if (!area) return;
  const [start, end] = [button.dataset.start, button.dataset.end].map((place) => toUnits(area.value, Number(place)));
  area.focus();
  area.setSelectionRange(start, end);
});

function begin(root) {
  for (const section of root.querySelectorAll("[data-answer-checks]:not([data-ready])")) {
    section.dataset.ready = "";
    new AnswerChecks(section);
  }
}
begin(document);
document.body.addEventListener("htmx:afterSettle", () => begin(document));
