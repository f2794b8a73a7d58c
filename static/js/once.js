/* A page that orders something carries a key of its own, so that it orders it once. Reached by the way back it is the same page, but a browser
   may fetch it anew, with another key: it gets back the one it had. Contract: docs/design-system.md, "Ordered once". */

const inputs = [...document.querySelectorAll('input[type="hidden"][name="once"]')];
const place = (input) => input.form.getAttribute("action") || "";
const kept = history.state?.once ?? {};
if (performance.getEntriesByType("navigation")[0]?.type === "back_forward") {
  for (const input of inputs) input.value = kept[place(input)] ?? input.value;
}
history.replaceState({ ...history.state, once: Object.fromEntries(inputs.map((input) => [place(input), input.value])) }, "");
