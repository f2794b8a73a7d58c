"""The form of a recipe offers what its kind can use, and what a browser without scripts sends in spite of
that is said, not dropped."""

from __future__ import annotations

import pytest
from django.utils.html import escape

from labeling.models import Dataset, DatasetKind, RecipeRevision
from labeling.preparation import FIXES, Options, Plan, Unit
from labeling.services.dataset_recipes import create_dataset
from labeling.services.recipe_kinds import fixes_without_use
from tests.factories import make_completions, make_prompt, publish_guideline

from .judgments import make_demonstration
from .test_dataset_pages import RECIPE, url

ASK = "Answer in one line, and politely, please: "
RANKED = {"comparison": (1, 2), "completions": None}


@pytest.fixture
def page(cast, admin):
    """The form's answer to what is chosen for a kind; posted where something is sent."""
    make_completions(make_prompt(cast.project), 2)
    make_demonstration(cast.project, cast.annotator)
    publish_guideline(cast.project)

    def get(kind, **sent):
        if not sent:
            return admin.get(url(cast, "new/"), {"kind": kind})
        return admin.post(url(cast, "new/"), {"name": "Mine", **RECIPE, **sent, "kind": kind})

    return get


def units(kind: str) -> list[Unit]:
    """Rows in which each fix finds something to do, if rows of this kind have what it is about."""
    texts = [("yes", " no ###"), ("yes", "yes"), (" no ###", "yes"), ("...", "yes")]
    texts += [(f"In short, that is so, word {n} and so on, always. ###", "yes") for n in range(2)]
    made = []
    for number, answers in enumerate(texts * 9):
        messages = ({"role": "user", "content": f"{ASK}ABOUT OTTERS, ann@example.org?"},)
        answers = {"prompts": (), "sft": answers[:1]}.get(kind, answers)
        side = "test" if number == 3 else "train"
        made.append(Unit(number, messages, answers, RANKED.get(kind), side=side))
    return made


@pytest.mark.parametrize("kind", DatasetKind.values)
def test_a_fix_that_is_not_offered_for_a_kind_finds_nothing_to_do_in_its_rows(kind):
    names = fixes_without_use(kind)
    assert set(names) < set(FIXES)
    rows = units(kind)
    plan = Plan(iter(rows), names, Options(count_tokens=len))
    assert [plan.carry_out(number, row)[0] for number, row in enumerate(rows)] == rows


def test_prompts_are_offered_no_fix_of_answers_and_no_edits(page):
    text = page("prompts").content.decode()
    for name in ("drop_empty_answers", "drop_equal_pairs", "mark_answer_ends", "edits"):
        assert f'value="{name}"' not in text
    for name in ("drop_exact_duplicates", "mask_personal_data", "mark_prompt_ends", "imports"):
        assert f'value="{name}"' in text
    assert 'name="least_score"' in text, "a file may have scored its prompts"
    assert 'value="edits"' in page("comparison").content.decode()


@pytest.mark.parametrize(
    ("kind", "sent"),
    [
        ("prompts", {"decisions": ["accepted"]}),
        ("prompts", {"least_agreement": "70"}),
        ("prompts", {"fixes": ["drop_empty_answers"]}),
        ("sft", {"rankings": "adjudicated"}),
        ("sft", {"include_scores": "on"}),
        ("sft", {"sources": ["people", "edits"]}),
        ("completions", {"fixes": ["drop_contradictions", "drop_exact_duplicates"]}),
    ],
)
def test_what_has_no_use_for_the_kind_is_said_beside_it_and_not_dropped(page, kind, sent):
    """Without scripts the fields of the kind that the page was opened with stay, whatever kind is chosen."""
    answer = page(kind, **sent)
    assert answer.status_code == 422 and not Dataset.objects.exists()
    [(name, errors)] = answer.context["form"].errors.items()
    assert name == next(iter(sent)) and "or choose another kind" in errors[0]
    text = answer.content.decode()
    assert escape(errors[0]) in text and f'name="{name}"' in text
    assert page(kind, sources=["people", "imports"]).status_code == 302


def test_people_chosen_without_scripts_are_not_forgotten(cast, page):
    answer = page("prompts", annotators=[cast.annotator.pseudonym])
    assert answer.status_code == 422
    assert list(answer.context["form"].errors) == ["annotators"]
    assert f'value="{cast.annotator.pseudonym}" selected' in answer.content.decode()


def test_what_a_page_without_scripts_sends_untouched_is_taken(cast, page):
    """The form of demonstrations, of which another kind was chosen and nothing else was changed."""
    form = page("").context["form"]
    sent = {name: form.get_initial_for_field(field, name) for name, field in form.fields.items()}
    sent = {name: value for name, value in sent.items() if value not in (None, "", False)} | {"name": "Mine"}
    assert {"decisions", "sources", "train"} <= sent.keys()
    for kind in DatasetKind.values:
        assert page(kind, **{**sent, "name": kind}).status_code == 302, kind
    assert Dataset.objects.count() == 4


def test_the_page_leads_to_the_choices_of_each_kind_without_scripts(cast, page):
    text = page("sft").content.decode()
    _before, _tag, inside = text.partition("<noscript>")
    for kind in ("comparison", "prompts", "completions"):
        assert f'href="?kind={kind}"' in inside.partition("</noscript>")[0]


def test_what_a_stored_recipe_has_of_it_is_shown_and_kept(cast, admin, page):
    recipe = {"sources": ["edits", "imports", "people"], "filters": {"fixes": ["drop_empty_answers"]}}
    dataset = create_dataset(
        project=cast.project, kind="prompts", name="Old", recipe=recipe, acting_user=cast.admin
    )
    address = url(cast, f"{dataset.pk}/recipe/")
    text = admin.get(address).content.decode()
    assert text.count('value="edits"') == text.count('value="drop_empty_answers"') == 1
    sent = RECIPE | {"after": "1", "sources": recipe["sources"], "fixes": ["drop_empty_answers"]}
    assert admin.post(address, sent | {"names": "on"}).status_code == 302
    newest = RecipeRevision.objects.filter(dataset=dataset).order_by("-number").first().recipe
    assert newest["filters"] == {"fixes": ["drop_empty_answers"], "names": True}
    assert set(newest["sources"]) == {"people", "imports", "edits"}


def test_the_count_follows_the_kind_at_once(cast, admin, page):
    """A script asks while the fields of the former kind still stand there."""
    query = {**RECIPE, "kind": "prompts", "decisions": ["accepted"], "fixes": ["drop_empty_answers"]}
    query["sources"] = ["people", "edits"]
    text = admin.get(url(cast, "count/"), query).content.decode()
    assert "another kind" not in text and '<dd class="strong">' in text
