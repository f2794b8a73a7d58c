import pytest

from labeling.form_editor import changed, definition_of, in_lines
from labeling.models.form_definition import LAYOUTS, DefinitionError, FormDefinition
from tests.factories import question

AB = [{"key": "a", "label": "A"}, {"key": "b", "label": "B"}]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_definition_survives_its_json(layout):
    questions = [
        question("safe", required=True),
        question("tone", "one_of", options=AB, help="How it sounds."),
        question("sure", "scale", scale={"lowest": 0, "highest": 3, "step_labels": {"1": "hardly"}}),
    ]
    form = FormDefinition.from_json(layout, {"questions": questions})
    assert FormDefinition.from_json(layout, form.to_json()) == form
    assert form.questions[2].scale.steps[1] == {"value": 1, "label": "hardly"}


def test_each_layout_has_a_place_for_its_own_fields_only():
    assert set(FormDefinition.default("demonstration").to_json()) == {"prompt_flags", "questions"}
    assert "ask_margins" not in FormDefinition.default("pairwise").to_json()
    assert FormDefinition.default("pairwise").ask_margins is True
    assert FormDefinition.default("ranking").scale.holds(7)
    assert not FormDefinition.default("ranking").scale.holds(8)


@pytest.mark.parametrize(
    ("layout", "values", "field"),
    [
        ("ranking", [], "definition"),
        ("ranking", {"colour": "red"}, "colour"),
        ("demonstration", {"scale": {}}, "scale"),
        ("pairwise", {"ask_margins": True}, "ask_margins"),
        ("ranking", {"scores": "maybe"}, "scores"),
        ("ranking", {"scores": ["required"]}, "scores"),
        ("ranking", {"allow_ties": "yes"}, "allow_ties"),
        ("ranking", {"scale": {"lowest": 3, "highest": 3}}, "scale.highest"),
        ("ranking", {"scale": {"lowest": True}}, "scale.lowest"),
        ("ranking", {"scale": {"highest": 11}}, "scale.highest"),
        ("ranking", {"scale": {"step_labels": {"9": "far"}}}, "scale.step_labels"),
        ("ranking", {"scale": {"low_label": "x" * 61}}, "scale.low_label"),
        ("ranking", {"prompt_flags": {"key": "a"}}, "prompt_flags"),
        ("ranking", {"prompt_flags": [{"key": "a", "label": " "}]}, "prompt_flags.0.label"),
        ("ranking", {"prompt_flags": [AB[0], AB[0]]}, "prompt_flags.1.key"),
        ("ranking", {"prompt_flags": [{"key": "a", "label": "nul\x00"}]}, "prompt_flags.0.label"),
        ("ranking", {"questions": [question("Bad key")]}, "questions.0.key"),
        ("ranking", {"questions": [question("a"), question("a")]}, "questions.1.key"),
        ("ranking", {"questions": [question("a", "essay")]}, "questions.0.type"),
        ("ranking", {"questions": [question("a", per="person")]}, "questions.0.per"),
        ("ranking", {"questions": [question("a", required=1)]}, "questions.0.required"),
        ("ranking", {"questions": [question("a", "one_of", options=AB[:1])]}, "questions.0.options"),
        ("ranking", {"questions": [question("a", options=AB)]}, "questions.0.options"),
        (
            "ranking",
            {"questions": [question("a", "scale", scale={"lowest": 8})]},
            "questions.0.scale.highest",
        ),
        ("ranking", {"questions": [question("a", admin=True)]}, "questions.0.admin"),
        ("ranking", {"questions": [question(f"q{n}") for n in range(101)]}, "questions"),
        ("demonstration", {"questions": [question("a", per="completion")]}, "questions.0.per"),
        ("essay", {}, "layout"),
    ],
)
def test_what_makes_no_sense_is_refused_by_field(layout, values, field):
    with pytest.raises(DefinitionError) as caught:
        FormDefinition.from_json(layout, values)
    assert caught.value.field == field


def test_the_editors_fields_become_a_definition_with_keys_for_new_rows():
    sent = {
        "scores": "offered",
        "rationale": "hidden",
        "allow_ties": "on",
        "scale-lowest": "0",
        "scale-highest": "four",
        "scale-step_labels": "2: so so\n",
        "completion_flags-0-label": "Too long",
        "completion_flags-0-key": "",
        "completion_flags-2-label": "Too long",
        "completion_flags-2-key": "",
        "questions-0-label": "本当ですか",
        "questions-0-type": "one_of",
        "questions-0-options": "yes: Ja: ja\nNot at all\n",
        "questions-0-required": "on",
    }
    values = definition_of(sent, "ranking")
    assert (values["scores"], values["allow_ties"], values["ask_margins"]) == ("offered", True, False)
    assert values["scale"]["lowest"] == 0 and values["scale"]["highest"] == "four"
    assert values["scale"]["step_labels"] == {"2": "so so"}
    assert [flag["key"] for flag in values["completion_flags"]] == ["too_long", "too_long_2"]
    [asked] = values["questions"]
    assert (asked["key"], asked["required"], asked["per"]) == ("question_1", True, "task")
    assert asked["options"] == [
        {"key": "yes", "label": "Ja: ja"},
        {"key": "not_at_all", "label": "Not at all"},
    ]


def test_rows_are_added_moved_and_removed_and_the_focus_goes_on_from_there():
    rows = [question("a"), question("b"), question("c")]
    keys = lambda values: [row["key"] for row in values["questions"]]  # noqa: E731
    values, focus = changed({"questions": rows}, "down:questions:0")
    assert (keys(values), focus) == (["b", "a", "c"], "questions-1-down")
    values, focus = changed(values, "down:questions:1")
    assert (keys(values), focus) == (["b", "c", "a"], "questions-2-up")
    values, focus = changed(values, "remove:questions:2")
    assert (keys(values), focus) == (["b", "c"], "questions-1-remove")
    values, focus = changed(values, "add:questions")
    assert (keys(values), focus) == (["b", "c", ""], "questions-2-label")
    assert [row["key"] for row in rows] == ["a", "b", "c"]


@pytest.mark.parametrize("change", ["", "up:questions:0", "down:questions:9", "eat:questions:0", "add:scale"])
def test_a_change_that_means_nothing_changes_nothing(change):
    before = {"questions": [question("a")], "scale": {}}
    assert changed(before, change)[0] == before


def test_lines_name_all_that_a_form_asks():
    form = FormDefinition.from_json(
        "ranking", {"scores": "hidden", "questions": [question("tone", "one_of", options=AB, required=True)]}
    )
    lines = in_lines(form).splitlines()
    assert "Scores: hidden" in lines
    assert "Scale: 1 to 7 (1 worst, 7 best)" in lines
    assert "Question: Tone? (tone; one of, once a task, needs an answer)" in lines
    assert "    – A (a)" in lines
