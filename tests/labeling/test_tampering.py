"""What somebody changes in the tables behind the site's back shows in `manage.py verify`, which names it."""

from __future__ import annotations

import hashlib
import io
import json
import zlib
from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from annotate.errors import Conflict
from labeling.models import (
    AuditEvent,
    Demonstration,
    Draft,
    FormVersion,
    GuidelineVersion,
    LedgerEntry,
    Ranking,
    Review,
    Submission,
)
from labeling.services import digests, judgment_check, verification
from labeling.services.appeals import decide_appeal, open_appeal
from labeling.services.assignments import release_expired
from labeling.services.audit_seals import seal_events
from labeling.services.batches import create_writing_batch
from labeling.services.imports import start_import
from labeling.services.late import accept_late_draft
from labeling.services.reviews import accept_submission, fix_submission, reject_submission, return_submission
from labeling.services.undo import undo_decision
from tests.factories import make_demonstration_batch, make_prompt, make_ranking_batch, publish_guideline

from .work import claim, do_next, expire, submit

pytestmark = [pytest.mark.django_db, pytest.mark.database]


def by_sql(row, **values) -> None:
    """One UPDATE statement, as somebody would send it with a database client."""
    assert type(row)._base_manager.filter(pk=row.pk).update(**values) == 1


def removed(rows) -> None:
    """One DELETE statement: nothing that hangs on the rows is looked at."""
    rows._raw_delete(rows.db)


def found(kind: str = "judgment") -> list[str]:
    """All problems of a kind of thing; each names what it is of."""
    return [
        f"{label}: {problem}"
        for each, label, problems in verification.verify_all()
        for problem in problems
        if each == kind
    ]


def alone(kind: str = "judgment") -> str:
    """The one problem, and there is none of another kind."""
    kinds = [each for each, _, problems in verification.verify_all() if problems]
    assert kinds == [kind]
    [problem] = found(kind)
    return problem


@pytest.fixture
def written(cast):
    make_demonstration_batch(cast.project, tasks=1, review_rate=1)
    return do_next(cast.annotator, cast.project)


@pytest.fixture
def ranked(cast):
    make_ranking_batch(cast.project, tasks=1, k=3, review_rate=1)
    return do_next(cast.annotator, cast.project)


WHOSE = "whose it is, its prompt, its time or its origin"
CHECKED = "what the checks said, what was pasted or begun from"


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("text", "London is the capital of France.", "the text"),
        ("text", "Paris is the capital of France. ", "the text"),
        ("answers", {"task": {"sure": True}}, "the answers to the form's questions"),
        ("pasted_characters", 31, CHECKED),
        ("warnings", [{"check": "length"}], CHECKED),
        ("origin", "fix", WHOSE),
        ("active_seconds", 3_600, WHOSE),
        ("author_id", "peer", WHOSE),
        ("guideline_version_id", "other", "the guideline or form version"),
        ("form_version_id", None, "the guideline or form version"),
    ],
)
def test_a_changed_demonstration_is_named_with_what_was_changed(cast, written, column, value, said):
    values = {"peer": cast.peer.pk, "other": publish_guideline(cast.project).pk}
    value = values.get(value, value) if isinstance(value, str) else value
    by_sql(written.current, **{column: value})
    assert alone() == f"tidy-answers: submission {written.pk}: revision 1 was changed: {said}"


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("tiers", lambda row: row.tiers[::-1], "the order"),
        ("unrankable", lambda row: row.tiers[0], "the order"),
        ("unrankable_reasons", lambda row: {"1": {"reason": "unsafe"}}, "the order"),
        ("margins", lambda row: ["clearly", "clearly"], "the order"),
        ("margins", lambda row: [1, 2.5], "the order"),
        ("scores", lambda row: dict.fromkeys(row.scores, 1), "the scores or flags"),
        ("flags", lambda row: {next(iter(row.scores)): ["harmful"]}, "the scores or flags"),
        ("presented_order", lambda row: row.presented_order[::-1], "what was shown and touched"),
        ("shuffle_seed", lambda row: row.shuffle_seed + 1, "what was shown and touched"),
        ("touched", lambda row: [], "what was shown and touched"),
        ("rationale", lambda row: "Because.", "the rationale"),
    ],
)
def test_a_changed_ranking_is_named_with_what_was_changed(ranked, column, value, said):
    by_sql(ranked.current, **{column: value(ranked.current)})
    assert alone() == f"tidy-answers: submission {ranked.pk}: revision 1 was changed: {said}"


@pytest.mark.parametrize("value", [[[10**30]], {"1": 2}, 7, "x", [[1.5]], [None]])
@pytest.mark.parametrize("column", ["tiers", "margins", "touched"])
def test_what_no_judgment_could_hold_is_told_as_well(ranked, column, value):
    by_sql(ranked.current, **{column: value})
    assert "revision 1 was changed" in alone()


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("note", "Very good.", "the note"),
        ("reasons", ["too_long"], "the reasons"),
        ("decision", "accepted", "the decision"),
        ("status_before", "accepted", "the decision"),
        ("reviewer_id", "admin", "whose it is or its time"),
        ("active_seconds", 1_800, "whose it is or its time"),
    ],
)
def test_a_changed_review_is_named(cast, written, column, value, said):
    review = return_submission(submission=written, revision=1, reviewer=cast.lead, note="Shorter.")
    by_sql(review, **{column: cast.admin.pk if value == "admin" else value})
    assert f"submission {written.pk}: review {review.pk} (revision 1, " in alone()
    assert alone().endswith(f"was changed: {said}")


def test_the_review_of_an_appeal_and_what_it_restored_are_covered(cast, written):
    fix_submission(submission=written, revision=1, reviewer=cast.lead, text="Paris.")
    written.refresh_from_db()
    appeal = open_appeal(submission=written, author=cast.annotator, text="No.")
    decide_appeal(appeal=appeal, reviewer=cast.admin, outcome="overturned", note="Right.")
    by_sql(Review.objects.get(queue_reason="appealed"), note="Wrong.")
    by_sql(Demonstration.objects.get(revision=3), text="Rome.")
    first, second = found()
    assert first.endswith("revision 3 was changed: the text")
    assert second.endswith("(revision 3, accepted) was changed: the note")


@pytest.mark.parametrize("revision", [1, 2, 3, 4])
def test_each_revision_is_covered(cast, written, revision):
    return_submission(submission=written, revision=1, reviewer=cast.lead, note="Shorter.")
    do_next(cast.annotator, cast.project, text="Paris.")
    written.refresh_from_db()
    review = fix_submission(submission=written, revision=2, reviewer=cast.lead, text="Paris!")
    undo_decision(review=review, reviewer=cast.lead)
    by_sql(Demonstration.objects.get(revision=revision), text="Rome.")
    assert alone().endswith(f"revision {revision} was changed: the text")


def test_late_work_is_covered(cast):
    make_demonstration_batch(cast.project, tasks=1)
    assignment = claim(cast.annotator, cast.project)
    expire(assignment)
    release_expired()
    claim(cast.peer, cast.project)
    with pytest.raises(Conflict):
        submit(assignment, cast.annotator)
    submission = accept_late_draft(draft=Draft.objects.get(is_late=True), acting_user=cast.lead)
    by_sql(submission.current, text="Rome.")
    assert alone().endswith("revision 1 was changed: the text")


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("status", "accepted", "its status was changed: it is accepted, the audit trail left it rejected"),
        ("prompt_flags", ["unsafe"], "its prompt flags were changed"),
        ("prompt_id", "other", f"revision 1 was changed: {WHOSE}"),
        ("annotator_id", "peer", f"revision 1 was changed: {WHOSE}"),
    ],
)
def test_a_changed_submission_is_named(cast, written, column, value, said):
    reject_submission(submission=written, revision=1, reviewer=cast.lead, note="Copied.")
    values = {"other": make_prompt(cast.project).pk, "peer": cast.peer.pk}
    by_sql(written, **{column: values.get(value, value) if isinstance(value, str) else value})
    assert alone() == f"tidy-answers: submission {written.pk}: {said}"


def test_another_prompt_than_the_one_that_was_written(cast):
    create_writing_batch(project=cast.project, name="Ask", tasks=1, review_rate=0, acting_user=cast.lead)
    submission = do_next(cast.annotator, cast.project, prompt="What is the capital of France?")
    by_sql(submission, prompt_id=make_prompt(cast.project).pk)
    assert alone().endswith("its prompt is not the one that was written with revision 1")


def test_the_answer_before_a_fix_put_back_as_the_one_that_counts(cast, written):
    fix_submission(submission=written, revision=1, reviewer=cast.lead, text="Paris.")
    by_sql(Demonstration.objects.get(revision=2), is_current=False)
    by_sql(Demonstration.objects.get(revision=1), is_current=True)
    assert alone().endswith("revision 1 counts, of 2: the newest one should")
    by_sql(written, revision_count=1)
    assert alone().endswith("revision 1 counts, of 1: the newest one should")


def test_a_revision_that_was_slipped_in(cast, written):
    by_sql(written.current, is_current=False)
    by_sql(written, revision_count=2)
    Demonstration.objects.create(submission=written, revision=2, text="Rome.", author=cast.annotator)
    assert alone().endswith("revision 2 was added: no audit row tells of it")
    Demonstration.objects.filter(revision=2).update(origin="import")
    assert alone().endswith("revision 2 was added: no audit row tells of it")


def test_a_review_that_was_slipped_in_or_taken_away(cast, written):
    review = accept_submission(submission=written, revision=1, reviewer=cast.lead)
    slipped = Review.objects.create(
        submission=written, revision=1, decision="accepted", reviewer=cast.admin, reopened_at=timezone.now()
    )
    assert alone().endswith(f"review {slipped.pk} (revision 1, accepted) was added: no audit row tells of it")
    removed(Review.objects.filter(pk__in=[slipped.pk, review.pk]))
    assert alone().endswith(f"review {review.pk} was removed")


def test_a_revision_or_a_whole_submission_that_was_taken_away(cast, written):
    removed(Demonstration.objects.filter(submission=written))
    assert found()[0].endswith("revision 1 was removed")
    removed(written.receipts.all())
    removed(LedgerEntry.objects.filter(submission=written))
    removed(Submission.objects.filter(pk=written.pk))
    assert found() == [f"tidy-answers: submission {written.pk}: it was removed"]


def sealed() -> None:
    seal_events(now=timezone.now() + timedelta(minutes=2))


def forged(event: AuditEvent, judgment) -> None:
    """The audit row as it would be of the judgment as it now is."""
    kept = digests.of_judgment(judgment, judgment.submission)
    by_sql(event, data={**event.data, "digests": {"judgment": kept}})


def test_where_the_audit_row_was_changed_along_the_seal_shows_it(written):
    sealed()
    by_sql(written.current, text="Rome.")
    forged(AuditEvent.objects.get(action="submission.submitted"), written.current)
    assert not found()
    assert "were changed, removed or added" in alone("audit trail")


def test_where_the_digest_was_taken_out_of_the_audit_row_the_seal_shows_it(written):
    sealed()
    event = AuditEvent.objects.get(action="submission.submitted")
    by_sql(event, data={name: value for name, value in event.data.items() if name != "digests"})
    assert "were changed, removed or added" in " ".join(found("audit trail"))


def test_a_second_audit_row_of_the_same_revision_convinces_nobody(cast, written):
    sealed()
    by_sql(written.current, text="Rome.")
    event = AuditEvent.objects.get(action="submission.submitted")
    event.pk = event.seal_id = None
    event.save(force_insert=True)
    forged(event, written.current)
    sealed()
    assert not found("audit trail")
    assert [problem.partition("revision 1")[2] for problem in found()] == [
        ": 2 audit rows tell of it",
        " was changed: the text",
    ]


@pytest.mark.parametrize("data", [[], {"digests": 3}, {"digests": {"judgment": []}}, {"revision": []}])
def test_an_audit_row_of_any_shape_is_no_obstacle(written, data):
    sealed()
    by_sql(AuditEvent.objects.get(action="submission.submitted"), data=data)
    assert found("audit trail")


def test_changed_guidelines_are_named(cast):
    version = publish_guideline(cast.project, markdown="Be kind.")
    name = "tidy-answers: Demonstration guideline, version 1: its text"
    by_sql(version, markdown="Be curt.")
    assert found("guideline version") == [
        f"{name} was changed: its SHA-256 is not {version.sha256}",
        f"{name} is not the one that was published, by the audit trail",
    ]
    by_sql(version, sha256=hashlib.sha256(b"Be curt.").hexdigest())
    assert alone("guideline version") == f"{name} is not the one that was published, by the audit trail"


def test_guidelines_that_were_moved_added_or_taken_away(cast):
    version = publish_guideline(cast.project)
    by_sql(version, number=7)
    assert alone("guideline version").endswith("version 7: its number was changed")
    GuidelineVersion.objects.filter(pk=version.pk).delete()
    assert alone("guideline version") == (
        f"tidy-answers: version 1 (row {version.pk}): it was published and is gone"
    )
    guideline = cast.project.guidelines.get(kind="ranking")
    GuidelineVersion.objects.create(
        guideline=guideline, number=1, markdown="x", sha256=hashlib.sha256(b"x").hexdigest()
    )
    GuidelineVersion.objects.filter(guideline=guideline).update(published_by=cast.lead)
    assert found("guideline version")[0].endswith("version 1: no audit row tells of it: it was added")


def test_a_changed_form_is_named(cast):
    version = cast.project.forms.get(layout="ranking").current
    changed = version.definition_json | {"allow_ties": False}
    by_sql(version, definition_json=changed)
    first, second = found("form version")
    assert first.startswith("tidy-answers: Ranking form, version 1: its definition was changed")
    by_sql(
        version,
        sha256=hashlib.sha256(
            json.dumps(changed, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
        ).hexdigest(),
    )
    assert [alone("form version")] == [second]


def test_a_form_that_an_upgrade_made_is_held_against_its_own_hash(cast):
    version = cast.project.forms.get(layout="ranking").current
    FormVersion.objects.filter(pk=version.pk).update(published_by=None)
    AuditEvent.objects.filter(action="form.published", object_id=str(version.pk)).delete()
    assert "held against its own hash alone" in alone("form version")
    call_command("verify", verbosity=0)
    by_sql(version, definition_json=version.definition_json | {"allow_ties": False})
    with pytest.raises(CommandError):
        call_command("verify", verbosity=0)


@pytest.fixture
def imported(cast):
    rows = [{"prompt": f"{n}?", "response": f"{n}."} for n in range(4)]
    return start_import(
        project=cast.project, kind="demonstrations", filename="rows.jsonl", acting_user=cast.admin,
        file=io.BytesIO(b"".join(json.dumps(row).encode() + b"\n" for row in rows)),
    )  # fmt: skip


def test_imported_judgments_that_were_changed_taken_away_or_added(cast, imported):
    label = f"tidy-answers: import {imported.pk} (rows.jsonl)"
    last = Demonstration.objects.order_by("pk").last()
    by_sql(last, text="x")
    assert alone("import") == f"{label}: a judgment that it brought in was changed"
    removed(Demonstration.objects.filter(pk=last.pk))
    assert f"{label}: it brought in 4 judgments, 3 are there" in found("import")
    for text in ("3.", "4."):
        Demonstration.objects.create(submission=_another(imported), text=text, origin="import")
    assert f"{label}: it brought in 4 judgments, 5 are there" in found("import")


def _another(imported) -> Submission:
    return Submission.objects.create(
        project=imported.project, kind="demonstration", prompt=make_prompt(imported.project),
        import_record=imported, status="accepted",
    )  # fmt: skip


def test_an_import_of_which_no_audit_row_tells(cast, imported):
    AuditEvent.objects.filter(action="import.succeeded").delete()
    assert alone("import").endswith("no audit row tells of it: it was added")


def test_an_imported_judgment_that_was_made_to_count(imported):
    by_sql(Submission.objects.order_by("pk").first(), status="rejected")
    assert alone().endswith("it is rejected, the audit trail left it accepted")


# --- What verify says of itself -----------------------------------------------------------------------------
def strip_digests() -> None:
    """The audit rows as they were before there were digests."""
    for event in AuditEvent.objects.filter(data__has_key="digests"):
        new = ("digests", "prompt_flags", "status")
        by_sql(event, data={name: value for name, value in event.data.items() if name not in new})


def test_what_is_older_than_digests_is_counted_and_said_and_does_not_fail(cast, written, imported, capsys):
    fix_submission(submission=written, revision=1, reviewer=cast.lead, text="Paris.")
    written.refresh_from_db()
    appeal = open_appeal(submission=written, author=cast.annotator, text="No.")
    decide_appeal(appeal=appeal, reviewer=cast.admin, outcome="overturned", note="Right.")
    strip_digests()
    call_command("verify")
    said = capsys.readouterr().out
    nothing = "from before there were digests: held against nothing"
    assert f"note judgment tidy-answers: 3 judgments {nothing}" in said
    assert f"note judgment tidy-answers: 2 reviews {nothing}" in said
    assert f"note import tidy-answers: import {imported.pk} (rows.jsonl): 4 judgments {nothing}" in said
    assert "all are as they were made" in said
    make_demonstration_batch(cast.project, tasks=1)
    by_sql(do_next(cast.annotator, cast.project).current, text="Rome.")
    with pytest.raises(CommandError, match="^1 of "):
        call_command("verify")


def test_the_command_names_the_submission_and_fails(written, capsys):
    by_sql(written.current, text="Rome.")
    with pytest.raises(CommandError, match="^1 of "):
        call_command("verify")
    said = capsys.readouterr().out
    assert (
        f"BAD  judgment tidy-answers: submission {written.pk}\n     revision 1 was changed: the text" in said
    )


def test_somebody_who_works_while_verify_reads_is_no_alarm(cast, written, monkeypatch):
    read, calls = judgment_check._read, []

    def read_then_decide(rows):
        read(rows)
        if not calls:
            calls.append(fix_submission(submission=written, revision=1, reviewer=cast.lead, text="Paris."))

    monkeypatch.setattr(judgment_check, "_read", read_then_decide)
    assert not found() and calls


def test_it_reads_in_chunks(cast, monkeypatch, django_assert_num_queries):
    make_demonstration_batch(cast.project, tasks=5, review_rate=0)
    rows = [do_next(cast.annotator, cast.project) for _ in range(5)]
    by_sql(rows[3].current, text="Rome.")
    monkeypatch.setattr(judgment_check, "CHUNK", 2)
    labels = [label for label, problems in judgment_check.verify_judgments() if problems]
    assert labels == [f"tidy-answers: submission {rows[3].pk}"]
    by_sql(rows[3].current, text=rows[4].current.text)
    chunk = 6  # submissions, two kinds of judgments, reviews, appeals, audit rows
    with django_assert_num_queries(
        3 * chunk + 1 + 3
    ):  # the end; those that are gone: audit rows, ids, the end
        assert len(list(judgment_check.verify_judgments())) == 5


# --- The digest itself --------------------------------------------------------------------------------------
def test_a_digest_is_that_of_these_lines(written):
    row = written.current
    lines = [
        json.dumps(line, separators=(",", ":"), ensure_ascii=False).encode()
        for line in (
            [written.pk, written.task_id, written.annotator_id, written.prompt_id, 1, "original",
             row.author_id, row.active_seconds, None],
            [None, row.form_version_id],
            [{}],
            ["Paris is the capital of France."],
            [None, [], None],
        )
    ]  # fmt: skip
    kept = AuditEvent.objects.get(action="submission.submitted").data["digests"]["judgment"]
    assert kept == {
        "v": 1,
        "revision": 1,
        "sha256": hashlib.sha256(b"\n".join(lines)).hexdigest(),
        "parts": "".join(f"{zlib.crc32(line) % 65536:04x}" for line in lines),
    }


@pytest.mark.parametrize("model", [Demonstration, Ranking, Review])
def test_every_column_is_in_the_digest_or_left_out_on_purpose(model):
    kinds = {Demonstration: "demonstration", Ranking: "ranking"}
    names = digests.ROW[kinds[model]] if model in kinds else digests.columns(digests.REVIEW)
    left_out = {"id", "created_at"} | ({"is_current", "submission_id"} if model in kinds else {"reopened_at"})
    assert {field.attname for field in model._meta.concrete_fields} == set(names) | left_out


def test_all_there_is_to_fix_is_said_to_webhooks_and_pages_without_digests(cast, written, client):
    client.force_login(cast.lead)
    event = AuditEvent.objects.get(action="submission.submitted")
    assert "digests" not in event.facts and event.facts["task"] == written.task_id
    page = client.get(f"/projects/{cast.project.slug}/audit/").content.decode()
    assert event.data["digests"]["judgment"]["sha256"] not in page
