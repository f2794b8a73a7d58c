/* One box for all of a group: <fieldset data-choose-group> with <label hidden><input type="checkbox" data-choose-group-all>. Without this script it stays hidden. */

const ALL = "[data-choose-group-all]";

function show(group) {
  const all = group.querySelector(ALL);
  if (!all) return;
  const boxes = [...group.querySelectorAll(`input[type=checkbox]:not(${ALL})`)];
  const chosen = boxes.filter((box) => box.checked).length;
  all.closest("label").hidden = false;
  all.checked = chosen === boxes.length;
  all.indeterminate = chosen > 0 && !all.checked;
}

const groups = () => document.querySelectorAll("[data-choose-group]");
document.addEventListener("change", (event) => {
  const group = event.target.closest("[data-choose-group]");
  if (!group) return;
  if (event.target.matches(ALL)) for (const box of group.querySelectorAll("input[type=checkbox]")) box.checked = event.target.checked;
  show(group);
});
document.body.addEventListener("htmx:afterSettle", () => groups().forEach(show));
// The browser may put choices of before back into the boxes.
window.addEventListener("pageshow", () => groups().forEach(show));
groups().forEach(show);
