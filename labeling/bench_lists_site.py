"""The project that the benchmark of the list pages looks at: 100,000 submissions and all that grows with
them, written past the services, every row with the values that the pages filter and sort by.
"""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from annotate.accounts.models import User
from annotate.bench import settle_statistics
from labeling.models import (
    Appeal,
    Assignment,
    AuditEvent,
    Batch,
    Comment,
    CommentThread,
    Completion,
    Dataset,
    DatasetVersion,
    Demonstration,
    Draft,
    GoldAnswer,
    GoldResult,
    ImportRecord,
    LedgerDay,
    LedgerEntry,
    Membership,
    Notification,
    Project,
    Prompt,
    Ranking,
    Rate,
    Review,
    Role,
    Skip,
    Submission,
    Task,
    TaskAgreement,
    Webhook,
    WebhookDelivery,
)
from labeling.services.projects import create_project

OWNER, SLUG = "bench-lists", "bench-lists"
PEOPLE, BATCHES, OVERLAP, K, DAYS = 200, 100, 2, 2, 60
AT_ONCE = 2_500  # tasks
CATEGORIES = ("advice", "code", "facts", "letters", "maths", "poems", "stories", "summaries")
WORDS = ("answer", "question", "short", "long", "fjord", "river", "why", "how", "explain", "write", "list")
REASONS = ("sampled", "sampled", "sampled", "flagged", "new_person", "resubmitted", "low_agreement", "late",
           "gold_missed", "reopened")  # fmt: skip
# Three of ten wait, one in ten did not stand.
STATES = ("awaiting_review",) * 6 + ("returned", "rejected") + ("accepted",) * 12
Row = tuple[Task, User, datetime]


class Site:
    """Everything is drawn from one source, so that two runs see the same project."""

    def __init__(self, submissions: int) -> None:
        self.submissions = submissions
        self.source = random.Random(1)  # noqa: S311 - made-up rows
        self.now = timezone.now()
        self.owner = User.objects.create_user(OWNER, is_staff=True, is_superuser=True)
        self.project = create_project(name="Lists", slug=SLUG, acting_user=self.owner)
        self.people = self._people()
        self.batches = [self._batch(number) for number in range(BATCHES)]

    def share(self, part: float) -> int:
        return max(1, int(self.submissions * part))

    def _people(self) -> list[User]:
        people = User.objects.bulk_create(
            User(
                username=f"lists{n}",
                email=f"lists{n}@example.com",
                display_name=f"{WORDS[n % 11].title()} {n:03}",
            )
            for n in range(PEOPLE)
        )
        Membership.objects.bulk_create(
            Membership(
                project=self.project,
                user=user,
                role=Role.LEAD if n < 5 else Role.ANNOTATOR,
                last_active_at=self.now,
            )
            for n, user in enumerate(people)
        )
        # Whoever looks has a long history of their own, too.
        return [*people[5:], *[self.owner] * 5]

    def _batch(self, number: int) -> Batch:
        kind = "demonstration" if number % 5 == 0 else "ranking"
        return Batch.objects.create(
            project=self.project, kind=kind, layout=kind, name=f"Batch {number}", overlap=OVERLAP,
            priority=-number, created_by=self.owner,
        )  # fmt: skip

    # --- Work -----------------------------------------------------------------------------------------------
    @transaction.atomic
    def add_work(self, first: int, count: int) -> None:
        """So many tasks with their prompts, completions, slots and judgments."""
        numbers = range(first, first + count)
        prompts = Prompt.objects.bulk_create(self._prompt(number) for number in numbers)
        tasks = Task.objects.bulk_create(
            Task(
                project=self.project, batch=batch, kind=batch.kind, prompt=prompt, overlap=OVERLAP,
                status="done" if number % 5 else "open", parked_at=None if number % 400 else self.now,
            )
            for number, prompt in zip(numbers, prompts, strict=True)
            for batch in [self.batches[number * BATCHES // (self.submissions // OVERLAP)]]
        )  # fmt: skip
        Completion.objects.bulk_create(
            Completion(project=self.project, prompt_id=task.prompt_id, text=f"Answer {n}.", origin="imported")
            for task in tasks
            for n in range(K)
        )
        rows: list[Row] = [
            (task, person, self.now - timedelta(days=self.source.uniform(0, DAYS)))
            for task in tasks
            for person in self._sample()
        ]
        made = self._submissions(rows)
        self._judgments(made)
        self._around(tasks, made)

    def _sample(self) -> list[User]:
        people = self.source.sample(self.people, OVERLAP)
        return people if people[0] != people[1] else [self.people[0], self.owner]

    def _prompt(self, number: int) -> Prompt:
        text = f"{number}: " + " ".join(self.source.choices(WORDS, k=20))
        return Prompt(
            project=self.project, messages=[{"role": "user", "content": text}], digest=f"{number:064}",
            preview=text, category=CATEGORIES[number % 8], language="en",
        )  # fmt: skip

    def _submissions(self, rows: list[Row]) -> list[Submission]:
        slots = Assignment.objects.bulk_create(
            Assignment(
                task=task, slot=n % OVERLAP + 1, project=self.project, batch_id=task.batch_id, kind=task.kind,
                status="submitted", annotator=person, leased_at=when, submitted_at=when,
            )
            for n, (task, person, when) in enumerate(rows)
        )  # fmt: skip
        made = []
        for (task, person, when), slot in zip(rows, slots, strict=True):
            status = self.source.choice(STATES)
            waits = status == "awaiting_review"
            made.append(
                Submission(
                    project=self.project, kind=task.kind, prompt_id=task.prompt_id, task=task,
                    assignment=slot, annotator=person, status=status, decided_at=None if waits else when,
                    review_reason=self.source.choice(REASONS) if waits else "",
                    conflict_open=self.source.random() < 0.03, active_seconds=self.source.randint(20, 240),
                    agreement=self.source.random() if task.kind == "ranking" else None,
                )
            )  # fmt: skip
        return Submission.objects.bulk_create(made)

    def _judgments(self, made: list[Submission]) -> None:
        order = [[number] for number in range(K)]
        Ranking.objects.bulk_create(
            Ranking(submission=each, tiers=order, author_id=each.annotator_id)
            for each in made
            if each.kind == "ranking"
        )
        Demonstration.objects.bulk_create(
            Demonstration(submission=each, text="An answer.", author_id=each.annotator_id)
            for each in made
            if each.kind == "demonstration"
        )

    def _around(self, tasks: list[Task], made: list[Submission]) -> None:
        """What comes with submissions: reviews, time, the trail, agreement, skips, gold, talk, appeals."""
        decided = [each for each in made if each.decided_at is not None]
        reviews: list[Any] = Review.objects.bulk_create(
            Review(submission=each, revision=1, decision=_decision(each), reviewer=self.people[n % 3])
            for n, each in enumerate(decided[::2])
        )
        self._ledger(made)
        self._audit(made)
        TaskAgreement.objects.bulk_create(
            TaskAgreement(
                task=task, project=self.project, people=2, comparisons=1, value=self.source.random(),
                flags=self.source.choice(["", "", "|harmful|", "|made_up|"]),
            )
            for task in tasks
            if task.kind == "ranking"
        )  # fmt: skip
        Skip.objects.bulk_create(
            Skip(task=task, user=self.people[n % 150], reason=("unclear", "not_my_field", "unsafe")[n % 3])
            for n, task in enumerate(tasks[::5])
        )
        GoldAnswer.objects.bulk_create(
            GoldAnswer(task=task, minimum_score=4 if task.kind == "demonstration" else None)
            for task in tasks[::25]
        )
        known = {task.pk for task in tasks[::25]}
        GoldResult.objects.bulk_create(
            GoldResult(submission=each, agreement=each.agreement, passed=n % 3 > 0)
            for n, each in enumerate(made)
            if each.task_id in known
        )
        self._talk(made[::20])
        Appeal.objects.bulk_create(
            Appeal(
                project=self.project, submission=each.submission, review=each,
                author=each.submission.annotator, text="I followed the guideline.",
            )
            for each in reviews[::15]
        )  # fmt: skip
        Draft.objects.bulk_create(
            Draft(task=task, user=self.people[10], is_late=True) for task in tasks[1 :: AT_ONCE // 5]
        )

    def _ledger(self, made: list[Any]) -> None:
        LedgerEntry.objects.bulk_create(
            LedgerEntry(
                project=self.project, user=each.annotator, submission=each,
                batch_id=each.task.batch_id if each.task else None,
                work=each.kind, activity="submission", source=f"submission:{each.pk}:1",
                day=self._day(n), timezone="UTC", seconds=each.active_seconds,
                claimed_seconds=each.active_seconds, pieces=1,
            )
            for n, each in enumerate(made)
        )  # fmt: skip

    def _day(self, number: int) -> Any:
        return (self.now - timedelta(days=number % DAYS)).astimezone(UTC).date()

    def _audit(self, made: list[Submission]) -> None:
        AuditEvent.objects.bulk_create(
            AuditEvent(
                project=self.project, actor_id=each.annotator_id, object_type="submission",
                object_id=str(each.pk), data={"revision": 1},
                action=self.source.choice(["submission.created", "submission.reviewed", "task.skipped"]),
            )
            for each in made
        )  # fmt: skip

    def _talk(self, made: list[Submission]) -> None:
        threads = CommentThread.objects.bulk_create(
            CommentThread(
                project=self.project, task_id=each.task_id, person_id=each.annotator_id, submission=each,
                is_open=n % 2 == 0, last_comment_at=self.now, last_author=self.owner,
            )
            for n, each in enumerate(made)
        )  # fmt: skip
        Comment.objects.bulk_create(
            Comment(thread=thread, author=self.owner, text="Why this fjord?")
            for thread in threads
            for _ in range(2)
        )

    # --- Beside the work ------------------------------------------------------------------------------------
    @transaction.atomic
    def add_rest(self) -> None:
        """Open slots, days of work, imports, datasets, notifications, a webhook's log."""
        tasks = self.project.tasks.all()[: self.share(0.2)]
        Assignment.objects.bulk_create(
            (Assignment(task=task, slot=9, project=self.project, batch_id=task.batch_id, kind=task.kind)
             for task in tasks),
            batch_size=AT_ONCE,
        )  # fmt: skip
        self._days()
        Notification.objects.bulk_create(
            (Notification(
                user=self.owner, project=self.project, kind="comment.added", text=f"A comment on {n}",
                read_at=None if n % 4 else self.now)
             for n in range(self.share(0.2))),
            batch_size=AT_ONCE,
        )  # fmt: skip
        for number in range(1, 31):
            dataset = Dataset.objects.create(project=self.project, kind="comparisons", name=f"Set {number}")
            DatasetVersion.objects.bulk_create(
                DatasetVersion(dataset=dataset, number=n, recipe={}) for n in range(1, 11)
            )
        ImportRecord.objects.bulk_create(
            ImportRecord(
                project=self.project,
                kind="prompts",
                filename=f"part-{n}.jsonl",
                sha256="0" * 64,
                size_bytes=9,
            )
            for n in range(self.share(0.01))
        )
        hook = Webhook.objects.create(project=self.project, url="https://example.com/", secret_sealed="")
        WebhookDelivery.objects.bulk_create(
            (WebhookDelivery(
                webhook=hook, event="submission.created", body='{"id": 1}', next_try_at=self.now,
                status="delivered")
             for _ in range(self.share(0.1))),
            batch_size=AT_ONCE,
        )  # fmt: skip

    def _days(self) -> None:
        LedgerDay.objects.bulk_create(
            (LedgerDay(
                project=self.project, user=person, batch=self.batches[(n + ago) % BATCHES],
                day=self._day(ago), work="ranking", seconds=900, pieces=9)
             for n, person in enumerate(dict.fromkeys(self.people))
             for ago in range(DAYS)),
            batch_size=AT_ONCE,
        )  # fmt: skip
        Rate.objects.create(
            project=self.project, work="ranking", unit="hour", amount="18.50", currency="EUR",
            created_by=self.owner, valid_from=(self.now - timedelta(days=400)).date(),
        )  # fmt: skip


def _decision(submission: Submission) -> str:
    return submission.status


def fill(submissions: int) -> Project:
    """The project; minutes for 100,000 submissions."""
    site = Site(submissions)
    tasks = submissions // OVERLAP
    for first in range(0, tasks, AT_ONCE):
        site.add_work(first, min(AT_ONCE, tasks - first))
    site.add_rest()
    # They came over the weeks, as they were decided: bulk inserts stamp them all with this moment.
    site.project.submissions.filter(decided_at__isnull=False).update(created_at=F("decided_at"))
    settle_statistics()
    return site.project
