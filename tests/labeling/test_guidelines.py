import pytest
from django.urls import reverse

from annotate.errors import Conflict, Invalid
from labeling import queues
from labeling.models import Notification, TaskKind
from labeling.services import guidelines
from tests.factories import publish_guideline

pytestmark = pytest.mark.django_db
KIND = TaskKind.RANKING


def save(cast, text, revision):
    return guidelines.save_draft(
        project=cast.project, kind=KIND, markdown=text, revision=revision, acting_user=cast.lead
    )


def publish(cast, summary=""):
    return guidelines.publish_version(
        project=cast.project, kind=KIND, acting_user=cast.lead, change_summary=summary
    )


def test_versions_count_up_and_never_change(cast):
    save(cast, "One.", 0)
    first = publish(cast)
    save(cast, "Two.", 1)
    second = publish(cast)
    assert (first.number, second.number) == (1, 2)
    first.markdown = "Other."
    with pytest.raises(ValueError, match="never changes"):
        first.save()
    first.refresh_from_db()
    assert first.markdown == "One."


def test_a_stale_draft_is_refused_and_shows_what_was_saved_meanwhile(cast):
    save(cast, "Mine.", 0)
    with pytest.raises(Conflict) as caught:
        save(cast, "Theirs.", 0)
    assert caught.value.details[0]["message"] == "Mine."


def test_an_empty_or_unchanged_draft_is_not_published(cast):
    with pytest.raises(Invalid):
        publish(cast)
    save(cast, "Same.", 0)
    publish(cast)
    with pytest.raises(Conflict):
        publish(cast)


def test_publishing_tells_everybody_else_who_works_here(cast):
    save(cast, "Read me.", 0)
    publish(cast, "Everything is new.")
    told = set(Notification.objects.filter(kind="guideline.published").values_list("user", flat=True))
    assert told == {cast.admin.pk, cast.annotator.pk, cast.peer.pk}


def test_a_new_version_needs_reading_again(cast):
    def gate():
        return queues.gates(user=cast.annotator, project=cast.project)[KIND]

    assert gate().is_open
    version = publish_guideline(cast.project, KIND)
    assert not gate().is_open
    guidelines.acknowledge_version(version=version, user=cast.annotator)
    assert gate().is_open
    newer = publish_guideline(cast.project, KIND)
    assert (gate().is_open, gate().version_id) == (False, newer.pk)


def test_the_editor_keeps_both_texts_when_two_people_save(cast, client):
    client.force_login(cast.lead)
    address = reverse("labeling:guideline_edit", args=[cast.project.slug, KIND])
    assert client.post(address, {"markdown": "First words", "revision": 0}).status_code == 302
    answer = client.post(address, {"markdown": "Second words", "revision": 0})
    assert answer.status_code == 409
    page = answer.content.decode()
    assert "First words" in page
    assert "Second words" in page
    assert client.post(address, {"markdown": "Merged", "revision": 1}).status_code == 302


def test_the_diff_names_added_and_removed_lines(cast, client):
    publish_guideline(cast.project, KIND, "keep\nold line")
    publish_guideline(cast.project, KIND, "keep\nnew line")
    client.force_login(cast.annotator)
    page = client.get(
        reverse("labeling:guideline_diff", args=[cast.project.slug, KIND, 1, 2])
    ).content.decode()
    assert (
        '<div class="removed"><span class="visually-hidden">Removed: </span><span dir="auto">old line' in page
    )
    assert '<div class="added"><span class="visually-hidden">Added: </span><span dir="auto">new line' in page


def test_a_draft_is_not_shown_to_annotators(cast, client):
    save(cast, "Secret plans", 0)
    client.force_login(cast.annotator)
    assert (
        "Secret plans"
        not in client.get(reverse("labeling:guidelines", args=[cast.project.slug])).content.decode()
    )


def test_the_versions_of_a_guideline_that_was_never_published_say_what_comes_next(cast, client):
    address = reverse("labeling:guideline_versions", args=[cast.project.slug, KIND])
    editor = reverse("labeling:guideline_edit", args=[cast.project.slug, KIND])
    for person, may_write in ((cast.lead, True), (cast.annotator, False)):
        client.force_login(person)
        answer = client.get(address)
        assert answer.status_code == 200
        page = answer.content.decode()
        assert "Nothing published yet" in page
        assert (editor in page) is may_write


def test_each_version_is_compared_with_the_one_before(cast, client):
    for text in ("One", "Two", "Three"):
        publish_guideline(cast.project, KIND, text)
    client.force_login(cast.annotator)
    page = client.get(reverse("labeling:guideline_versions", args=[cast.project.slug, KIND])).content.decode()
    diffs = [reverse("labeling:guideline_diff", args=[cast.project.slug, KIND, n, n + 1]) for n in (1, 2)]
    assert [page.count(diff) for diff in diffs] == [1, 1]
    assert page.count("Compare with") == 2
