"""A small project with work of every sort, and which of it a recipe leaves out, told row by row in Python."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from labeling.models import (
    Batch,
    Completion,
    CompletionOrigin,
    Demonstration,
    GoldResult,
    ImportRecord,
    Prompt,
    Ranking,
    Review,
    Submission,
    SubmissionStatus,
    Task,
    TaskCompletion,
    TaskKind,
    TaskPurpose,
)
from labeling.services.recipes import Recipe
from tests.factories import make_prompt, publish_guideline

DAYS = [f"2026-03-{day:02}" for day in range(1, 7)]
CATEGORIES = ["", "law", "maths"]
# The stated order, spelled out once more: (entry of the recipe, reason).
ORDER = [
    ("sources", "of other sources"),
    ("imports", "of other files"),
    ("exclude_imports", "of files left out"),
    ("batches", "of other batches"),
    ("categories", "of other categories"),
    ("submitted_from", "from before the first day"),
    ("submitted_until", "from after the last day"),
    ("include_gold", "of gold, screening and repeated tasks"),
    ("guideline_versions", "under other guideline versions"),
    ("exclude_guideline_versions", "under guideline versions left out"),
    ("exclude_annotators", "by people left out"),
    ("decisions", "with another outcome of review"),
    ("annotators", "by none of the people chosen"),
]
OF_PROMPTS = {name for name, _ in ORDER[:7]}
USED = {
    "sft": {name for name, _ in ORDER},
    "comparison": {name for name, _ in ORDER},
    "prompts": OF_PROMPTS,
    "completions": OF_PROMPTS | {"exclude_annotators"},
}


@dataclass
class Part:
    """What of a row a recipe may ask for. A row is one part; of completions, one for each of a prompt."""

    record: int | None  # what it was imported with
    files: set[int]
    batches: set[int]
    category: str
    day: str
    is_edit: bool = False
    is_test: bool = False
    decision: str = ""
    guideline: int | None = None
    who: str | None = None


@dataclass
class World:
    cast: Any
    dice: random.Random
    files: list[int] = field(default_factory=list)
    batches: list[int] = field(default_factory=list)
    guidelines: list[int] = field(default_factory=list)

    def maybe(self, chance: float) -> bool:
        return self.dice.random() < chance

    @property
    def people(self):
        return [self.cast.annotator, self.cast.peer, self.cast.lead]

    def a_file(self, chance: float) -> int | None:
        return self.dice.choice(self.files) if self.maybe(chance) else None


def make_world(cast, seed: int = 7) -> World:
    world = World(cast, random.Random(seed))
    project = cast.project
    for number in range(3):
        record = ImportRecord.objects.create(
            project=project, kind="prompts", filename=f"{number}.jsonl", size_bytes=1, status="succeeded"
        )
        world.files.append(record.pk)
    for kind in (TaskKind.DEMONSTRATION, TaskKind.RANKING):
        for number in range(3):
            batch = Batch.objects.create(
                project=project, kind=kind, layout=kind.value, name=f"{kind} {number}"
            )
            world.batches.append(batch.pk)
        for _ in range(2):
            world.guidelines.append(publish_guideline(project, kind).pk)
    for _ in range(16):
        _fill_prompt(world)
    return world


def _fill_prompt(world: World) -> None:
    dice, project = world.dice, world.cast.project
    prompt = make_prompt(
        project, category=dice.choice(CATEGORIES), import_record_id=world.a_file(0.4),
        archived_at=datetime(2026, 4, 1, tzinfo=UTC) if world.maybe(0.1) else None,
    )  # fmt: skip
    _dated(world, prompt)
    completions = []
    for _ in range(dice.randrange(5)):
        is_own = world.maybe(0.4)
        completion = Completion.objects.create(
            project=project, prompt=prompt, text=dice.choice(["Yes.", "No.", "So so.", " \n\t"]),
            origin=CompletionOrigin.PERSON if is_own else CompletionOrigin.MODEL,
            author=dice.choice(world.people) if is_own else None, import_record_id=world.a_file(0.4),
        )  # fmt: skip
        _dated(world, completion)
        completions.append(completion)
    for kind in (TaskKind.DEMONSTRATION, TaskKind.RANKING):
        if kind == TaskKind.RANKING and len(completions) < 2:
            continue
        _fill_task(world, kind, prompt, completions)


def _fill_task(world: World, kind: TaskKind, prompt: Prompt, completions: list[Completion]) -> None:
    dice = world.dice
    batches = world.batches[:3] if kind == TaskKind.DEMONSTRATION else world.batches[3:]
    purpose = dice.choice([TaskPurpose.WORK] * 5 + [TaskPurpose.SCREENING, TaskPurpose.REPEAT])
    task = Task.objects.create(
        project=prompt.project, batch_id=dice.choice(batches), kind=kind, prompt=prompt, purpose=purpose
    )
    if kind == TaskKind.RANKING:
        for position, completion in enumerate(completions):
            TaskCompletion.objects.create(task=task, completion=completion, position=position)
    for person in (*world.people, None, None):
        if world.maybe(0.75):
            _judge(world, task, person, completions)


def _judge(world: World, task: Task, person, completions: list[Completion]) -> None:
    """By a person, or, by nobody, imported."""
    dice = world.dice
    made_by = {"task": task, "annotator": person} if person else {"import_record_id": world.a_file(1)}
    status = SubmissionStatus.ACCEPTED if world.maybe(0.85) else SubmissionStatus.AWAITING_REVIEW
    submission = Submission.objects.create(
        project=task.project, kind=task.kind, prompt=task.prompt, status=status, **made_by
    )
    _dated(world, submission)
    guidelines = world.guidelines[:2] if task.kind == TaskKind.DEMONSTRATION else world.guidelines[2:]
    last = 2 if world.maybe(0.2) else 1
    for revision in range(1, last + 1):
        held: dict[str, Any] = {
            "submission": submission, "revision": revision, "is_current": revision == last,
            "author": person, "guideline_version_id": dice.choice([*guidelines, None]),
        }  # fmt: skip
        if task.kind == TaskKind.RANKING:
            ids = [each.pk for each in completions]
            Ranking.objects.create(tiers=[[pk] for pk in ids], presented_order=ids, **held)
        else:
            draft = dice.choice(completions) if completions and world.maybe(0.5) else None
            Demonstration.objects.create(text="So.", started_from=draft, **held)
    if person:
        for revision in range(1, dice.randrange(1, 4)):
            decision = dice.choice(["accepted", "fixed", "returned"])
            Review.objects.create(
                submission=submission, revision=revision, decision=decision, reviewer=world.cast.admin
            )
        if world.maybe(0.1):
            GoldResult.objects.create(submission=submission)


def _dated(world: World, row) -> None:
    day = datetime.fromisoformat(world.dice.choice(DAYS)).replace(hour=world.dice.choice([0, 12, 23]))
    type(row).objects.filter(pk=row.pk).update(created_at=day.replace(tzinfo=UTC))


def some_recipe(world: World) -> Recipe:
    """Each entry restricts in one of three recipes; days in their order."""
    dice, people = world.dice, [each.pseudonym for each in world.people]

    def some(values: list) -> tuple:
        return tuple(dice.sample(values, dice.randrange(1, len(values)))) if world.maybe(0.33) else ()

    first, last = sorted(dice.choices(DAYS, k=2))
    return Recipe(
        sources=some(["people", "imports", "edits"]) or ("people", "imports"),
        decisions=some(["accepted", "fixed", "unreviewed"]) or ("accepted", "fixed", "unreviewed"),
        batches=some(world.batches),
        imports=some(world.files),
        categories=some(CATEGORIES),
        guideline_versions=some(world.guidelines),
        exclude_guideline_versions=some(world.guidelines),
        exclude_imports=some(world.files),
        exclude_annotators=some(people),
        annotators=some(people),
        submitted_from=first if world.maybe(0.33) else "",
        submitted_until=last if world.maybe(0.33) else "",
        include_gold=world.maybe(0.5),
    )


# --- The oracle -------------------------------------------------------------------------------------------
def rows_of_kind(cast, kind: str) -> list[list[Part]]:
    """All accepted work that could be a row; also edits, which are some only where a recipe asks for them."""
    if kind == "prompts":
        return [[_prompt_part(prompt)] for prompt in _open_prompts(cast)]
    if kind == "completions":
        rows = [[_completion_part(each) for each in p.completions.all()] for p in _open_prompts(cast)]
        return [[part for part in row if part] for row in rows if any(row)]
    answers = [each for each in Demonstration.objects.all() if _stands(each, cast)]
    if kind == "sft":
        return [[_judgment_part(each)] for each in answers]
    rows = [[_judgment_part(each)] for each in Ranking.objects.all() if _stands(each, cast)]
    edits = [each for each in answers if each.started_from is not None]
    return rows + [[_judgment_part(each, is_edit=True)] for each in edits]


def could_be_rows(rows: list[list[Part]], recipe: Recipe) -> list[list[Part]]:
    return [row for row in rows if "edits" in recipe.sources or not row[0].is_edit]


def left_out_by_hand(rows: list[list[Part]], kind: str, recipe: Recipe) -> tuple[int, dict[str, int]]:
    """(rows selected, {reason: rows} in the stated order)."""
    left, counts = could_be_rows(rows, recipe), {}
    for name, reason in ORDER:
        if name in USED[kind]:
            kept = [row for row in ([p for p in row if _fits(name, p, recipe)] for row in left) if row]
            if len(kept) < len(left):
                counts[reason] = len(left) - len(kept)
            left = kept
    return len(left), counts


def _fits(name: str, part: Part, recipe: Recipe) -> bool:
    wanted = getattr(recipe, name)
    if name == "sources":
        return part.is_edit or ("people" if part.record is None else "imports") in wanted
    if name == "decisions":
        return part.record is not None or part.decision in wanted
    if name == "include_gold":
        return wanted or not part.is_test
    if not wanted:
        return True
    if name == "submitted_from":
        return part.day >= wanted
    if name == "submitted_until":
        return part.day <= wanted
    held = {
        "imports": part.files,
        "batches": part.batches,
        "categories": {part.category},
        "guideline_versions": {part.guideline},
        "annotators": {part.who},
    }[name.removeprefix("exclude_")]
    return bool(held & set(wanted)) != name.startswith("exclude_")


def _open_prompts(cast):
    return [each for each in Prompt.objects.filter(project=cast.project) if each.archived_at is None]


def _day(moment: datetime) -> str:
    return moment.astimezone(UTC).date().isoformat()


def _prompt_part(prompt: Prompt) -> Part:
    batches = {task.batch_id for task in prompt.tasks.all()}
    record = prompt.import_record_id
    return Part(record, {record} - {None}, batches, prompt.category, _day(prompt.created_at))


def _completion_part(each: Completion) -> Part | None:
    if not each.text.strip():
        return None
    files = {each.import_record_id, each.prompt.import_record_id} - {None}
    shown = {task.batch_id for task in each.tasks.all()}
    who = each.author.pseudonym if each.author else None
    day = _day(each.created_at)
    return Part(each.import_record_id, files, shown, each.prompt.category, day, who=who)


def _stands(judgment, cast) -> bool:
    submission = judgment.submission
    is_here = submission.project_id == cast.project.pk
    return is_here and judgment.is_current and submission.status == SubmissionStatus.ACCEPTED


def _judgment_part(judgment, is_edit: bool = False) -> Part:
    submission, task = judgment.submission, judgment.submission.task
    files = {submission.import_record_id, submission.prompt.import_record_id}
    if isinstance(judgment, Ranking):
        shown = Completion.objects.filter(pk__in=judgment.presented_order)
        files |= {each.import_record_id for each in shown}
    elif judgment.started_from is not None:
        files.add(judgment.started_from.import_record_id)
    reviews = [each for each in submission.reviews.order_by("pk") if each.decision in ("accepted", "fixed")]
    is_test = GoldResult.objects.filter(submission=submission).exists()
    return Part(
        record=submission.import_record_id,
        files=files - {None},
        batches={task.batch_id} if task else set(),
        category=submission.prompt.category,
        day=_day(submission.created_at),
        is_edit=is_edit,
        is_test=is_test or (task is not None and task.purpose in ("screening", "repeat")),
        decision=reviews[-1].decision if reviews else "unreviewed",
        guideline=judgment.guideline_version_id,
        who=submission.annotator.pseudonym if submission.annotator else None,
    )
