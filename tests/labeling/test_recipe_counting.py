"""What a recipe would leave out, counted over all rows: at once or in the background; given up unasked."""

from __future__ import annotations

import os
import time
from threading import Thread

import pytest

from annotate.errors import Conflict
from labeling.services import background, recipe_counting
from labeling.services.progress import Progress
from labeling.services.recipe_counting import count_by_reason, read_counts
from labeling.services.recipes import Recipe

from .judgments import make_demonstration, make_ranking

RECIPE = Recipe(filters={"blocked_words": ["darn"], "personal_data": "mask"}, salt="s")
TAKE_UP = recipe_counting._take_up
SFT = {"kind": "sft", "recipe": RECIPE}


@pytest.fixture(autouse=True)
def data_dir(settings, tmp_path):
    settings.DATA_DIR = tmp_path  # projects of tests have equal numbers


@pytest.fixture
def filled(cast):
    for number in range(9):
        make_demonstration(cast.project, cast.annotator, f"Answer {number}.")
    make_demonstration(cast.project, cast.annotator, "A darn answer.")
    make_demonstration(cast.project, cast.annotator, "Write to a@example.org.")
    return cast


@pytest.fixture
def large(filled, monkeypatch):
    monkeypatch.setattr(recipe_counting, "INLINE_ROWS", 1)
    monkeypatch.setattr(recipe_counting, "_take_up", lambda key: None)
    monkeypatch.setattr("labeling.services.dataset_filters.TELL_EVERY", 1)
    return filled


def key_of_the_only_question() -> str:
    [path] = recipe_counting._path("").parent.glob("*.asked.json")
    return path.name.removesuffix(".asked.json")


def in_background() -> None:
    recipe_counting.build_count(key_of_the_only_question())


def test_all_rows_are_counted_however_many_there_are(filled, monkeypatch):
    monkeypatch.setattr("labeling.services.dataset_filters.CHUNK", 2)
    found = count_by_reason(project=filled.project, **SFT).result
    assert (found["looked_at"], found["kept"]) == (11, 10)
    assert found["left_out"]["a blocked word"]["count"] == 1  # beyond the first chunks
    assert found["changed"] == {"personal data: mask": 1}
    assert "Write to [email]." in found["changed_examples"]["personal data: mask"][0]


def test_what_cannot_be_learnt_from_is_counted_without_any_filter(cast):
    make_ranking(cast.project, cast.annotator, [[0]], unrankable=(1, 2))
    make_ranking(cast.project, cast.annotator)
    found = count_by_reason(project=cast.project, kind="comparison", recipe=Recipe(salt="s")).result
    assert (found["looked_at"], found["kept"]) == (2, 1)
    assert found["left_out"] == {"fewer than two completions ranked": {"count": 1, "examples": []}}


def test_what_leaves_nothing_out_is_not_read(cast, django_assert_num_queries):
    with django_assert_num_queries(0):
        assert count_by_reason(project=cast.project, kind="sft", recipe=Recipe(salt="s")) == (None, None)


def test_many_rows_are_counted_beside_the_request_with_progress(large):
    waits = count_by_reason(project=large.project, **SFT)
    assert waits == (None, {"phase": "waiting", "done": 0, "total": None})
    in_background()
    found = count_by_reason(project=large.project, **SFT).result
    assert {**found, "counted_at": ""} == {
        **read_counts(large.project, "sft", RECIPE), "counted_at": ""
    }  # fmt: skip
    assert not list(recipe_counting._path("").parent.glob("*.asked.json"))


def test_the_answer_is_of_this_recipe_alone_and_not_given_for_ever(large, monkeypatch):
    count_by_reason(project=large.project, **SFT)
    in_background()
    other = Recipe(filters={"blocked_words": ["answer"]}, salt="s")
    assert count_by_reason(project=large.project, kind="sft", recipe=other).progress is not None
    assert count_by_reason(project=large.project, **SFT).result is not None
    monkeypatch.setattr(recipe_counting, "FRESH_SECONDS", -1.0)
    assert count_by_reason(project=large.project, **SFT).progress is not None


def test_a_count_that_nobody_asks_for_any_more_is_given_up(large, monkeypatch):
    count_by_reason(project=large.project, **SFT)
    key = key_of_the_only_question()
    path, read = recipe_counting._path(key, ".asked"), []
    real = recipe_counting.read_counts

    def slow(project, kind, recipe, tell):
        def told(done):
            read.append(done)
            os.utime(path, (time.time() - 9, time.time() - 9))  # who waits asks every two seconds
            tell(done)

        return real(project, kind, recipe, told)

    monkeypatch.setattr(recipe_counting, "read_counts", slow)
    recipe_counting.build_count(key)
    assert read == [0]
    assert not recipe_counting._path(key).exists()
    assert Progress("recipe", key).read() is None


def test_one_whose_process_died_is_begun_again_and_told_of_after_three(large, monkeypatch):
    monkeypatch.setattr("labeling.services.progress.SILENT_SECONDS", -1.0)
    count_by_reason(project=large.project, **SFT)
    heartbeat = Progress("recipe", key_of_the_only_question())
    heartbeat.attempt = recipe_counting.ATTEMPTS
    heartbeat.tell("counting", 3, now=True)
    recipe_counting.revive_lost_counts()
    with pytest.raises(Conflict, match="died too often"):
        count_by_reason(project=large.project, **SFT)
    count_by_reason(project=large.project, **SFT)  # asked for once more, it is tried once more
    assert background.sweep() == 1
    assert count_by_reason(project=large.project, **SFT).result["looked_at"] == 11


def test_one_that_kills_each_process_is_given_up_while_somebody_watches(large, monkeypatch):
    monkeypatch.setattr("labeling.services.progress.SILENT_SECONDS", -1.0)

    class Killed(BaseException):
        """The process ends here: nothing after it is done, the heartbeat stays as it was told."""

    def kill(*_arguments):
        raise Killed

    monkeypatch.setattr(recipe_counting, "read_counts", kill)
    monkeypatch.setattr(Progress, "end", lambda self: None)
    for _ in range(recipe_counting.ATTEMPTS):
        assert count_by_reason(project=large.project, **SFT).progress is not None
        with pytest.raises(Killed):
            in_background()
    with pytest.raises(Conflict, match="died too often"):
        count_by_reason(project=large.project, **SFT)


def test_one_count_at_a_time_in_a_process_and_none_that_nobody_waits_for(large, monkeypatch):
    counted: list[str] = []
    monkeypatch.setattr("labeling.services.progress.SILENT_SECONDS", -1.0)
    monkeypatch.setattr(recipe_counting, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(recipe_counting, "build_count", counted.append)
    count_by_reason(project=large.project, **SFT)
    key = key_of_the_only_question()
    waits = Thread(target=TAKE_UP, args=[key], daemon=True)
    with recipe_counting._one_at_a_time:  # at another one
        waits.start()
        time.sleep(0.1)
        assert counted == []
        assert recipe_counting.revive_lost_counts() == 0
    waits.join(5)
    assert counted == [key]
    os.utime(recipe_counting._path(key, ".asked"), (time.time() - 9, time.time() - 9))
    with recipe_counting._one_at_a_time:  # the form asks for another recipe by now
        TAKE_UP(key)
    assert counted == [key]
    assert Progress("recipe", key).read() is None  # who asks again has it begun anew, and at once


def test_one_that_breaks_before_its_first_row_says_so(large, monkeypatch):
    count_by_reason(project=large.project, **SFT)
    monkeypatch.setattr(recipe_counting, "count_selected", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        in_background()
    with pytest.raises(Conflict, match="on our side"):
        count_by_reason(project=large.project, **SFT)


def test_a_question_that_nobody_waits_for_any_more_is_not_begun(large, monkeypatch):
    count_by_reason(project=large.project, **SFT)
    key = key_of_the_only_question()
    os.utime(recipe_counting._path(key, ".asked"), (time.time() - 9, time.time() - 9))
    monkeypatch.setattr(recipe_counting, "count_selected", lambda *_: pytest.fail("a row was read"))
    recipe_counting.build_count(key)
    assert Progress("recipe", key).read() is None


def test_page_and_api_show_how_far_it_is_and_then_the_counts(large, admin):
    here = f"projects/{large.project.slug}/datasets/count/"
    asked = {"kind": "sft", "recipe": {"filters": RECIPE.to_json()["filters"]}}
    waits = admin.post(f"/api/{here}", asked, content_type="application/json")
    assert (waits.status_code, waits["Retry-After"]) == (202, "2")
    assert waits.json()["filters_progress"]["phase"] == "waiting"
    in_background()
    found = admin.post(f"/api/{here}", asked, content_type="application/json").json()["filters"]
    assert (found["looked_at"], found["kept"]) == (11, 10)
    form = {
        "name": "Mine", "kind": "sft", "sources": ["people", "imports"],
        "decisions": ["accepted", "fixed", "unreviewed"], "train": "80", "validation": "10", "test": "10",
        "blocked_words": "answer",
    }  # fmt: skip
    page = admin.get(f"/{here}", form).content.decode()
    assert "Waiting for its turn" in page
    assert 'hx-trigger="load delay:2s"' in page
    assert "Waiting for its turn" in page.partition('id="count-progress"')[2]  # not in the live region
    watched = admin.get(f"/{here}", form | {"watched": "1"}).content.decode()
    assert "Waiting for its turn" in watched
    assert "hx-swap-oob" not in watched  # nothing to be read out
    in_background()
    watched = admin.get(f"/{here}", form | {"watched": "1"}).content.decode()
    assert '<div hx-swap-oob="innerHTML:#count"><dl' in watched
    assert "delay:2s" not in watched
    page = admin.get(f"/{here}", form).content.decode()
    assert "Of 11 rows are kept" in page
    assert "delay:2s" not in page
