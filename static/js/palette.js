/* Jump anywhere by keyboard (Ctrl+K, ⌘K): a dialog with a combobox over what the site lists for this person.
   The button is [data-palette-url], with data-project where a project is at hand; its shortcut is app.js's business. */

const PAUSE = 120; // ms after the last key

function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

class Palette {
  constructor(button) {
    this.button = button;
    this.before = document.activeElement;
    this.input = el("input", { class: "input", type: "text", id: "palette-input", role: "combobox", "aria-expanded": "true", "aria-controls": "palette-list", "aria-autocomplete": "list", "aria-label": say("Jump to"), placeholder: say("Page, project, batch, section of the guideline …"), autocomplete: "off", spellcheck: "false" });
    this.list = el("div", { class: "palette-list", id: "palette-list", role: "listbox", "aria-label": say("Places") });
    this.status = el("p", { class: "small muted palette-status", role: "status" });
    this.dialog = el("dialog", { class: "dialog palette", "aria-label": say("Jump to") }, this.input, this.list, this.status);
    this.input.addEventListener("input", () => { clearTimeout(this.timer); this.timer = setTimeout(() => this.ask(), PAUSE); });
    this.input.addEventListener("keydown", (event) => this.onKey(event));
    this.list.addEventListener("pointermove", (event) => this.choose(this.options().indexOf(event.target.closest("[role=option]"))));
    this.dialog.addEventListener("click", (event) => { if (event.target === this.dialog) this.dialog.close(); });
    this.dialog.addEventListener("close", () => { this.dialog.remove(); if (this.before?.isConnected) this.before.focus({ preventScroll: true }); });
    document.body.append(this.dialog);
    this.dialog.showModal();
    this.input.focus();
    this.ask();
  }

  async ask() {
    const url = new URL(this.button.dataset.paletteUrl, location.href);
    url.search = new URLSearchParams({ q: this.input.value, project: this.button.dataset.project || "" });
    this.asked?.abort();
    this.asked = new AbortController();
    let answer;
    let found;
    try {
      answer = await fetch(url, { credentials: "same-origin", headers: { Accept: "application/json" }, signal: this.asked.signal });
      found = answer.ok ? await answer.json() : null;
    } catch (error) {
      if (error.name !== "AbortError") this.status.textContent = say("The site cannot be reached. Check the connection.");
      return;
    }
    if (answer.status === 401) {
      this.dialog.close();
      document.dispatchEvent(new CustomEvent("app:signed-out", { detail: { retry: () => this.button.click() } }));
      return;
    }
    if (!answer.ok) { this.status.textContent = say("That did not work (%(status)s).", { status: answer.status }); return; }
    this.show(found.targets);
  }

  show(targets) {
    this.list.replaceChildren();
    const groups = new Map();
    targets.forEach((target, index) => {
      if (!groups.has(target.group)) {
        const heading = el("div", { class: "palette-group", id: `palette-group-${groups.size}`, role: "presentation" }, target.group);
        const group = el("div", { role: "group", "aria-labelledby": heading.id }, heading);
        groups.set(target.group, group);
        this.list.append(group);
      }
      const link = el("a", { class: "palette-option", id: `palette-option-${index}`, role: "option", href: target.url, tabindex: "-1", "aria-selected": "false" }, el("span", { dir: "auto" }, target.title));
      if (target.detail) link.append(el("span", { class: "small muted", dir: "auto" }, target.detail));
      groups.get(target.group).append(link);
    });
    this.status.textContent = targets.length ? sayMany("%(n)s place. ↑ ↓ and Enter, Esc closes.", "%(n)s places. ↑ ↓ and Enter, Esc closes.", targets.length) : say("Nothing is called so.");
    this.choose(0);
  }

  options() { return [...this.list.querySelectorAll("[role=option]")]; }

  choose(index) {
    const options = this.options();
    if (index < 0 || !options.length) { if (!options.length) this.input.removeAttribute("aria-activedescendant"); return; }
    this.at = index;
    options.forEach((option, each) => option.setAttribute("aria-selected", String(each === index)));
    this.input.setAttribute("aria-activedescendant", options[index].id);
    options[index].scrollIntoView({ block: "nearest" });
  }

  onKey(event) {
    const count = this.options().length;
    const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: 5, PageUp: -5 };
    if (event.key in steps && count) {
      event.preventDefault();
      const wanted = this.at + steps[event.key];
      this.choose(Math.abs(steps[event.key]) === 1 ? (wanted + count) % count : Math.min(count - 1, Math.max(0, wanted)));
    } else if (event.key === "Enter" && !event.isComposing && count) {
      event.preventDefault();
      // A click: what leaves the page (unsaved words) is asked as for any link.
      this.before = null;
      this.options()[this.at].click();
      this.dialog.close();
    } else if (event.key.toLowerCase() === "k" && (event.ctrlKey || event.metaKey)) { event.preventDefault(); this.dialog.close(); }
  }
}

document.addEventListener("click", (event) => {
  const button = event.target.closest?.("[data-palette-url]");
  if (button && !document.querySelector("dialog[open]")) new Palette(button);
});
