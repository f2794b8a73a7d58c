"""Template tags of the design language: icons, badges, Markdown, charts, navigation, sorting.

Markdown is the only place of the site that turns people's or models' text into markup; it sanitises what it
makes (`render_markdown`). Every other tag builds markup through `format_html` or an inclusion template.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import nh3
from django import template
from django.core.serializers.json import DjangoJSONEncoder
from django.forms import BoundField, Select
from django.template import Context
from django.templatetags.static import static
from django.urls import NoReverseMatch, reverse
from django.utils.functional import Promise
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from markdown_it import MarkdownIt
from markdown_it.rules_core import StateCore

from annotate import signs
from annotate.signs import with_signs_in_html
from labeling.formulas import MATH_ATTRIBUTES, MATH_TAGS, add_formulas
from labeling.models import TaskKind
from labeling.services.judgments import UNRANKABLE_REASONS

register = template.Library()

# What Markdown may become. No images (they would tell a foreign server who reads), no ids or classes
# (they would reach our own styles and scripts), no raw HTML at all.
ALLOWED_TAGS = {
    "a", "blockquote", "br", "code", "del", "em", "h1", "h2", "h3", "h4", "h5", "h6", "hr",
    "li", "ol", "p", "pre", "s", "strong", "table", "tbody", "td", "th", "thead", "tr", "ul",
} | MATH_TAGS  # fmt: skip
ALLOWED_ATTRIBUTES = {"a": {"href", "title"}, "ol": {"start"}, **MATH_ATTRIBUTES}
HEADINGS = ("h2", "h3", "h4", "h5", "h6")
SECTION_ID = re.compile(r"section-\d{1,5}")
ALLOWED_SCHEMES = {"http", "https", "mailto"}

# One table for the whole site: which colour a state has. Anything else is neutral.
BADGE_TONES = {
    "queued": "info", "waiting": "info", "pending": "info", "draft": "info", "leased": "info",
    "running": "accent", "in_progress": "accent", "fixed": "accent", "published": "accent",
    "succeeded": "success", "accepted": "success", "active": "success", "complete": "success",
    "done": "success", "returned": "warning", "cancelling": "warning", "paused": "warning",
    "interrupted": "warning", "expired": "warning",
    "failed": "error", "rejected": "error", "disabled": "error",
}  # fmt: skip
WORD = re.compile(
    r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"
    r"|[^\W_\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]+"
    r"(?:['’-][^\W_]+)*"
)
LIVE_STATES = {"running", "in_progress", "cancelling"}
TONES = {"success", "warning", "error", "info", "accent", "neutral"}


@lru_cache(maxsize=1)
def _markdown() -> MarkdownIt:
    """CommonMark, tables, strikethrough and formulas; raw HTML and images off, headings one level down."""
    parser = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"]).disable("image")
    parser.core.ruler.push("demote_headings", _demote_headings)
    add_formulas(parser)
    return parser


def _demote_headings(state: StateCore) -> None:
    """The page has its own first heading: a text's begin at the second level."""
    for token in state.tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(6, int(token.tag[1]) + 1)}"


def render_markdown(text: str, *, anchors: bool = False) -> SafeString:
    """Render untrusted Markdown to sanitised HTML, safe to place in a page.

    Two fences, each enough alone: the parser escapes raw HTML, and nh3 drops whatever is not on the lists
    above. Links get `rel="noopener nofollow"` and never carry a `javascript:` or `data:` address.
    anchors: headings get the ids section-1, section-2 … (one such text a page: guidelines).
    """
    env: dict[str, Any] = {}
    tokens = _markdown().parse(text or "", env)
    attributes: dict[str, set[str]] = ALLOWED_ATTRIBUTES
    if anchors:
        for number, opening in enumerate((each for each in tokens if each.type == "heading_open"), start=1):
            opening.attrSet("id", f"section-{number}")
        attributes = ALLOWED_ATTRIBUTES | {tag: {"id"} for tag in HEADINGS}
    clean = nh3.clean(
        _markdown().renderer.render(tokens, _markdown().options, env),
        tags=ALLOWED_TAGS,
        attributes=attributes,
        attribute_filter=_only_our_ids,
        url_schemes=ALLOWED_SCHEMES,
        link_rel="noopener nofollow",
    )
    return with_signs_in_html(clean)  # sanitised one line above, see tests/security/test_markdown.py


def _only_our_ids(tag: str, name: str, value: str) -> str | None:
    return value if name != "id" or SECTION_ID.fullmatch(value) else None


@register.filter
def markdown(text: str | None) -> SafeString:
    """`{{ text|markdown }}`: put it inside `<div class="prose">`."""
    return render_markdown(str(text or ""))


@register.filter
def with_signs(text: str | None) -> SafeString:
    """`{{ text|with_signs }}` inside `.plain`: as it is written, characters that nobody sees with a mark."""
    return signs.with_signs(str(text or ""))


@register.filter
def isolated(name: Any) -> str:
    """`{% blocktranslate with name=project.name|isolated %}`: a name within a sentence of ours, whose words
    it does not turn around."""
    return signs.isolated(str(name or ""))


@register.filter
def guideline_markdown(text: str | None) -> SafeString:
    """As `markdown`, with ids on its headings, which `sections_of` (labeling.sections) links to."""
    return render_markdown(str(text or ""), anchors=True)


@register.filter
def kinds(kind: str) -> str:
    """`{{ "ranking"|kinds }}`: the word for several pieces of a kind of task."""
    return TaskKind(kind).many


@register.simple_tag
def icon(name: str, size: str = "") -> SafeString:
    """`{% icon "check" %}` or `{% icon "check" "s" %}`: a decorative icon of static/img/icons.svg."""
    css = f"icon icon-{size}" if size in {"s", "l"} else "icon"
    return format_html(
        '<svg class="{}" aria-hidden="true" focusable="false"><use href="{}#{}"></use></svg>',
        css,
        static("img/icons.svg"),
        name,
    )


@register.simple_tag
def badge(state: Any, label: str = "", tone: str = "") -> SafeString:
    """`{% badge run.status %}`: a pill for a state; `label` and `tone` override what the state implies."""
    key = str(state)
    tone = tone if tone in TONES else BADGE_TONES.get(key, "neutral")
    live = " badge-live" if key in LIVE_STATES else ""
    text = gettext(str(label or key.replace("_", " ").capitalize()))
    return format_html(
        '<span class="badge badge-dot badge-{}{}" data-state="{}">{}</span>', tone, live, key, text
    )


@register.inclusion_tag("components/sparkline.html")
def sparkline(values: Sequence[float | None], label: str = "") -> dict[str, Any]:
    """`{% sparkline values "Submissions a day" %}`: a tiny line, 96 × 30 units; needs two points at least."""
    known = [(i, float(v)) for i, v in enumerate(values or []) if v is not None]
    if len(known) < 2:
        return {"points": "", "label": label}
    low, high = min(v for _, v in known), max(v for _, v in known)
    spread = (high - low) or 1.0
    last = known[-1][0] or 1
    points = [f"{96 * i / last:.1f},{28 - 26 * (v - low) / spread:.1f}" for i, v in known]
    first_x = points[0].split(",")[0]
    return {"points": " ".join(points), "area": f"{first_x},30 {' '.join(points)} 96,30", "label": label}


@register.inclusion_tag("components/chart.html")
def chart(chart_id: str, title: str, data: Mapping[str, Any] | None = None, **options: Any) -> dict[str, Any]:
    """`{% chart "loss" "Loss" data src=url x_label="Step" y_format="percent" %}`: a line chart (charts.js).

    `data` is {"x": [..], "series": [{"name", "values": [.. or None], "key"?}]}; None draws a gap.

    Options: src (JSON address of the same shape), keys (metrics that live.js draws here), over (the metric
    they are drawn over, instead of the step), x_label, y_label, y_format (number, count, percent, seconds),
    height (pixels), x_time (x are days, in seconds since the epoch), bins (a histogram: its legend says
    totals), empty (what to say while there is nothing to draw).
    """
    return {"chart_id": chart_id, "title": title, "data": data, "data_id": f"{chart_id}-data", **options}


AXIS = format_html(
    '<line class="interval-axis" x1="{}" x2="{}" y1="8" y2="8"/>'
    '<line class="interval-axis" x1="60" x2="60" y1="4" y2="12"/>',
    4,
    116,
)


@register.simple_tag
def interval(estimate: Mapping[str, Any], low: float = 0.0, high: float = 1.0) -> str:
    """An error bar between `low` and `high`: the value as a point, its confidence interval as a line.

    The numbers stand beside it, so it is hidden from screen readers. Written here, not in a template: tables
    hold hundreds of them.
    """

    def at(value: float) -> str:
        return f"{4 + 112 * (max(low, min(high, value)) - low) / (high - low):.1f}"

    line: str = ""
    point: str = ""
    if estimate["low"] is not None:
        ends = at(estimate["low"]), at(estimate["high"])
        line = format_html('<line class="interval-bar" x1="{}" x2="{}" y1="8" y2="8"/>', *ends)
    if estimate["value"] is not None:
        point = format_html('<circle class="interval-point" cx="{}" cy="8" r="3.5"/>', at(estimate["value"]))
    return format_html(
        '<svg class="interval" viewBox="0 0 120 16" aria-hidden="true">{}{}{}</svg>', AXIS, line, point
    )


@register.filter
def in_words(text: Any) -> str:
    """A form's text in the reader's language.

    Lazy ones speak it already and may be markup of Django's own (the rules of passwords): `{% translate %}`
    would show their source.
    """
    if isinstance(text, Promise):
        return str(text)
    return gettext(text) if text else ""


@register.filter
def percent(value: float | str | None) -> str:
    """0.726 is "72.6 %"; nothing known is a dash."""
    return "—" if value in (None, "") else f"{100 * value:.1f} %"


@register.filter
def decimal(value: float | str | None) -> str:
    """0.4321 is "0.43"; nothing known is a dash."""
    return "—" if value in (None, "") else f"{value:.2f}"


@register.filter
def to_json(value: Any) -> str:
    """JSON text for an attribute (`data-x="{{ value|to_json }}"`): escaped by the template as any text."""
    return json.dumps(value, ensure_ascii=False, cls=DjangoJSONEncoder)  # knows texts to be translated


@register.inclusion_tag("components/nav_item.html", takes_context=True)
def nav_item(context: Context, route: str, label: str, icon_name: str, count: int = 0) -> dict[str, Any]:
    """One entry of the project navigation; left out where the route does not exist (a room not installed)."""
    project = context.get("project")
    href = ""
    if project is not None:
        with contextlib.suppress(NoReverseMatch):
            href = reverse(route, kwargs={"slug": project.slug})
    path = getattr(context.get("request"), "path", "")
    is_home = route == "labeling:project_detail"
    current = bool(href) and (path == href if is_home else path.startswith(href))
    return {"href": href, "label": label, "icon_name": icon_name, "count": count, "current": current}


@register.simple_tag(takes_context=True)
def work_of(context: Context, member: Any) -> str:
    """The list of a member's submissions, ready for further filters (`…&kind=ranking`)."""
    return f"{reverse('labeling:submissions', args=[context['project'].slug])}?person={member.user_id}"


@register.inclusion_tag("components/sort_link.html", takes_context=True)
def sort_header(context: Context, field: str, label: str, numeric: bool = False) -> dict[str, Any]:
    """A `<th>` whose link sorts by `field` (?sort=field, ?sort=-field), keeping the other filters."""
    params = context["request"].GET.copy()
    current = params.get("sort", "")
    direction = {field: "ascending", f"-{field}": "descending"}.get(current, "none")
    params["sort"] = f"-{field}" if direction == "ascending" else field
    params.pop("page", None)
    return {"href": f"?{params.urlencode()}", "label": label, "direction": direction, "numeric": numeric}


@register.filter
def letter(index: int) -> str:
    """0 → A, 1 → B …: the blind name of a completion in the order shown."""
    return chr(ord("A") + int(index) % 26)


@register.filter
def widget_is(field: BoundField, kinds: str) -> bool:
    """True where the field's widget is one of the comma-separated input types or class names."""
    widget = field.field.widget
    names = {getattr(widget, "input_type", ""), type(widget).__name__.lower()}
    return bool(names & {kind.strip().lower() for kind in kinds.split(",")})


@register.filter
def must_be_filled(field: BoundField) -> bool:
    """True where a required field is still empty. A list that opens on its first entry never is."""
    is_list = isinstance(field.field.widget, Select) and not field.field.widget.allow_multiple_selected
    opens_empty = not is_list or next(iter(field.field.widget.choices), ("", ""))[0] in ("", None)
    return field.field.required and opens_empty and field.value() in (None, "", [])


@register.filter
def focused(field: BoundField) -> SafeString:
    """The field's widget, which has the focus when the page opens: one a page, and only where filling in the
    form is all that the page is for."""
    return field.as_widget(attrs={"autofocus": True})


@register.filter
def get_item(mapping: Mapping[Any, Any] | None, key: Any) -> Any:
    """`{{ mapping|get_item:key }}`; None where the key is missing."""
    return (mapping or {}).get(key)


@register.simple_tag
def unrankable_reasons() -> Sequence[tuple[str, str]]:
    """`{% unrankable_reasons as reasons %}`: (key, words) of why a completion cannot be ranked."""
    return UNRANKABLE_REASONS


@register.filter
def word_count(text: str | None) -> int:
    """Words, where each character of a script without blanks (Chinese, Japanese, Thai …) counts as one."""
    return len(WORD.findall(str(text or "")))  # str: a text to translate is words only then


@register.filter
def duration(seconds: float | None) -> str:
    """75 → "1 min 15 s", 7_260 → "2 h 1 min", None → "—"."""
    if seconds is None:
        return "—"
    whole = max(0, round(float(seconds)))
    hours, minutes, rest = whole // 3600, whole % 3600 // 60, whole % 60
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


@register.filter
def unbroken(text: Any) -> str:
    """`{{ seconds|duration|unbroken }}`: what no line may break within."""
    return str(text).replace(" ", "\u00a0")


@register.filter
def file_size(size: int | None) -> str:
    """Bytes in SI units, as disks and browsers count: 1_500_000 → "1.5 MB", which never breaks in two."""
    if size is None:
        return "—"
    amount = float(size)
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 1000:
            return f"{amount:.{0 if unit == 'B' else 1}f}\N{NO-BREAK SPACE}{unit}"
        amount /= 1000
    return f"{amount:.1f}\N{NO-BREAK SPACE}TB"


@register.simple_tag
def loop_states(nodes: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Fill in what a node leaves out of what components/loop.html needs: state "waiting", no link or note."""
    return [{"state": "waiting", "href": "", "note": "", "icon": "target", **node} for node in nodes]
