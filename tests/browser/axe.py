"""axe-core in a page: what breaks WCAG 2.2 A or AA there, in lines that a person can act on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

SCRIPT = (Path(__file__).parent / "vendor" / "axe-core" / "axe.min.js").read_text()
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
EVERYTHING = {"runOnly": {"type": "tag", "values": TAGS}, "rules": {"target-size": {"enabled": True}}}
# What another colour scheme or another width can change, and nothing else can.
COLOURS = {"runOnly": {"type": "rule", "values": ["color-contrast", "link-in-text-block"]}}
LAYOUT = {"runOnly": {"type": "rule", "values": ["target-size", "scrollable-region-focusable"]}}

# Colours fade from one scheme to the other: what axe measures is what stays.
RUN = """async (options) => {
  const frame = () => new Promise(requestAnimationFrame);
  await frame(); await frame();
  const fades = document.getAnimations().filter((each) => each instanceof CSSTransition);
  await Promise.all(fades.map((each) => each.finished));
  const found = await axe.run(document, {...options, resultTypes: ["violations"], elementRef: false});
  const line = (text, most) => text.replace(/\\s+/g, " ").slice(0, most);
  const told = (rule, node) => [
    `${rule.id}: ${node.target.join(" ")}`, line(node.html, 160), line(node.failureSummary, 220),
  ];
  return found.violations.flatMap((rule) => rule.nodes.map((node) => told(rule, node).join(" | ")));
}"""


def violations(page: Any, options: dict[str, Any] = EVERYTHING) -> list[str]:
    """One line for each place. The page's context must have been opened with `bypass_csp=True`."""
    if not page.evaluate("() => 'axe' in window"):
        page.evaluate(SCRIPT)
    return page.evaluate(RUN, options)
