"""Which answers of a project may be nearly alike: an index that stays cheap with 100,000 of them.

Twelve numbers an answer in a plain table (why: docs/decisions/0010-checks-on-answers.md), looked up by
equality, so that SQLite and PostgreSQL both answer from one index; then the few that meet there are
compared exactly.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from django.db import transaction
from django.utils import timezone

from annotate.doorbell import ring_on_commit
from labeling.checks import band_keys, similarity
from labeling.models import AnswerBand, AnswerIndex, Demonstration, Project, Prompt, PromptBand, Submission

CHUNK = 500
MOST_ROWS = 2_000  # of boilerplate that thousands share, this much is looked at
MOST_COMPARED = 10


def is_indexed(project: Project) -> bool:
    return project.settings.check_near_duplicate != "off"


def index_answers(project: Project, answers: Iterable[tuple[int, str]]) -> None:
    """Put (submission id, text) pairs into the index, in place of what these submissions had there."""
    bands = [
        AnswerBand(project_id=project.pk, submission_id=pk, key=key)
        for pk, text in answers
        for key in band_keys(text)
    ]
    AnswerBand.objects.bulk_create(bands, batch_size=5_000)


def reindex_answer(submission: Submission, text: str) -> None:
    """The answer that stands now; inside the caller's transaction. Nothing where the project has no index."""
    if is_indexed(submission.project):
        if submission.revision_count > 1:
            AnswerBand.objects.filter(submission=submission).delete()
        index_answers(submission.project, [(submission.pk, text)])


def nearest_answer(*, project: Project, text: str, apart_from: Submission | None = None) -> int | None:
    """Id of the submission whose current answer is most like `text`, if it reaches the project's share.

    Two queries, however many answers there are.
    """
    keys = band_keys(text)
    if not keys:
        return None
    rows = AnswerBand.objects.filter(project=project, key__in=keys)
    if apart_from is not None:
        rows = rows.exclude(submission=apart_from)
    met = Counter(rows.order_by().values_list("submission_id", flat=True)[:MOST_ROWS])
    likely = [pk for pk, _ in met.most_common(MOST_COMPARED)]
    texts = Demonstration.objects.filter(submission__in=likely, is_current=True)
    scored = [(similarity(text, other), -pk) for pk, other in texts.values_list("submission_id", "text")]
    share, pk = max(scored, default=(0.0, 0))
    return -pk if share >= project.settings.near_duplicate_share else None


def index_prompts(project: Project, prompts: Iterable[Prompt]) -> None:
    """Put the last messages of prompts into the index."""
    bands = [
        PromptBand(project_id=project.pk, prompt_id=prompt.pk, key=key)
        for prompt in prompts
        if prompt.messages
        for key in band_keys(prompt.messages[-1]["content"])
    ]
    PromptBand.objects.bulk_create(bands, batch_size=5_000)


def nearest_prompt(*, project: Project, text: str, apart_from: Iterable[int] = ()) -> int | None:
    """Id of the prompt whose last message is most like `text`, if it reaches the project's share."""
    keys = band_keys(text)
    if not keys:
        return None
    rows = PromptBand.objects.filter(project=project, key__in=keys).exclude(prompt__in=list(apart_from))
    met = Counter(rows.order_by().values_list("prompt_id", flat=True)[:MOST_ROWS])
    likely = [pk for pk, _ in met.most_common(MOST_COMPARED)]
    prompts = Prompt.objects.filter(pk__in=likely).values_list("pk", "messages")
    scored = [(similarity(text, messages[-1]["content"]), -pk) for pk, messages in prompts]
    share, pk = max(scored, default=(0.0, 0))
    return -pk if share >= project.settings.near_duplicate_share else None


def follow_setting(project: Project, *, was: str, now: str) -> None:
    """The check was switched on or off: the index comes and goes with it."""
    if was == "off" and now != "off":
        AnswerIndex.objects.get_or_create(project=project)
        ring_on_commit("labeling.tasks.index_answers", project.pk)
    elif was != "off" and now == "off":
        AnswerIndex.objects.filter(project=project).delete()
        AnswerBand.objects.filter(project=project).delete()
        PromptBand.objects.filter(project=project).delete()


def build_index(project_id: int) -> int:
    """Index the answers from before the check was switched on; how many. Done twice, it changes nothing."""
    index = AnswerIndex.objects.select_related("project").filter(project=project_id, complete_at=None).first()
    if index is None:
        return 0
    count, last = 0, 0
    while chunk := _answers_after(index.project, last):
        last, count = chunk[-1][0], count + len(chunk)
        with transaction.atomic():
            # The row says that the check is still on; locked, it stays so for this chunk.
            if not AnswerIndex.objects.select_for_update().filter(pk=index.pk).exists():
                return count
            AnswerBand.objects.filter(submission__in=[pk for pk, _ in chunk]).delete()
            index_answers(index.project, chunk)
    if not _index_older_prompts(index):
        return count
    AnswerIndex.objects.filter(pk=index.pk).update(complete_at=timezone.now())
    return count


def _index_older_prompts(index: AnswerIndex) -> bool:
    """False where the check was switched off meanwhile."""
    last = 0
    rows = Prompt.objects.filter(project=index.project).written().order_by("pk")
    while chunk := list(rows.filter(pk__gt=last)[:CHUNK]):
        last = chunk[-1].pk
        with transaction.atomic():
            if not AnswerIndex.objects.select_for_update().filter(pk=index.pk).exists():
                return False
            PromptBand.objects.filter(prompt__in=chunk).delete()
            index_prompts(index.project, chunk)
    return True


def waiting_indexes() -> list[int]:
    """Projects whose older answers are still to be indexed."""
    return list(AnswerIndex.objects.filter(complete_at=None).values_list("project_id", flat=True))


def _answers_after(project: Project, last: int) -> list[tuple[int, str]]:
    rows = Demonstration.objects.filter(submission__project=project, is_current=True, submission__gt=last)
    return list(rows.order_by("submission_id").values_list("submission_id", "text")[:CHUNK])
