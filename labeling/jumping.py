"""Read side of "jump anywhere": the pages, projects, batches and guideline sections one person may see."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from django.db.models import F, OuterRef, Subquery
from django.urls import reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_noop as _

from labeling.models import Batch, GuidelineVersion, Membership, Project, TaskKind
from labeling.permissions import Action, can
from labeling.sections import sections_of

MOST_OF_A_GROUP = 8
LONGEST_QUERY = 100

# (words, other words people look for, route, what one must be allowed to do); found in English and
# in the reader's language alike.
PAGES: tuple[tuple[str, str, str, Action], ...] = (
    (_("Overview"), _("home project dashboard"), "labeling:project_detail", Action.VIEW_PROJECT),
    (_("Work"), _("tasks start next"), "labeling:work", Action.VIEW_OWN_WORK),
    (_("My work"), _("history returned submitted"), "labeling:history", Action.VIEW_OWN_WORK),
    (_("My hours"), _("time pay timesheet"), "labeling:my_time", Action.VIEW_OWN_WORK),
    (_("Guidelines"), _("instructions rules"), "labeling:guidelines", Action.READ_GUIDELINES),
    (_("Review"), _("queue decide accept return"), "labeling:review_queue", Action.REVIEW),
    (_("Appeals"), _("objections"), "labeling:appeals", Action.REVIEW),
    (_("Submissions"), _("everybody's work judge again"), "labeling:submissions", Action.REVIEW),
    (_("Quality"), _("agreement meters bias consensus"), "labeling:quality", Action.REVIEW),
    (_("Where people disagree"), _("items conflict clarify"), "labeling:quality_items", Action.REVIEW),
    (_("Prompts"), _("questions completions"), "labeling:prompts", Action.VIEW_PROMPTS),
    (_("Batches"), _("tasks overlap deadline"), "labeling:batches", Action.MANAGE_BATCHES),
    (_("New batch"), _("make tasks"), "labeling:batch_new", Action.MANAGE_BATCHES),
    (_("Skipped tasks"), _("reasons unclear unsafe"), "labeling:tasks_skipped", Action.MANAGE_BATCHES),
    (_("Gold"), _("calibration known answers"), "labeling:gold", Action.MANAGE_BATCHES),
    (_("Qualification"), _("screening cut-offs"), "labeling:qualification", Action.QUALIFY_PEOPLE),
    (_("Forms"), _("flags scales questions fields"), "labeling:forms", Action.EDIT_FORMS),
    (_("Import"), _("upload files"), "labeling:imports", Action.IMPORT),
    (_("People"), _("annotators invite roles agreement"), "labeling:people", Action.VIEW_PEOPLE),
    (_("Hours and pay"), _("payroll ledger cost"), "labeling:payroll", Action.VIEW_PAY),
    (_("Rates"), _("pay hour piece currency"), "labeling:rates", Action.VIEW_PAY),
    (_("Datasets"), _("freeze export versions"), "labeling:datasets", Action.VIEW_DATASETS),
    (_("Audit trail"), _("events who did what"), "labeling:audit", Action.VIEW_AUDIT),
    (_("Rounds"), _("loop iteration"), "training:rounds", Action.MANAGE_ROUNDS),
    (_("Training runs"), _("sft reward ppo curves"), "training:runs", Action.VIEW_RUNS),
    (_("Checkpoints"), _("weights models"), "training:checkpoints", Action.VIEW_RUNS),
    (_("Settings"), _("flags lease rates"), "labeling:project_settings", Action.CHANGE_SETTINGS),
)
SITE_PAGES: tuple[tuple[str, str, str], ...] = (
    (_("All projects"), _("home list"), "labeling:project_list"),
    (_("Notifications"), _("messages bell"), "labeling:notifications"),
    (_("Profile and tokens"), _("name goal theme time zone api"), "profile"),
)


@dataclass(frozen=True)
class Target:
    """Somewhere to go: `group` is a heading, `detail` tells equal titles apart."""

    group: str
    title: str
    detail: str
    url: str


def targets(*, user, membership: Membership | None, query: str) -> list[dict[str, Any]]:
    """What matches every word of the query, best first within its group. At most four queries."""
    words = query.strip().casefold()[:LONGEST_QUERY].split()
    found = [
        *(_pages(membership, words) if membership is not None else []),
        *_projects(user, words),
        *(_batches(membership, words) if membership is not None else []),
        *(_sections(membership, words) if membership is not None else []),
        *_site_pages(words),
    ]
    return [asdict(target) for target in found]


def _matches(words: list[str], *texts: str) -> bool:
    text = " ".join(texts).casefold()
    return all(word in text for word in words)


def _best_first(words: list[str], found: list[Target]) -> list[Target]:
    """Titles that begin with what was typed come first; else the order stays."""
    typed = " ".join(words)
    return sorted(found, key=lambda target: not target.title.casefold().startswith(typed))[:MOST_OF_A_GROUP]


def _pages(membership: Membership, words: list[str]) -> list[Target]:
    slug = membership.project.slug
    found = [
        Target(
            gettext("Pages"), gettext(title), membership.project.name, reverse(route, kwargs={"slug": slug})
        )
        for title, others, route, action in PAGES
        if can(membership, action) and _is_meant(words, title, others)
    ]
    typed = " ".join(words)
    # Without a word everything is listed: there are few.
    return sorted(found, key=lambda target: not target.title.casefold().startswith(typed))


def _site_pages(words: list[str]) -> list[Target]:
    return [
        Target(gettext("Site"), gettext(title), "", reverse(route))
        for title, others, route in SITE_PAGES
        if _is_meant(words, title, others)
    ]


def _is_meant(words: list[str], title: str, others: str) -> bool:
    return _matches(words, title, others, gettext(title), gettext(others))


def _projects(user, words: list[str]) -> list[Target]:
    rows = Project.objects.visible_to(user).active()
    for word in words:
        rows = rows.filter(name__icontains=word)
    return [
        Target(gettext("Projects"), project.name, "", reverse("labeling:project_detail", args=[project.slug]))
        for project in rows[:MOST_OF_A_GROUP]
    ]


def _batches(membership: Membership, words: list[str]) -> list[Target]:
    if not can(membership, Action.MANAGE_BATCHES):
        return []
    rows = Batch.objects.filter(project=membership.project)
    for word in words:
        rows = rows.filter(name__icontains=word)
    slug = membership.project.slug
    return [
        Target(
            gettext("Batches"),
            batch.name,
            batch.get_status_display(),
            reverse("labeling:batch_detail", args=[slug, batch.pk]),
        )
        for batch in rows.order_by("-pk")[:MOST_OF_A_GROUP]
    ]


def _sections(membership: Membership, words: list[str]) -> list[Target]:
    """Headings of the guidelines in force; only once something is typed, as there may be many."""
    if not words or not can(membership, Action.READ_GUIDELINES):
        return []
    newest = GuidelineVersion.objects.filter(guideline=OuterRef("guideline")).order_by("-number")
    versions = GuidelineVersion.objects.filter(
        guideline__project=membership.project, number=Subquery(newest.values("number")[:1])
    ).annotate(kind=F("guideline__kind"))
    found = []
    for version in versions.order_by("kind"):
        url = reverse(
            "labeling:guideline_version", args=[membership.project.slug, version.kind, version.number]
        )
        detail = gettext("%(kind)s guideline") % {"kind": TaskKind(version.kind).label}
        found += [
            Target(gettext("Guideline sections"), section.title, detail, f"{url}#{section.anchor}")
            for section in sections_of(version.markdown)
            if _matches(words, section.title)
        ]
    return _best_first(words, found)
