"""`manage.py change_run` and `pin_checkpoint` do what the buttons do, and say why where they cannot."""

from __future__ import annotations

import pytest
from django.core.management import CommandError, call_command

from .conftest import make_sft_run

pytestmark = pytest.mark.django_db


@pytest.fixture
def run(cast, sft_version):
    return make_sft_run(cast, sft_version)


def change(run, what: str, **more) -> None:
    call_command("change_run", what, str(run.number), project=run.project.slug, **more)
    run.refresh_from_db()


def test_a_run_is_cancelled_and_resumed_on_behalf_of_an_admin(cast, run, capsys):
    change(run, "cancel")
    assert run.status == "cancelled" and "Run 1 is cancelled." in capsys.readouterr().out
    change(run, "resume", user=cast.admin.username)
    assert run.status == "queued"
    actors = cast.project.audit_events.filter(action__startswith="run.").values_list("actor", flat=True)
    assert set(actors) == {cast.admin.pk}


def test_what_cannot_be_is_said_and_changes_nothing(cast, run):
    with pytest.raises(CommandError, match="queued"):
        change(run, "retry")
    with pytest.raises(CommandError, match="There is nothing to try again"):
        change(run, "retry_follow_up")
    with pytest.raises(CommandError, match="no admin of this project"):
        change(run, "cancel", user=cast.annotator.username)
    with pytest.raises(CommandError, match="no run 99"):
        call_command("change_run", "cancel", "99", project=cast.project.slug)
    run.refresh_from_db()
    assert run.status == "queued"


def test_a_checkpoint_is_pinned_and_unpinned(cast, checkpoint, capsys):
    name = f"run:{checkpoint.run.number}"
    call_command("pin_checkpoint", name, project=cast.project.slug)
    checkpoint.refresh_from_db()
    assert checkpoint.is_pinned and "is pinned." in capsys.readouterr().out
    call_command("pin_checkpoint", str(checkpoint.pk), project=cast.project.slug, unpin=True)
    checkpoint.refresh_from_db()
    assert not checkpoint.is_pinned
    with pytest.raises(CommandError, match="names nothing in this project"):
        call_command("pin_checkpoint", "run:99", project=cast.project.slug)
