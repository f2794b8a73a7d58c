"""The editor and the pages around it, and the same through the API."""

import pytest
from django.urls import reverse

from tests.factories import publish_form, question

pytestmark = pytest.mark.django_db


@pytest.fixture
def lead(client, cast):
    client.force_login(cast.lead)
    return client


def address(cast, name, *args, layout="ranking"):
    return reverse(f"labeling:{name}", args=[cast.project.slug, layout, *args])


def fields(**changes):
    """The editor's fields of a small ranking form."""
    return {
        "revision": 0,
        "scores": "offered",
        "rationale": "hidden",
        "scale-lowest": "1",
        "scale-highest": "5",
        "scale-low_label": "poor",
        "scale-high_label": "good",
        "questions-0-label": "Is it safe?",
        "questions-0-key": "",
        "questions-0-type": "yes_no",
        "questions-0-per": "completion",
        **changes,
    }


def test_the_editor_starts_from_the_version_in_force(lead, cast):
    page = lead.get(address(cast, "form_edit")).content.decode()
    assert 'value="Made-up facts"' in page and 'value="invented_facts"' in page
    assert "Publish…" not in page


def test_a_draft_is_saved_and_published_with_a_summary(lead, cast):
    assert lead.post(address(cast, "form_edit"), fields()).status_code == 302
    page = lead.get(address(cast, "form_edit")).content.decode()
    assert "Publish…" in page and "Question: Is it safe? (is_it_safe" in page
    answer = lead.post(address(cast, "form_publish"), {"change_summary": "Shorter."})
    assert answer.status_code == 302
    version = cast.project.forms.get(layout="ranking").current
    assert (version.number, version.change_summary, version.definition.scale.highest) == (2, "Shorter.", 5)
    assert [each.key for each in version.definition.questions] == ["is_it_safe"]
    assert "Shorter." in lead.get(address(cast, "form_versions")).content.decode()
    diff = lead.get(address(cast, "form_diff", 1, 2)).content.decode()
    assert "Scale: 1 to 7 (1 worst, 7 best)" in diff and "Scale: 1 to 5 (1 poor, 5 good)" in diff


def test_rows_change_on_the_page_without_anything_being_saved(lead, cast):
    sent = fields(do="add:questions")
    answer = lead.post(address(cast, "form_edit"), sent, headers={"HX-Request": "true"})
    page = answer.content.decode()
    assert answer.status_code == 200 and "<html" not in page
    assert 'id="questions-1-label" name="questions-1-label"' in page
    assert answer.context["focus"] == "questions-1-label" and page.count("data-focus-after-swap") == 1
    assert "<html" in lead.post(address(cast, "form_edit"), sent).content.decode()
    assert cast.project.forms.get(layout="ranking").draft_json is None


def test_an_error_names_its_control_and_keeps_what_was_entered(lead, cast):
    sent = fields(**{"questions-0-type": "one_of", "questions-0-options": "only one"})
    answer = lead.post(address(cast, "form_edit"), sent)
    page = answer.content.decode()
    assert answer.status_code == 422
    assert "Questions 1, options: needs something to choose from." in page
    assert answer.context["wrong"] == "questions-0-options" and page.count('aria-invalid="true"') == 1
    assert "only_one: only one" in page


def test_a_stale_tab_gets_both_texts(lead, cast):
    lead.post(address(cast, "form_edit"), fields())
    answer = lead.post(address(cast, "form_edit"), fields(**{"scale-highest": "9"}))
    page = answer.content.decode()
    assert answer.status_code == 409
    assert "What was saved meanwhile" in page and "Scale: 1 to 5" in page and 'value="9"' in page
    again = fields(**{"scale-highest": "9", "revision": answer.context["revision"]})
    assert lead.post(address(cast, "form_edit"), again).status_code == 302


@pytest.mark.parametrize("layout", ["demonstration", "ranking", "pairwise"])
def test_the_preview_shows_the_form_as_its_screen_does(lead, cast, layout):
    per = "task" if layout == "demonstration" else "completion"
    answer = lead.post(address(cast, "form_preview", layout=layout), fields(**{"questions-0-per": per}))
    page = answer.content.decode()
    assert "Is it safe?" in page
    assert ("A much better" in page) == (layout == "pairwise")
    assert ("5 good" in page) == (layout != "demonstration")
    problem = lead.post(address(cast, "form_preview", layout=layout), fields(**{"questions-0-label": " "}))
    assert "Questions 1" in problem.content.decode()


def test_a_draft_is_discarded(lead, cast):
    lead.post(address(cast, "form_edit"), fields())
    assert lead.post(address(cast, "form_publish"), {"discard": "1"}).status_code == 302
    assert cast.project.forms.get(layout="ranking").draft_json is None


def test_words_of_a_form_are_text(lead, cast):
    wicked = "<script>alert(1)</script>"
    publish_form(
        cast.project, questions=[question("a", label=wicked, help=wicked)], scale={"low_label": wicked}
    )
    for url in (
        address(cast, "form_edit"),
        address(cast, "form_version", 2),
        address(cast, "form_diff", 1, 2),
        reverse("labeling:forms", args=[cast.project.slug]),
    ):
        assert wicked not in lead.get(url).content.decode(), url


def test_the_list_of_forms_needs_few_queries(lead, cast, django_assert_max_num_queries):
    with django_assert_max_num_queries(14):
        lead.get(reverse("labeling:forms", args=[cast.project.slug]))


def test_a_form_is_drafted_and_published_by_a_program(cast, api_client_of):
    api = api_client_of(cast.lead)
    root = f"/api/projects/{cast.project.slug}/forms/"
    assert api.get(root).json()["count"] == 3
    definition = {"prompt_flags": [], "questions": [question("sure", "scale")]}
    saved = api.put(f"{root}demonstration/draft/", {"revision": 0, "definition": definition}, format="json")
    assert (saved.status_code, saved.json()["draft_revision"]) == (200, 1)
    stale = api.put(f"{root}demonstration/draft/", {"revision": 0, "definition": {}}, format="json")
    assert (stale.status_code, stale.json()["error"]["code"]) == (409, "stale_draft")
    made = api.post(f"{root}demonstration/publish/", {"change_summary": "Asks more."}, format="json")
    assert (made.status_code, made.json()["number"]) == (201, 2)
    assert api.get(f"{root}demonstration/").json()["definition"]["questions"][0]["key"] == "sure"
    assert api.get(f"{root}demonstration/versions/1/").json()["definition"]["questions"] == []
    assert api.get(f"{root}demonstration/versions/9/").status_code == 404
    assert api.get(f"{root}essay/").status_code == 404


@pytest.mark.parametrize(
    ("definition", "field"),
    [
        ({"colour": 1}, "colour"),
        ({"scale": {}}, "scale"),
        ({"questions": [{"key": "a"}]}, "questions.0.type"),
        ({"questions": "none"}, "questions"),
    ],
)
def test_a_program_is_told_which_field_of_a_definition_is_wrong(cast, api_client_of, definition, field):
    url = f"/api/projects/{cast.project.slug}/forms/demonstration/draft/"
    body = {"revision": 0, "definition": definition}
    answer = api_client_of(cast.lead).put(url, body, format="json")
    assert (answer.status_code, answer.json()["error"]["field"]) == (422, field)
