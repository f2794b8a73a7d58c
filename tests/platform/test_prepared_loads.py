"""Rows loaded by the database's own means are those that bulk_create would have stored."""

from __future__ import annotations

import uuid

import pytest
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from annotate.prepared import PreparedLoad, json_text, random_uuids
from labeling.models import Completion, Prompt
from tests.factories import make_prompt

pytestmark = pytest.mark.database

AWKWARD = (
    "plain", "tab\there", "line\nfeed", "carriage\rreturn", "back\\slash", "\\N", "\\.", "", " ", "'quote\"",
    "a\\tb", "日本語 \u2028 \U0001f600", "null", "{}", "\\\n\\\t\\",
)  # fmt: skip
PROMPTS = PreparedLoad(Prompt, "messages", "digest", "preview", "category", "language", "metadata")


def load(cast, texts, **alike):
    rows = [
        (
            json_text([{"role": "user", "content": text}]),
            f"{number:064}",
            text,
            text,
            "en",
            json_text({text: 1}),
        )
        for number, text in enumerate(texts)
    ]
    with transaction.atomic():
        return PROMPTS.load(rows, project_id=cast.project.pk, **alike)


def test_every_text_comes_back_character_for_character(cast):
    keys = load(cast, AWKWARD)
    stored = Prompt.objects.in_bulk(keys)
    assert [stored[key].preview for key in keys] == list(AWKWARD)
    assert [stored[key].messages[0]["content"] for key in keys] == list(AWKWARD)
    assert [stored[key].metadata for key in keys] == [{text: 1} for text in AWKWARD]


def test_what_is_alike_and_what_is_left_out_is_as_objects_create_has_it(cast):
    before = timezone.now()
    [key] = load(cast, ["x"], created_by_id=cast.admin.pk)
    loaded, made = Prompt.objects.get(pk=key), make_prompt(cast.project, "y")
    assert (loaded.created_by, loaded.import_record, loaded.archived_at) == (cast.admin, None, None)
    assert before <= loaded.created_at <= timezone.now()
    others = {"id", "messages", "digest", "preview", "category", "language", "metadata", "created_at"}
    names = [field.attname for field in Prompt._meta.concrete_fields if field.attname not in others]
    alike = {name: getattr(loaded, name) for name in names if name != "created_by_id"}
    assert alike == {name: getattr(made, name) for name in alike}


def test_keys_go_on_from_the_last_and_later_rows_do_not_meet_them(cast):
    first = make_prompt(cast.project)
    keys = load(cast, ["a", "b"])
    assert first.pk < keys[0] < keys[1]
    assert make_prompt(cast.project).pk > keys[1]


def test_defaults_are_the_models_own(cast):
    with transaction.atomic():
        [key] = PreparedLoad(Completion, "text", "prompt_id", "public_id").load(
            [("t", make_prompt(cast.project).pk, random_uuids(1)[0])],
            project_id=cast.project.pk,
            origin="imported",
        )
    stored = Completion.objects.get(pk=key)
    assert (stored.sampling, stored.checkpoint_key, stored.source_key) == ({}, None, None)
    assert (stored.text, stored.public_id.version) == ("t", 4)


def test_a_broken_rule_of_the_database_is_an_integrity_error_and_stores_nothing(cast):
    load(cast, ["a"])
    with pytest.raises(IntegrityError):
        load(cast, ["b", "c"])  # the digests are counted from 0 again
    assert Prompt.objects.filter(project=cast.project).count() == 1


@pytest.mark.django_db(transaction=True)
def test_it_needs_a_transaction(transactional_db):
    with pytest.raises(transaction.TransactionManagementError):
        PROMPTS.load([("[]", "d", "", "", "", "{}")], project_id=1)
    assert not connection.in_atomic_block


def test_an_unknown_field_is_refused(cast):
    with pytest.raises(TypeError, match="no such fields alike: colour"):
        load(cast, ["a"], colour="red")
    assert load(cast, []) == []


def test_uuids_are_random_and_of_version_4():
    drawn = [uuid.UUID(each) for each in random_uuids(500)]
    assert len(set(drawn)) == 500
    assert {(each.version, each.variant) for each in drawn} == {(4, uuid.RFC_4122)}
