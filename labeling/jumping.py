"""Read side of "jump anywhere": the pages, projects, batches and guideline sections one person may see."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from django.db.models import F, OuterRef, Subquery
from django.urls import reverse

from labeling.models import Batch, GuidelineVersion, Membership, Project, TaskKind
from labeling.permissions import Action, can
from labeling.sections import sections_of

MOST_OF_A_GROUP = 8
LONGEST_QUERY = 100

# (words, other words people look for, route, what one must be allowed to do)
PAGES: tuple[tuple[str, str, str, Action], ...] = (
    ("Overview", "home project dashboard", "labeling:project_detail", Action.VIEW_PROJECT),
    ("Work", "tasks start next", "labeling:work", Action.VIEW_OWN_WORK),
    ("My work", "history returned submitted", "labeling:history", Action.VIEW_OWN_WORK),
    ("My hours", "time pay timesheet", "labeling:my_time", Action.VIEW_OWN_WORK),
    ("Guidelines", "instructions rules", "labeling:guidelines", Action.READ_GUIDELINES),
    ("Review", "queue decide accept return", "labeling:review_queue", Action.REVIEW),
    ("Appeals", "objections", "labeling:appeals", Action.REVIEW),
    ("Submissions", "everybody's work judge again", "labeling:submissions", Action.REVIEW),
    ("Quality", "agreement meters bias consensus", "labeling:quality", Action.REVIEW),
    ("Where people disagree", "items conflict clarify", "labeling:quality_items", Action.REVIEW),
    ("Prompts", "questions completions", "labeling:prompts", Action.VIEW_PROMPTS),
    ("Batches", "tasks overlap deadline", "labeling:batches", Action.MANAGE_BATCHES),
    ("New batch", "make tasks", "labeling:batch_new", Action.MANAGE_BATCHES),
    ("Skipped tasks", "reasons unclear unsafe", "labeling:tasks_skipped", Action.MANAGE_BATCHES),
    ("Gold", "calibration known answers", "labeling:gold", Action.MANAGE_BATCHES),
    ("Qualification", "screening cut-offs", "labeling:qualification", Action.QUALIFY_PEOPLE),
    ("Forms", "flags scales questions fields", "labeling:forms", Action.EDIT_FORMS),
    ("Import", "upload files", "labeling:imports", Action.IMPORT),
    ("People", "annotators invite roles agreement", "labeling:people", Action.VIEW_PEOPLE),
    ("Hours and pay", "payroll ledger cost", "labeling:payroll", Action.VIEW_PAY),
    ("Rates", "pay hour piece currency", "labeling:rates", Action.VIEW_PAY),
    ("Datasets", "freeze export versions", "labeling:datasets", Action.VIEW_DATASETS),
    ("Audit trail", "events who did what", "labeling:audit", Action.VIEW_AUDIT),
    ("Rounds", "loop iteration", "training:rounds", Action.MANAGE_ROUNDS),
    ("Training runs", "sft reward ppo curves", "training:runs", Action.VIEW_RUNS),
    ("Checkpoints", "weights models", "training:checkpoints", Action.VIEW_RUNS),
    ("Settings", "flags lease rates", "labeling:project_settings", Action.CHANGE_SETTINGS),
)
SITE_PAGES: tuple[tuple[str, str, str], ...] = (
    ("All projects", "home list", "labeling:project_list"),
    ("Notifications", "messages bell", "labeling:notifications"),
    ("Profile and tokens", "name goal theme time zone api", "profile"),
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


def _matches(words: list[str], text: str) -> bool:
    text = text.casefold()
    return all(word in text for word in words)


def _best_first(words: list[str], found: list[Target]) -> list[Target]:
    """Titles that begin with what was typed come first; else the order stays."""
    typed = " ".join(words)
    return sorted(found, key=lambda target: not target.title.casefold().startswith(typed))[:MOST_OF_A_GROUP]


def _pages(membership: Membership, words: list[str]) -> list[Target]:
    slug = membership.project.slug
    found = [
        Target("Pages", title, membership.project.name, reverse(route, kwargs={"slug": slug}))
        for title, others, route, action in PAGES
        if can(membership, action) and _matches(words, f"{title} {others}")
    ]
    typed = " ".join(words)
    # Without a word everything is listed: there are few.
    return sorted(found, key=lambda target: not target.title.casefold().startswith(typed))


def _site_pages(words: list[str]) -> list[Target]:
    return [
        Target("Site", title, "", reverse(route))
        for title, others, route in SITE_PAGES
        if _matches(words, f"{title} {others}")
    ]


def _projects(user, words: list[str]) -> list[Target]:
    rows = Project.objects.visible_to(user).active()
    for word in words:
        rows = rows.filter(name__icontains=word)
    return [
        Target("Projects", project.name, "", reverse("labeling:project_detail", args=[project.slug]))
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
            "Batches",
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
        label = TaskKind(version.kind).label
        found += [
            Target("Guideline sections", section.title, f"{label} guideline", f"{url}#{section.anchor}")
            for section in sections_of(version.markdown)
            if _matches(words, section.title)
        ]
    return _best_first(words, found)
