/* The review list by keyboard: J and K (or the arrows) move from row to row, V chooses, F opens a piece to fix it. Enter is the link's own.
   The keys of decisions are buttons with data-shortcut; with nothing chosen they mean the row that has the focus. Works after htmx swaps: all by delegation. */

const list = () => document.querySelector("[data-review-list]");
const rows = () => [...document.querySelectorAll("[data-review-row]")];
const boxOf = (row) => row.querySelector("input[name=chosen]");
const rowInFocus = () => document.activeElement?.closest?.("[data-review-row]");

function typing(target) {
  return target.matches?.("textarea, select, input:not([type=checkbox])");
}

function move(step) {
  const all = rows();
  if (!all.length) return;
  const at = all.indexOf(rowInFocus());
  const next = at < 0 ? (step > 0 ? 0 : all.length - 1) : Math.min(all.length - 1, Math.max(0, at + step));
  all[next].querySelector("a.row-target").focus();
}

function showChosen() {
  const chosen = rows().filter((row) => boxOf(row).checked);
  for (const row of rows()) row.setAttribute("aria-selected", String(boxOf(row).checked));
  const all = document.querySelector("[data-choose-all]");
  if (all) {
    all.checked = chosen.length > 0 && chosen.length === rows().length;
    all.indeterminate = chosen.length > 0 && !all.checked;
  }
  const count = document.querySelector("[data-chosen-count]");
  if (count) count.textContent = sayMany("%(n)s chosen", "%(n)s chosen", chosen.length);
}

document.addEventListener("keydown", (event) => {
  if (!list() || event.defaultPrevented || event.isComposing || event.ctrlKey || event.metaKey || event.altKey) return;
  if (typing(event.target) || document.querySelector("dialog[open]")) return;
  const key = event.key.toLowerCase();
  const row = rowInFocus();
  if (key === "j" || (key === "arrowdown" && row)) move(1);
  else if (key === "k" || (key === "arrowup" && row)) move(-1);
  else if (key === "v" && row) { boxOf(row).checked = !boxOf(row).checked; showChosen(); }
  else if (key === "f" && row) location.assign(`${row.querySelector("a.row-target").href}#fix-panel`);
  else return;
  event.preventDefault();
});

document.addEventListener("change", (event) => {
  if (event.target.matches("[data-choose-all]")) for (const row of rows()) boxOf(row).checked = event.target.checked;
  if (event.target.closest("[data-review-list]")) showChosen();
});

document.addEventListener("submit", (event) => {
  if (event.target !== list() || rows().some((row) => boxOf(row).checked)) return;
  const row = rowInFocus();
  if (row) { boxOf(row).checked = true; showChosen(); return; }
  event.preventDefault();
  document.dispatchEvent(new CustomEvent("app:toast", { detail: { message: say("Choose at least one first."), level: "info" } }));
});
