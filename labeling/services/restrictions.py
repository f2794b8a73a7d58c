"""What a recipe restricts its rows to: a condition for each of its entries, by which rows are selected and by
which those left out are counted."""

from __future__ import annotations

from datetime import datetime
from functools import reduce
from operator import and_
from typing import Any

from django.db.models import (
    Case,
    Exists,
    IntegerField,
    Model,
    OuterRef,
    Q,
    QuerySet,
    Subquery,
    Value,
    When,
)
from django.utils.translation import gettext_noop

from labeling.models import (
    Completion,
    Demonstration,
    GoldResult,
    Project,
    Prompt,
    Review,
    ReviewDecision,
    Task,
    TaskCompletion,
    TaskPurpose,
)

from .dataset_origins import not_among, not_of_files, of_files
from .recipes import DECISIONS, DEFAULT_SOURCES, Recipe

OTHER_PEOPLE = gettext_noop("by none of the people chosen")
# {entry of a recipe: why a row is left out by it}, in the order in which a row meets them. Stored as they
# are, said in the language of whoever reads them. Reviews come late, as they are looked up for each row that
# comes so far. The people chosen are the last: a manifest holds how many those leave out of all that the rest
# of its recipe selects, and must not change.
REASONS = {
    "sources": gettext_noop("of other sources"),
    "imports": gettext_noop("of other files"),
    "exclude_imports": gettext_noop("of files left out"),
    "batches": gettext_noop("of other batches"),
    "categories": gettext_noop("of other categories"),
    "submitted_from": gettext_noop("from before the first day"),
    "submitted_until": gettext_noop("from after the last day"),
    "include_gold": gettext_noop("of gold, screening and repeated tasks"),
    "guideline_versions": gettext_noop("under other guideline versions"),
    "exclude_guideline_versions": gettext_noop("under guideline versions left out"),
    "exclude_annotators": gettext_noop("by people left out"),
    "decisions": gettext_noop("with another outcome of review"),
    "annotators": OTHER_PEOPLE,
}
Restrictions = dict[str, Q]  # in the order of REASONS; only entries that restrict something


def on_judgments(model: type[Model], recipe: Recipe) -> Restrictions:
    """Of Demonstrations or Rankings, which `with_decision` has been through."""
    return _in_order(
        {
            **_on_sources(recipe, "submission__import_record"),
            **_on_files(model, recipe),
            "batches": recipe.batches and Q(submission__task__batch__in=recipe.batches),
            "categories": recipe.categories and Q(submission__prompt__category__in=recipe.categories),
            **_on_days(recipe, "submission__created_at"),
            "include_gold": not recipe.include_gold and _without_known_answer(),
            "guideline_versions": recipe.guideline_versions
            and Q(guideline_version__in=recipe.guideline_versions),
            "exclude_guideline_versions": recipe.exclude_guideline_versions
            and not_among("guideline_version", recipe.exclude_guideline_versions),
            # Imported rows have no annotator.
            "exclude_annotators": recipe.exclude_annotators
            and (
                Q(submission__annotator=None)
                | ~Q(submission__annotator__pseudonym__in=recipe.exclude_annotators)
            ),
            "decisions": set(recipe.decisions) != set(DECISIONS)
            and (_decided(recipe) | Q(submission__import_record__isnull=False)),
            "annotators": recipe.annotators and Q(submission__annotator__pseudonym__in=recipe.annotators),
        }
    )


def on_edits(recipe: Recipe) -> Restrictions:
    """Of the Demonstrations among comparisons, which a recipe asks for or has none of: no source is other."""
    found = on_judgments(Demonstration, recipe)
    return {name: condition for name, condition in found.items() if name != "sources"}


def on_prompts(project: Project, recipe: Recipe) -> Restrictions:
    """Of Prompts: what says something of judgments restricts none of them."""
    return _in_order(
        {
            **_on_sources(recipe, "import_record"),
            **_on_files(Prompt, recipe),
            "batches": recipe.batches and _asked_or_written(project, recipe.batches),
            "categories": recipe.categories and Q(category__in=recipe.categories),
            **_on_days(recipe, "created_at"),
        }
    )


def on_completions(recipe: Recipe) -> Restrictions:
    """Of Completions: what says something of judgments restricts none of them, as nobody has judged them."""
    shown = TaskCompletion.objects.filter(completion=OuterRef("pk"), task__batch__in=recipe.batches)
    return _in_order(
        {
            **_on_sources(recipe, "import_record"),
            **_on_files(Completion, recipe),
            "batches": recipe.batches and Q(Exists(shown)),
            "categories": recipe.categories and Q(prompt__category__in=recipe.categories),
            **_on_days(recipe, "created_at"),
            "exclude_annotators": recipe.exclude_annotators
            and (Q(author=None) | ~Q(author__pseudonym__in=recipe.exclude_annotators)),
        }
    )


def restrict(rows: QuerySet, restrictions: Restrictions) -> QuerySet:
    """The rows that meet all of them."""
    return rows.filter(reduce(and_, restrictions.values(), Q()))


def met_before_the_first_that_fails(restrictions: Restrictions) -> Case | Value:
    """Of a row: how many restrictions it meets, in their order, before one that it does not; all, where it
    is selected. Each is asked once at most. One that is neither true nor false is not met, as in WHERE."""
    met: Case | Value = Value(len(restrictions), output_field=IntegerField())
    for place, condition in reversed(list(enumerate(restrictions.values()))):
        met = Case(When(condition, then=met), default=Value(place), output_field=IntegerField())
    return met


def with_decision(rows: QuerySet) -> QuerySet:
    """Demonstrations or Rankings with `decision`: the last by which one was taken in; None where none was."""
    taken_in = [ReviewDecision.ACCEPTED, ReviewDecision.FIXED]
    reviews = Review.objects.filter(submission=OuterRef("submission"), decision__in=taken_in)
    return rows.annotate(decision=Subquery(reviews.order_by("-id").values("decision")[:1]))


def _in_order(conditions: dict[str, Any]) -> Restrictions:
    """Those that are conditions: what does not restrict is empty or false."""
    return {name: conditions[name] for name in REASONS if conditions.get(name)}


def _on_sources(recipe: Recipe, column: str) -> dict[str, Any]:
    wanted = set(recipe.sources) & set(DEFAULT_SOURCES)
    if not wanted:
        return {"sources": Q(pk__in=[])}
    return {"sources": len(wanted) == 1 and Q(**{f"{column}__isnull": "people" in wanted})}


def _on_files(model: type[Model], recipe: Recipe) -> dict[str, Any]:
    return {
        "imports": recipe.imports and of_files(model, recipe.imports),
        "exclude_imports": recipe.exclude_imports and not_of_files(model, recipe.exclude_imports),
    }


def _on_days(recipe: Recipe, column: str) -> dict[str, Any]:
    def on(side: str, moment: datetime | None) -> Any:
        return moment and Q(**{f"{column}__{side}": moment})

    return {"submitted_from": on("gte", recipe.begins_at), "submitted_until": on("lt", recipe.ends_before)}


def _asked_or_written(project: Project, batches: tuple[int, ...]) -> Q:
    asked = Prompt.objects.filter(project=project, tasks__batch__in=batches)
    written = Prompt.objects.filter(project=project, submissions__task__batch__in=batches)
    return Q(pk__in=asked.values("pk")) | Q(pk__in=written.values("pk"))


def _without_known_answer() -> Q:
    """Not what was held against a known answer: a test of the person, not their judgment of the task."""
    tested = GoldResult.objects.filter(submission=OuterRef("submission"))
    special = [TaskPurpose.SCREENING, TaskPurpose.REPEAT]
    is_special = Task.objects.filter(pk=OuterRef("submission__task"), purpose__in=special)
    return Q(~Exists(tested)) & Q(~Exists(is_special))


def _decided(recipe: Recipe) -> Q:
    reviewed = [decision for decision in recipe.decisions if decision != "unreviewed"]
    wanted = Q(decision__in=reviewed)
    return wanted | Q(decision=None) if "unreviewed" in recipe.decisions else wanted
