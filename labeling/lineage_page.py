"""Read side: where a judgment, a prompt or an imported file comes from, and what came of it.

Both directions are steps of one form, for page and API alike. People appear by pseudonym, as in a dataset;
paths are those of pages, which ask for themselves whether somebody may open them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

from django.urls import reverse

from annotate.errors import NotFound
from annotate.words import _
from labeling.models import (
    UNJUDGED,
    Adjudication,
    Completion,
    CompletionOrigin,
    DatasetKind,
    DatasetVersion,
    DatasetVersionStatus,
    Demonstration,
    GuidelineVersion,
    ImportRecord,
    Project,
    Prompt,
    Ranking,
    Submission,
    TaskKind,
)

from .services import dataset_files
from .services.dataset_origins import of_files
from .services.lineage import Usage, usages_of, versions_containing, versions_with_prompt
from .services.written_prompts import WRITTEN

MOST_SHOWN = 100  # judgments of a prompt, versions of an import
MOST_IDS = 2_000_000  # judgments or prompts of an import that are looked for in versions


@dataclass
class Step:
    """One station. `kind`: prompt, import, judgment, review, guideline, form, completion, person, version or
    usage; `path`: its page, "" where it has none; `role`: the least role that may open it."""

    kind: str
    title: str
    path: str = ""
    role: str = "lead"
    note: str = ""
    text: str = ""  # what people wrote
    facts: dict[str, str] = field(default_factory=dict)
    steps: list[Step] = field(default_factory=list)  # what came of this one

    def to_json(self) -> dict[str, Any]:
        return {
            name: str(value) if isinstance(value, str) else value
            for name, value in asdict(self).items()
            if name not in ("facts", "steps")
        } | {
            "facts": {str(name): str(value) for name, value in self.facts.items()},
            "steps": [step.to_json() for step in self.steps],
        }


@dataclass
class Lineage:
    kind: str
    pk: int
    title: str
    path: str  # the page of the thing itself
    role: str
    back: list[Step]  # the nearest first, the source last
    forward: list[Step]


def lineage_of(project: Project, kind: str, pk: int) -> Lineage:
    """Both ways from one `kind` of thing (judgment, prompt, import) of the project. Raises NotFound."""
    found: Lineage | None = None
    if kind == "judgment":
        submissions = project.submissions.select_related(
            "prompt__import_record__created_by", "prompt__created_by", "import_record__created_by",
            "annotator", "task__batch", "project",
        )  # fmt: skip
        submission = submissions.filter(pk=pk).first()
        found = _of_judgment(project, submission) if submission is not None else None
    elif kind == "prompt":
        prompts = project.prompts.written().select_related("import_record__created_by", "created_by")
        prompt = prompts.filter(pk=pk).first()
        found = _of_prompt(project, prompt) if prompt is not None else None
    elif kind == "import":
        record = project.imports.select_related("created_by").filter(pk=pk).first()
        found = _of_import(project, record) if record is not None else None
    if found is None:
        raise NotFound("There is no such thing in this project to tell the lineage of.")
    return found


# --- From a judgment --------------------------------------------------------------------------------------
def _of_judgment(project: Project, submission: Submission) -> Lineage:
    current = submission.current
    back = [_author(project, submission, current)]
    back += [*_settled_orders(project, submission), *_reviews(project, submission)]
    if current.guideline_version is not None:
        back.append(_guideline(project, submission, current, current.guideline_version))
    back += _completions(project, submission, current)
    back += [_prompt(project, submission.prompt), _source(project, submission.prompt)]
    return Lineage(
        "judgment",
        submission.pk,
        str(submission),
        reverse("labeling:submission_detail", args=[project.slug, submission.pk]),
        "lead",
        back,
        _versions(project, versions_containing(submission=submission), str(submission.pk)),
    )


def _author(project: Project, submission: Submission, current: Demonstration | Ranking) -> Step:
    facts = {
        _("When"): f"{submission.created_at:%Y-%m-%d %H:%M} UTC",
        _("Status"): submission.get_status_display(),
        _("Revision"): f"{current.revision}, {current.get_origin_display()}",
    }
    if submission.task is not None:
        facts[_("Batch")] = submission.task.batch.name
    if submission.import_record is not None:
        return _import(project, submission.import_record, _("Judged elsewhere, and imported"), facts)
    who = submission.annotator.pseudonym if submission.annotator is not None else "—"
    title = _("Ranked by %(who)s") if submission.kind == TaskKind.RANKING else _("Written by %(who)s")
    task = submission.task
    path = reverse("labeling:task_detail", args=[project.slug, task.pk]) if task is not None else ""
    return Step("person", title % {"who": who}, path=path, facts=facts)


def _reviews(project: Project, submission: Submission) -> list[Step]:
    reviews = list(submission.reviews.select_related("reviewer").order_by("-id"))
    page = reverse("labeling:submission_detail", args=[project.slug, submission.pk])
    if not reviews:
        is_imported = submission.import_record_id is not None
        said = _("Accepted as imported") if is_imported else _("Not reviewed by anybody")
        return [Step("review", said, path=page)]
    return [
        Step(
            "review",
            _("%(decision)s by %(who)s")
            % {"decision": each.get_decision_display(), "who": each.reviewer.pseudonym},
            path=page,
            note=str(_("taken back")) if each.reopened_at else "",
            text=each.note,
            facts={_("When"): f"{each.created_at:%Y-%m-%d %H:%M} UTC", _("Revision"): str(each.revision)}
            | ({_("Reasons"): ", ".join(each.reasons)} if each.reasons else {}),
        )
        for each in reviews
    ]


def _settled_orders(project: Project, submission: Submission) -> list[Step]:
    """A settled order that stands: a dataset may hold it in place of the task's rankings."""
    standing = Adjudication.objects.filter(task=submission.task_id, superseded_at=None).select_related("by")
    return [
        Step(
            "review",
            _("Order settled by %(who)s") % {"who": each.by.pseudonym},
            path=reverse("labeling:adjudication", args=[project.slug, each.task_id]),
            text=each.note,
            facts={_("When"): f"{each.at:%Y-%m-%d %H:%M} UTC"},
        )
        for each in standing
    ]


def _guideline(
    project: Project, submission: Submission, current: Demonstration | Ranking, version: GuidelineVersion
) -> Step:
    facts = {_("Published"): f"{version.published_at:%Y-%m-%d}", "SHA-256": version.sha256}
    if current.form_version is not None:
        facts[_("Form")] = _("version %(n)s") % {"n": current.form_version.number}
    return Step(
        "guideline",
        _("Under guideline version %(n)s") % {"n": version.number},
        path=reverse("labeling:guideline_version", args=[project.slug, submission.kind, version.number]),
        role="annotator",
        text=version.change_summary,
        facts=facts,
    )


def _completions(project: Project, submission: Submission, current: Demonstration | Ranking) -> list[Step]:
    """What was ranked, or the draft that was edited: each with the model that wrote it."""
    if isinstance(current, Ranking):
        ids = [pk for tier in current.tiers for pk in tier] + list(current.unrankable)
    else:
        ids = [current.started_from_id] if current.started_from_id else []
    found = Completion.objects.filter(project=project, pk__in=ids).select_related("import_record")
    by_id = {each.pk: each for each in found}
    places = {pk: place for place, tier in enumerate(getattr(current, "tiers", []), start=1) for pk in tier}
    return [_completion(project, by_id[pk], places.get(pk)) for pk in ids if pk in by_id]


def _completion(project: Project, completion: Completion, place: int | None) -> Step:
    facts = {_("Came from"): completion.get_origin_display()}
    if place is not None:
        facts[_("Place")] = str(place)
    sampling = {
        name: completion.sampling[name] for name in ("temperature", "top_p") if name in completion.sampling
    }
    if sampling:
        facts[_("Sampling")] = ", ".join(f"{name} {value}" for name, value in sampling.items())
    path, role = reverse("labeling:prompt_detail", args=[project.slug, completion.prompt_id]), "lead"
    if completion.checkpoint_key is not None:
        facts[_("Checkpoint")] = str(completion.checkpoint_key)
        path, role = (
            reverse("training:checkpoint_detail", args=[project.slug, completion.checkpoint_key]),
            "admin",
        )
    elif completion.import_record is not None:
        facts[_("File")] = completion.import_record.filename
    name = completion.generator or completion.get_origin_display()
    is_person = completion.origin == CompletionOrigin.PERSON
    title = _("Completion by a person") if is_person else _("Completion by %(name)s") % {"name": name}
    return Step("completion", title, path=path, role=role, text=completion.text[:300], facts=facts)


def _prompt(project: Project, prompt: Prompt) -> Step:
    facts = {_("Category"): prompt.category, _("Language"): prompt.language}
    return Step(
        "prompt",
        _("Prompt %(n)s") % {"n": prompt.pk},
        path=reverse("labeling:prompt_lineage", args=[project.slug, prompt.pk]),
        text=prompt.preview,
        facts={name: value for name, value in facts.items() if value},
    )


def _source(project: Project, prompt: Prompt) -> Step:
    """Where a prompt is from: always the last step back."""
    if prompt.import_record is not None:
        return _import(project, prompt.import_record, _("From a file"))
    title = _("Made here")
    if prompt.created_by is not None:
        is_written = prompt.metadata.get(WRITTEN)
        said = _("Written with its answer by %(who)s") if is_written else _("Made here by %(who)s")
        title = said % {"who": prompt.created_by.pseudonym}
    return Step("person", title, facts={_("When"): f"{prompt.created_at:%Y-%m-%d %H:%M} UTC"})


def _import(project: Project, record: ImportRecord, note: str, facts: dict[str, str] | None = None) -> Step:
    who = record.created_by.pseudonym if record.created_by is not None else "—"
    told = {
        _("Licence"): record.licence or "—",
        _("Brought in by"): who,
        _("Imported"): f"{record.created_at:%Y-%m-%d}",
        "SHA-256": record.sha256,
    }
    path = reverse("labeling:import_lineage", args=[project.slug, record.pk])
    return Step("import", record.filename, path=path, note=str(note), facts=(facts or {}) | told)


# --- Forward ----------------------------------------------------------------------------------------------
def _versions(
    project: Project,
    versions: Iterable[DatasetVersion],
    row: str = "",
    known: dict[int, list[Usage]] | None = None,
) -> list[Step]:
    """The versions with the runs and checkpoints they led to. `row`: the row to lead to. `known`: what
    is known of versions by now, so that several judgments in one version ask once."""
    steps = []
    known = {} if known is None else known
    for version in versions:
        if version.pk not in known:
            known[version.pk] = usages_of(version)
        page = reverse("labeling:dataset_version", args=[project.slug, version.dataset_id, version.number])
        facts = {_("Kind"): version.dataset.get_kind_display(), "SHA-256": version.sha256}
        used = [
            Step("usage", each.name, path=each.path, role="admin", note=each.kind, facts=_stated(each.status))
            for each in known[version.pk]
        ]
        steps.append(
            Step(
                "version",
                str(version),
                path=f"{page}?row={row}#rows" if row else page,
                facts=facts,
                steps=used,
            )
        )
    return steps


def _stated(status: str) -> dict[str, str]:
    return {_("Status"): status} if status else {}


def _of_prompt(project: Project, prompt: Prompt) -> Lineage:
    submissions = prompt.submissions.select_related("annotator", "import_record").order_by("-id")
    count, completions = submissions.count(), prompt.completions.count()
    known: dict[int, list[Usage]] = {}
    forward = [
        Step(
            "judgment",
            str(each),
            path=reverse("labeling:judgment_lineage", args=[project.slug, each.pk]),
            note=each.annotator.pseudonym if each.annotator is not None else str(_("imported")),
            facts={_("Status"): each.get_status_display()},
            steps=_versions(project, versions_containing(submission=each), str(each.pk), known),
        )
        for each in submissions[:MOST_SHOWN]
    ]
    if count > MOST_SHOWN:
        forward.append(Step("judgment", _("and %(n)s older ones") % {"n": f"{count - MOST_SHOWN:,}"}))
    if completions:
        page = reverse("labeling:prompt_detail", args=[project.slug, prompt.pk])
        title = _("Completions: %(n)s") % {"n": f"{completions:,}"}
        forward.append(Step("completion", title, path=page))
    forward += _versions(project, versions_with_prompt(prompt=prompt), str(prompt.pk))
    page = reverse("labeling:prompt_detail", args=[project.slug, prompt.pk])
    title = str(_("Prompt %(n)s") % {"n": prompt.pk})
    return Lineage("prompt", prompt.pk, title, page, "lead", [_source(project, prompt)], forward)


def _of_import(project: Project, record: ImportRecord) -> Lineage:
    """What of a file is in which versions: judgments that came with it, answer its prompts, rank its
    completions or began with one of them; and prompts."""
    prompts = list(record.prompts.values_list("pk", flat=True)[:MOST_IDS])
    # The rows of versions of completions are prompts, also such as were there before the file.
    answered = {*prompts, *record.completions.values_list("prompt_id", flat=True)[:MOST_IDS]}
    ids: set[int] = set()
    for model in (Demonstration, Ranking):
        rows = model.objects.filter(submission__project=project, is_current=True)
        rows = rows.filter(of_files(model, (record.pk,)))
        ids |= set(rows.values_list("submission_id", flat=True)[:MOST_IDS])
    forward = [
        Step("prompt", _("New prompts: %(n)s") % {"n": f"{len(prompts):,}"}),
        Step("completion", _("Completions: %(n)s") % {"n": f"{record.completions.count():,}"}),
        Step(
            "judgment",
            _("Judgments of it, of its prompts or of its completions: %(n)s") % {"n": f"{len(ids):,}"},
        ),
    ]
    ready = DatasetVersion.objects.filter(
        dataset__project=project, status=DatasetVersionStatus.READY
    ).select_related("dataset__project")
    for version in ready[:MOST_SHOWN]:
        members: Collection[int] = prompts if version.dataset.kind in UNJUDGED else ids
        if version.dataset.kind == DatasetKind.COMPLETIONS:
            members = answered
        try:
            count = dataset_files.count_members(version, members)
        except FileNotFoundError:  # `verify` says so loudly
            continue
        if count:
            [step] = _versions(project, [version])
            step.facts[_("Rows of it")] = f"{count:,}"
            forward.append(step)
    page = reverse("labeling:import_detail", args=[project.slug, record.pk])
    back = [_import(project, record, record.get_kind_display())]
    return Lineage("import", record.pk, record.filename, page, "admin", back, forward)
