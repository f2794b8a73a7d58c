"""A file comes in whole or not at all, and the same rows again add nothing."""

from __future__ import annotations

import gzip
import io
import json

import pytest
from django.db import connection

from annotate.errors import Conflict, Invalid
from labeling.models import (
    AuditEvent,
    Completion,
    Demonstration,
    ImportStatus,
    JudgmentOrigin,
    Notification,
    Prompt,
    Ranking,
    Submission,
    SubmissionStatus,
)
from labeling.services import import_files, import_rows, import_spool, imports
from labeling.services.progress import Progress
from labeling.services.prompts import find_ids


def lines(*rows: dict) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def bring_in(cast, kind: str, data: bytes, filename: str = "rows.jsonl", **options):
    return imports.start_import(
        project=cast.project,
        kind=kind,
        file=io.BytesIO(data),
        filename=filename,
        acting_user=cast.admin,
        **options,
    )


def test_prompts_are_stored_with_category_and_provenance(cast):
    record = bring_in(
        cast, "prompts", lines({"prompt": "What is a fjord?", "category": "geography", "id": 7})
    )
    prompt = Prompt.objects.get(project=cast.project)
    assert record.status == ImportStatus.SUCCEEDED
    assert prompt.messages == [{"role": "user", "content": "What is a fjord?"}]
    assert (prompt.category, prompt.metadata, prompt.import_record_id) == ("geography", {"id": 7}, record.pk)


def test_the_same_file_again_adds_nothing(cast):
    data = lines({"prompt": "One?"}, {"prompt": "Two?"})
    bring_in(cast, "prompts", data)
    again = bring_in(cast, "prompts", data, filename="other name.jsonl")
    assert (again.rows_read, again.rows_added, again.rows_already_there) == (2, 0, 2)
    assert Prompt.objects.filter(project=cast.project).count() == 2


def test_a_prompt_that_is_twice_in_a_file_is_stored_once(cast):
    record = bring_in(cast, "prompts", lines({"prompt": "One?"}, {"prompt": "One?"}))
    assert (record.rows_added, record.rows_already_there) == (1, 1)


def test_another_project_gets_its_own_rows(cast):
    data = lines({"prompt": "One?", "completion": "Yes."})
    bring_in(cast, "demonstrations", data)
    record = imports.start_import(
        project=cast.other_project, kind="demonstrations", file=io.BytesIO(data), filename="x.jsonl",
        acting_user=cast.outsider,
    )  # fmt: skip
    assert record.rows_added == 1
    assert Prompt.objects.filter(project=cast.other_project).count() == 1


def test_a_fault_in_the_last_row_stores_nothing_and_says_where(cast):
    data = lines({"prompt": "One?"}, {"prompt": "Two?"}, {"Prompt": "Three?"})
    record = bring_in(cast, "prompts", data, filename="faulty.jsonl")
    assert record.status == ImportStatus.FAILED
    assert not Prompt.objects.filter(project=cast.project).exists()
    assert (record.error["file"], record.error["row"], record.error["field"]) == ("faulty.jsonl", 3, "prompt")
    with pytest.raises(Invalid, match="faulty.jsonl, row 3, field prompt: missing") as raised:
        imports.raise_if_failed(record)
    assert raised.value.details[0]["row"] == 3


def test_faulty_rows_can_be_left_out_and_are_listed(cast):
    data = lines({"prompt": "One?", "output": "Yes."}, {"prompt": "Two?", "output": ""})
    record = bring_in(cast, "demonstrations", data, leave_out_faulty_rows=True)
    assert record.status == ImportStatus.SUCCEEDED
    assert (record.rows_read, record.rows_added, record.rows_left_out) == (2, 1, 1)
    assert (record.faults[0]["row"], record.faults[0]["field"]) == (2, "output")


def test_a_label_too_long_to_store_is_refused_with_its_row(cast):
    record = bring_in(cast, "prompts", lines({"prompt": "One?"}, {"prompt": "Two?", "category": "x" * 81}))
    assert (record.status, record.error["row"], record.error["field"]) == (ImportStatus.FAILED, 2, "category")


def test_demonstrations_become_accepted_submissions(cast):
    record = bring_in(
        cast, "demonstrations", lines({"instruction": "Name it.", "input": "2", "output": "Two."})
    )
    submission = Submission.objects.get(project=cast.project)
    assert (submission.status, submission.import_record_id) == (SubmissionStatus.ACCEPTED, record.pk)
    assert (submission.annotator, submission.task) == (None, None)
    demonstration = Demonstration.objects.get(submission=submission)
    assert (demonstration.text, demonstration.origin) == ("Two.", JudgmentOrigin.IMPORT)
    assert submission.prompt.messages[0]["content"] == "Name it.\n\n2"


def test_a_demonstration_again_is_not_stored_again(cast):
    data = lines({"prompt": "One?", "completion": "Yes."}, {"prompt": "One?", "completion": "No."})
    bring_in(cast, "demonstrations", data)
    record = bring_in(cast, "demonstrations", data + lines({"prompt": "One?", "completion": "Maybe."}))
    assert (record.rows_added, record.rows_already_there) == (1, 2)
    assert Demonstration.objects.count() == 3


def test_comparisons_become_rankings_of_imported_completions(cast):
    bring_in(cast, "comparisons", lines({"prompt": "One?", "chosen": "Good.", "rejected": "Bad."}))
    ranking = Ranking.objects.get()
    texts = {completion.pk: completion.text for completion in Completion.objects.all()}
    assert [[texts[pk] for pk in tier] for tier in ranking.tiers] == [["Good."], ["Bad."]]
    assert ranking.submission.status == SubmissionStatus.ACCEPTED


def test_a_ranking_keeps_ties_margins_and_what_could_not_be_ranked(cast):
    row = {
        "prompt": "One?",
        "completions": [{"id": name, "text": f"text {name}", "generator": "m"} for name in "abcd"],
        "ranking": [["b"], ["a", "c"]],
        "unrankable": ["d"],
        "margins": [2],
    }
    bring_in(cast, "comparisons", lines(row))
    ranking = Ranking.objects.get()
    texts = {completion.pk: completion.text[-1] for completion in Completion.objects.all()}
    assert [[texts[pk] for pk in tier] for tier in ranking.tiers] == [["b"], ["a", "c"]]
    assert [texts[pk] for pk in ranking.unrankable] == ["d"]
    assert ranking.margins == [2.0]


def test_completions_are_shared_between_the_pairs_of_a_prompt(cast):
    bring_in(
        cast,
        "comparisons",
        lines(
            {"prompt": "One?", "chosen": "Good.", "rejected": "Bad."},
            {"prompt": "One?", "chosen": "Best.", "rejected": "Good."},
        ),
    )
    assert sorted(Completion.objects.values_list("text", flat=True)) == ["Bad.", "Best.", "Good."]
    assert Ranking.objects.count() == 2


def test_two_judges_of_one_pair_are_two_judgments_where_the_file_tells_them_apart(cast):
    pair = {"prompt": "One?", "chosen": "Good.", "rejected": "Bad."}
    record = bring_in(
        cast, "comparisons", lines(pair | {"judge": 1}, pair | {"judge": 2}, pair | {"judge": 2})
    )
    assert (record.rows_added, record.rows_already_there) == (2, 1)


def test_several_models_answers_meet_under_their_prompt(cast):
    for model in ("small", "large"):
        row = {"instruction": "One?", "output": f"Says {model}.", "generator": model}
        bring_in(cast, "completions", lines(row), filename=f"{model}.jsonl")
    prompt = Prompt.objects.get(project=cast.project)
    generators = prompt.completions.order_by("id").values_list("generator", flat=True)
    assert list(generators) == ["small", "large"]
    assert not Submission.objects.filter(project=cast.project).exists()


def test_equal_texts_of_one_row_stay_two_completions(cast):
    row = {"prompt": "One?", "completions": ["Same.", "Same.", "Other."]}
    bring_in(cast, "completions", lines(row))
    again = bring_in(cast, "completions", lines(row))
    assert Completion.objects.filter(text="Same.").count() == 2
    assert again.rows_added == 0


def test_columns_can_be_mapped(cast):
    record = bring_in(cast, "prompts", b"Frage,n\nWas?,1\n", "x.csv", column_mapping={"prompt": "Frage"})
    assert record.status == ImportStatus.SUCCEEDED, record.error
    assert Prompt.objects.get().preview == "Was?"


def test_a_crash_while_storing_leaves_nothing(cast, monkeypatch):
    """The second chunk breaks: the first must not stay."""
    monkeypatch.setattr(import_spool, "CHUNK_ROWS", 1)
    store, calls = import_rows.RowStore.store, []

    def break_at_second(self, rows):
        calls.append(rows)
        if len(calls) == 2:
            raise RuntimeError("the disk is gone")
        store(self, rows)

    monkeypatch.setattr(import_rows.RowStore, "store", break_at_second)
    with pytest.raises(RuntimeError):
        bring_in(cast, "prompts", lines({"prompt": "One?"}, {"prompt": "Two?"}))
    record = cast.project.imports.get()
    assert record.status == ImportStatus.FAILED
    assert "Nothing was stored" in record.error["message"]
    assert not Prompt.objects.filter(project=cast.project).exists()


def test_an_import_whose_process_died_is_taken_up_again(cast):
    record = imports.upload_file(
        project=cast.project, kind="prompts", file=io.BytesIO(lines({"prompt": "One?"})), filename="x.jsonl",
        acting_user=cast.admin,
    )  # fmt: skip
    imports.confirm_import(import_record=record, acting_user=cast.admin)
    cast.project.imports.update(status=ImportStatus.RUNNING, attempt=1)  # and then silence
    assert imports.revive_lost_imports() == 1
    record = imports.run_import(import_record=record)
    assert (record.status, record.attempt, record.rows_added) == (ImportStatus.SUCCEEDED, 2, 1)


def test_an_import_that_still_tells_its_progress_is_left_alone(cast):
    record = _running(cast)
    progress = Progress("import", record.pk)
    progress.tell("reading", 1, now=True)
    assert imports.revive_lost_imports() == 0
    progress.end()  # the next test's record may have the same number


def test_an_import_that_dies_again_and_again_fails(cast):
    record = _running(cast)
    cast.project.imports.update(attempt=imports.ATTEMPTS)
    imports.revive_lost_imports()
    record.refresh_from_db()
    assert (record.status, record.error["code"]) == (ImportStatus.FAILED, "import_lost")


def _running(cast):
    record = imports.upload_file(
        project=cast.project, kind="prompts", file=io.BytesIO(lines({"prompt": "One?"})), filename="x.jsonl",
        acting_user=cast.admin,
    )  # fmt: skip
    cast.project.imports.update(status=ImportStatus.RUNNING, attempt=1)
    return record


def test_a_run_that_lost_its_turn_stores_nothing(cast, monkeypatch):
    """While the first attempt stores, another one takes the record over: the first must undo its rows."""
    store = import_rows.RowStore.store

    def overtaken(self, rows):
        store(self, rows)
        cast.project.imports.update(attempt=2)

    monkeypatch.setattr(import_rows.RowStore, "store", overtaken)
    record = bring_in(cast, "prompts", lines({"prompt": "One?"}))
    assert record.status != ImportStatus.SUCCEEDED
    assert not Prompt.objects.filter(project=cast.project).exists()


def test_running_it_twice_stores_once(cast):
    record = bring_in(cast, "prompts", lines({"prompt": "One?"}))
    again = imports.run_import(import_record=record)
    assert (again.attempt, again.rows_added) == (1, 1)


def test_a_large_file_waits_for_the_background(cast, monkeypatch):
    from labeling.services import background

    monkeypatch.setattr(imports, "INLINE_BYTES", 10)
    record = bring_in(cast, "prompts", lines({"prompt": "One?"}))
    assert record.status == ImportStatus.WAITING
    assert background.sweep() == 1
    record.refresh_from_db()
    assert record.status == ImportStatus.SUCCEEDED
    assert Notification.objects.get(user=cast.admin).path.endswith(f"/imports/{record.pk}/")


def test_a_small_file_that_unpacks_to_a_large_one_waits_for_the_background(cast, monkeypatch):
    rows = lines(*({"prompt": "One?"} for _ in range(200)))
    packed = gzip.compress(rows)
    monkeypatch.setattr(imports, "INLINE_BYTES", len(rows) - 1)
    assert len(packed) < 200
    assert bring_in(cast, "prompts", packed, "rows.jsonl.gz").status == ImportStatus.WAITING
    monkeypatch.setattr(imports, "INLINE_BYTES", len(rows))
    assert bring_in(cast, "prompts", packed, "again.jsonl.gz").status == ImportStatus.SUCCEEDED


def test_a_failed_import_can_be_confirmed_anew_with_another_mapping(cast):
    record = bring_in(cast, "demonstrations", b"q,a\nOne?,Yes.\n", "x.csv")
    assert record.status == ImportStatus.FAILED
    mapping = {"prompt": "q", "completion": "a"}
    imports.confirm_import(import_record=record, acting_user=cast.admin, column_mapping=mapping)
    assert imports.run_import(import_record=record).rows_added == 1


def test_an_import_that_is_done_is_not_confirmed_again(cast):
    record = bring_in(cast, "prompts", lines({"prompt": "One?"}))
    with pytest.raises(Conflict):
        imports.confirm_import(import_record=record, acting_user=cast.admin)


def test_discarding_removes_record_and_file_but_not_one_that_is_shared(cast):
    data = lines({"prompt": "One?"})
    kept = bring_in(cast, "prompts", data)
    upload = {"project": cast.project, "kind": "prompts", "filename": "x.jsonl", "acting_user": cast.admin}
    discarded = imports.upload_file(file=io.BytesIO(data), **upload)
    imports.discard_import(import_record=discarded, acting_user=cast.admin)
    import_files.remove_if_unused(kept.sha256)
    assert import_files.path_of(kept).exists()
    alone = imports.upload_file(file=io.BytesIO(lines({"prompt": "Two?"})), **upload)
    path = import_files.path_of(alone)
    imports.discard_import(import_record=alone, acting_user=cast.admin)
    import_files.remove_if_unused(
        alone.sha256
    )  # after the commit, which the test's transaction never reaches
    assert not path.exists()
    assert cast.project.imports.get() == kept


def test_a_file_over_the_limit_is_refused_and_leaves_nothing(cast, settings):
    settings.IMPORT_MAX_BYTES = 20
    before = set(import_files.folder().rglob("*"))
    with pytest.raises(Invalid, match="larger than 20 bytes"):
        bring_in(cast, "prompts", lines({"prompt": "x" * 30}))
    assert not cast.project.imports.exists()
    assert set(import_files.folder().rglob("*")) == before


def test_an_empty_file_is_refused(cast):
    with pytest.raises(Invalid, match=r"nothing to import: the file is empty"):
        bring_in(cast, "prompts", b"")


def test_a_name_that_somebody_sent_never_becomes_a_path(cast):
    record = bring_in(cast, "prompts", lines({"prompt": "One?"}), filename="../../etc/\u202epasswd\n.jsonl")
    assert record.filename == "passwd.jsonl"


def test_every_step_leaves_an_audit_row(cast):
    bring_in(cast, "prompts", lines({"prompt": "One?"}))
    actions = AuditEvent.objects.filter(object_type="importrecord").order_by("id")
    expected = ["import.uploaded", "import.confirmed", "import.succeeded"]
    assert list(actions.values_list("action", flat=True)) == expected


def rows_read() -> int:
    """Of prompts in this transaction; SQLite counts none."""
    if connection.vendor != "postgresql":
        return 0
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0) FROM pg_stat_xact_user_tables"
            " WHERE relname = 'labeling_prompt'"
        )
        return cursor.fetchone()[0]


@pytest.mark.parametrize("known", [0, 3_000], ids=["no statistics", "statistics of another project"])
def test_what_is_there_already_is_found_by_the_index_however_much_an_import_has_stored(cast, known):
    """Statistics are from before the import: of this project, PostgreSQL expects one row. Reading the table
    for each chunk, or the project for each value, is quadratic."""
    digests = [f"{number:064d}" for number in range(12_000)]
    others = [Prompt(project=cast.other_project, messages=[], digest=each) for each in digests[:known]]
    Prompt.objects.bulk_create(others)
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql" and known:
            cursor.execute("ANALYZE labeling_prompt")
    Prompt.objects.bulk_create(Prompt(project=cast.project, messages=[], digest=each) for each in digests)
    before = rows_read()
    found = find_ids(Prompt, "digest", [*digests[:5_500], "none"], project=cast.project)
    assert rows_read() - before <= 5_501
    mine = Prompt.objects.filter(project=cast.project, digest__lt=digests[5_500])
    assert found == dict(mine.values_list("digest", "pk"))
    new = ["~", *digests[5_000:5_010]]
    assert find_ids(Prompt, "digest", new, project=cast.other_project) == {}
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SHOW enable_sort")
            assert cursor.fetchone() == ("on",), "only the lookup is planned so"
