"""import_data, freeze_dataset, export_dataset and verify, as somebody types them."""

from __future__ import annotations

import gzip
import io
import json
import zipfile

import pytest
from django.core.management import CommandError, call_command

from labeling.models import DatasetVersion, Prompt, Submission
from labeling.services import datasets
from tests.factories import make_demonstration_batch
from tests.labeling.judgments import make_demonstration
from tests.labeling.work import do_next


def run(name: str, *arguments: str) -> str:
    out = io.StringIO()
    call_command(name, *arguments, stdout=out)
    return out.getvalue()


def import_file(cast, path, kind: str, *more: str) -> str:
    return run("import_data", "--project", cast.project.slug, "--as", kind, *more, str(path))


@pytest.fixture
def demonstrations(tmp_path):
    path = tmp_path / "demos.jsonl"
    path.write_text("".join(json.dumps({"q": f"{n}?", "a": f"Yes {n}."}) + "\n" for n in range(10)))
    return path


MAP = ["--map", "prompt=q", "--map", "completion=a"]


def test_from_a_file_to_a_file(cast, demonstrations, tmp_path):
    said = import_file(cast, demonstrations, "demonstrations", *MAP, "--licence", "CC0", "--user", "alice")
    assert "10 rows read as jsonl, 10 added, 0 there already" in said
    assert Submission.objects.count() == 10
    assert cast.project.imports.get().created_by == cast.admin
    arguments = ["--project", cast.project.slug, "--name", "Mine", "--as", "sft", "--json"]
    frozen = json.loads(run("freeze_dataset", *arguments))
    version = DatasetVersion.objects.get()
    assert (frozen["sha256"], frozen["number"]) == (version.sha256, 1)
    names = (frozen["id"], frozen["sha256"][:10], f"{cast.project.slug}/Mine/1")
    for name in names:
        out = tmp_path / "out.jsonl"
        run("export_dataset", name, "--format", "prompt_completion", "--out", str(out))
        assert {json.loads(line)["completion"] for line in out.read_text().splitlines()} == {
            f"Yes {n}." for n in range(10)
        }
        out.unlink()


def test_parquet_and_marks_by_command(cast, tmp_path):
    make_demonstration(cast.project, cast.annotator, "Paris.")
    made = json.loads(
        run("freeze_dataset", "--project", cast.project.slug, "--name", "Mine", "--as", "sft", "--json")
    )
    out = tmp_path / "out"
    run("export_dataset", made["id"], "--format", "parquet", "--option", "rows=messages", "--out", str(out))
    with zipfile.ZipFile(out) as archive:
        assert "README.md" in archive.namelist()
    marks = ["--option", "stop=!", "--option", "leading_space=false"]
    run("export_dataset", made["id"], "--format", "openai_legacy", *marks, "--out", str(out))
    assert json.loads(out.read_text())["completion"] == "Paris.!"
    packed = ["--option", "array=true", "--option", "gzip=true"]
    run("export_dataset", made["id"], "--format", "messages", *packed, "--out", str(out))
    assert json.loads(gzip.decompress(out.read_bytes()))[0]["messages"][-1]["content"] == "Paris."
    with pytest.raises(CommandError, match="has no 'x' to choose"):
        run("export_dataset", made["id"], "--format", "openai_legacy", "--option", "x=1", "--out", str(out))


def test_a_fault_stores_nothing_and_names_file_row_and_field(cast, tmp_path):
    path = tmp_path / "faulty.jsonl"
    path.write_text('{"prompt": "One?"}\n{"prompt": 7}\n')
    with pytest.raises(CommandError, match=r"faulty.jsonl, row 2, field prompt: must be text.*\nNothing of"):
        import_file(cast, path, "prompts")
    assert not Prompt.objects.exists()


def test_one_faulty_file_does_not_keep_the_others_out(cast, tmp_path):
    texts = {"a": "First?", "b": 7, "c": "Last?"}
    for name, text in texts.items():
        (tmp_path / f"{name}.jsonl").write_text(json.dumps({"prompt": text}) + "\n")
    arguments = ["--project", cast.project.slug, "--as", "prompts"]
    files = [str(tmp_path / f"{name}.jsonl") for name in (*texts, "missing")]
    err = io.StringIO()
    with pytest.raises(CommandError, match="2 of 4 files were refused"):
        call_command("import_data", *arguments, *files, stdout=io.StringIO(), stderr=err)
    assert sorted(Prompt.objects.values_list("preview", flat=True)) == ["First?", "Last?"]
    assert f"Nothing of {tmp_path / 'b.jsonl'} was stored." in err.getvalue()
    assert "Add --leave-out-faulty" in err.getvalue()
    assert "missing.jsonl: No such file" in err.getvalue()


def test_faulty_rows_are_left_out_when_told_so(cast, tmp_path):
    path = tmp_path / "faulty.jsonl"
    path.write_text('{"prompt": "One?"}\n{"prompt": 7}\n')
    said = import_file(cast, path, "prompts", "--leave-out-faulty")
    assert "1 added, 0 there already, 1 left out" in said
    assert "row 2, field prompt" in said


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--project", "nowhere"], "no project “nowhere”"),
        (["--user", "nobody"], "no person “nobody”"),
        (["--map", "prompt"], "FIELD=COLUMN"),
    ],
)
def test_wrong_arguments_are_said(cast, demonstrations, arguments, problem):
    with pytest.raises(CommandError, match=problem):
        import_file(cast, demonstrations, "demonstrations", *arguments)


def test_a_file_that_is_not_there_is_said(cast, tmp_path):
    with pytest.raises(CommandError, match="No such file"):
        import_file(cast, tmp_path / "missing.jsonl", "prompts")


def test_the_next_version_of_a_dataset_can_have_a_new_recipe(cast, tmp_path):
    make_demonstration(cast.project, cast.annotator)
    arguments = ["--project", cast.project.slug, "--name", "Mine"]
    with pytest.raises(CommandError, match="Say its kind"):
        run("freeze_dataset", *arguments)
    run("freeze_dataset", *arguments, "--as", "sft")
    recipe = tmp_path / "recipe.json"
    recipe.write_text('{"fractions": {"test": 1}}')
    said = run("freeze_dataset", *arguments, "--recipe", str(recipe))
    assert "Mine v2: 0 train, 0 validation, 1 test" in said


def test_exporting_what_is_not_there_is_said(cast):
    with pytest.raises(CommandError, match="no ready dataset version"):
        run("export_dataset", "abcdef0123", "--format", "messages", "--out", "-")


def test_a_format_of_another_kind_leaves_no_file(cast, tmp_path):
    make_demonstration(cast.project, cast.annotator)
    run("freeze_dataset", "--project", cast.project.slug, "--name", "Mine", "--as", "sft")
    version = DatasetVersion.objects.get()
    with pytest.raises(CommandError, match="has no format “hh”"):
        run("export_dataset", str(version.public_id), "--format", "hh", "--out", str(tmp_path / "x"))
    assert not list(tmp_path.iterdir())


def test_verify_fails_when_a_byte_was_changed(cast):
    make_demonstration_batch(cast.project, tasks=1, review_rate=0)
    do_next(cast.annotator, cast.project, text="A good answer.")
    run("freeze_dataset", "--project", cast.project.slug, "--name", "Mine", "--as", "sft")
    assert "all are as they were made" in run("verify")
    version = DatasetVersion.objects.get()
    path = next(
        path
        for path in (datasets.split_path(version=version, split=split) for split in version.row_counts)
        if path.stat().st_size
    )
    path.write_bytes(path.read_bytes().replace(b"A good", b"A bad!"))
    out = io.StringIO()
    with pytest.raises(CommandError, match=r"1 of \d+ are not as they were made"):
        call_command("verify", stdout=out)
    assert f"{path.name} was changed" in out.getvalue()


def test_an_export_says_what_its_format_could_not_hold(cast, tmp_path):
    turns = [("user", "One?"), ("assistant", "1"), ("user", "Two?"), ("assistant", "2")]
    rows = [
        {"messages": [{"role": role, "content": text} for role, text in turns]},
        {"prompt": "One turn?", "completion": "Yes."},
    ]
    path = tmp_path / "demos.jsonl"
    path.write_text(json.dumps(rows[0]) + "\n")
    import_file(cast, path, "demonstrations")
    path.write_text(json.dumps(rows[1]) + "\n")
    import_file(cast, path, "demonstrations")
    run("freeze_dataset", "--project", cast.project.slug, "--name", "Turns", "--as", "sft")
    err, out = io.StringIO(), tmp_path / "out.jsonl"
    arguments = [f"{cast.project.slug}/Turns/1", "--format", "prompt_completion", "--out", str(out)]
    call_command("export_dataset", *arguments, stdout=io.StringIO(), stderr=err)
    assert len(out.read_text().splitlines()) == 1
    assert "1 of 2 rows left out: the prompt has several turns" in err.getvalue()
