"""The data card: what it says is what the rows say, and it says the same everywhere."""

from __future__ import annotations

import hashlib
import io
import json

import pytest
from django.core.management import call_command

from labeling.formats.data_card import escaped
from labeling.models import DatasetVersion
from labeling.services import dataset_cards, datasets, verification
from tests.factories import make_completions, make_prompt, publish_guideline

from .judgments import make_demonstration, make_ranking
from .test_dataset_freeze import make_version


def card(version) -> str:
    version = DatasetVersion.objects.get(pk=version.pk)  # as the database gives it back
    return dataset_cards.card_of(version=version)


def test_it_counts_rows_people_guidelines_reviews_and_languages(cast):
    rules = publish_guideline(cast.project)
    for number in range(3):
        make_demonstration(
            cast.project,
            cast.annotator,
            "x" * (number + 1),
            prompt=make_prompt(cast.project, language="de" if number else ""),
            guideline_version=rules,
            decision="accepted" if number else None,
            reviewer=cast.lead,
        )
    text = card(make_version(cast, fractions={"train": 1}))
    for line in (
        "# set v1",
        "| train | 3 | 6 | 1 | 3 |",
        "| de | 2 | 0 | 0 |",
        "| not stated | 1 | 0 | 0 |",
        "- 3 rows by 1 people, who appear by pseudonym",
        f"- 3 rows under version 1 of the guideline for demonstrations (SHA-256 `{rules.sha256}`)",
        "- 2 rows accepted by a reviewer",
        "- 1 rows accepted without a review",
        "- One person made 100% of the rows.",
        "- train has 3 rows: figures on it vary by chance.",
        "- The language of 1 rows is not stated.",
    ):
        assert line in text.splitlines(), line


def test_agreement_is_that_of_the_rows_by_hand(cast):
    """Three people on three completions. 1>2>3, 1>2>3 agree in 3 of 3 pairs; 1>3>2 agrees with each in 2 of
    3; a tie of 2 and 3 is half against an order."""
    prompt = make_prompt(cast.project)
    completions = make_completions(prompt, 3)
    for who, tiers in (
        (cast.annotator, [[0], [1], [2]]),
        (cast.peer, [[0], [1], [2]]),
        (cast.lead, [[0], [2], [1]]),
    ):
        make_ranking(cast.project, who, tiers, prompt=prompt, completions=completions)
    other = make_prompt(cast.project)
    two = make_completions(other, 2)
    make_ranking(cast.project, cast.annotator, [[0], [1]], prompt=other, completions=two)
    make_ranking(cast.project, cast.peer, [[0, 1]], prompt=other, completions=two)
    make_ranking(cast.project, cast.peer)  # alone on its prompt
    version = make_version(cast, "comparison")
    assert version.facts["agreement"] == {"compared": 9 + 1, "agreed_twice": 2 * (3 + 2 + 2) + 1}
    assert version.facts["ranked_by_several"] == 2
    assert "in 75.0% of 10 cases" in card(version)


def test_files_licences_and_what_is_missing(cast, tmp_path):
    path = tmp_path / "a|b.jsonl"
    path.write_text('{"prompt": "One?", "completion": "Yes."}\n')
    call_command(
        "import_data",
        "--project",
        cast.project.slug,
        "--as",
        "demonstrations",
        str(path),
        stdout=io.StringIO(),
    )
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    text = card(make_version(cast))
    assert f"- 1 rows from the file a\\|b.jsonl (**no licence stated**; SHA-256 `{digest}`)" in text
    assert "- 1 rows come from files without a stated licence." in text


def test_names_of_people_are_no_markup():
    assert escaped("# Hi\n[x](javascript:1) <b>") == "\\# Hi \\[x\\](javascript:1) \\<b\\>"


def test_a_version_from_before_there_were_cards_has_one_with_what_is_known(cast):
    make_demonstration(cast.project, cast.annotator)
    version = make_version(cast)
    DatasetVersion.objects.filter(pk=version.pk).update(facts={})
    assert "## What is in it" in card(version)


def test_facts_that_were_changed_are_found(cast):
    make_demonstration(cast.project, cast.annotator)
    version = make_version(cast)
    assert verification.verify_version(version=version) == []
    version.facts["unreviewed"] = 0
    version.save(update_fields=["facts"])
    assert verification.verify_version(version=version) == ["what its data card says was changed"]


def test_freezing_again_gives_the_same_facts_whatever_order_they_are_read_in(cast):
    for number in range(5):
        make_demonstration(
            cast.project, cast.annotator, prompt=make_prompt(cast.project, category=f"c{number}")
        )
    first = make_version(cast)
    second = datasets.freeze_dataset(dataset=first.dataset, acting_user=cast.admin, force=True)
    assert first.facts == second.facts
    shuffled = json.loads(json.dumps(first.manifest, sort_keys=True))
    texts = []
    for manifest in (first.manifest, shuffled, dict(reversed(first.manifest.items()))):
        first.manifest = manifest
        texts.append(dataset_cards.card_of(version=first))
    assert len(set(texts)) == 1


@pytest.mark.parametrize("role", ["lead", "admin"])
def test_page_and_api_show_it(cast, client, api_client_of, role):
    make_demonstration(cast.project, cast.annotator)
    version = make_version(cast, name="<b>*x*</b>")
    path = f"projects/{cast.project.slug}/datasets/{version.dataset_id}/versions/1/card/"
    who = getattr(cast, role)
    client.force_login(who)
    page = client.get(f"/{path}").content.decode()
    assert "Known limits</h3>" in page
    assert "<b>" not in page.split('class="prose"')[1]
    text = b"".join(api_client_of(who).get(f"/api/{path}").streaming_content).decode()
    assert text == card(version)
    saved = client.get(f"/{path}", {"download": ""})
    assert saved["Content-Disposition"].endswith('.card.md"')
