"""What tests/commands/test_moving_a_site.py runs in processes of their own, as
`python -m tests.commands.moved_site fill`, `freeze {"name": "kind"}`, or `postgres`.
"""

from __future__ import annotations

import atexit
import io
import json
import shutil
import sys
import tempfile
from pathlib import Path

TEXTS = ("İstanbul'a ılık", "Straße ﬁn ①", "日本語 \u202e right", "e\u0301 é", "tab\tand\nline", "=1+1")


def fill() -> None:
    import django

    django.setup()
    from annotate.accounts.models import User
    from labeling.models import Membership, Role, SpanNote
    from labeling.services import imports
    from labeling.services.projects import create_project
    from tests.factories import make_completions, make_prompt
    from tests.labeling.judgments import make_demonstration, make_ranking

    admin = User.objects.create_user("admin", is_staff=True, is_superuser=True)
    person = User.objects.create_user("person", email="person@example.org")
    project = create_project(name="Moved", slug="moved", acting_user=admin)
    Membership.objects.create(project=project, user=person, role=Role.ANNOTATOR)
    for number, text in enumerate(TEXTS * 5):
        judged = make_demonstration(project, person, f"{text} {number}", decision="accepted", reviewer=admin)
        SpanNote.objects.create(
            project=project, submission=judged, revision=1, author=admin, start=0, end=3,
            quote=text[:3], comment=f"{text}!",
        )  # fmt: skip
        prompt = make_prompt(project, f"{text} {number}?")
        completions = make_completions(prompt, 4)
        make_ranking(
            project, person, [[0], [2, 1]], prompt=prompt, completions=completions, unrankable=(3,),
            margins=("clearly",),
        )  # fmt: skip
    rows = [
        {"prompt": f"{text} {n}", "chosen": "ja", "rejected": "nein", "margin": 1, "category": "Ä"}
        for n, text in enumerate(TEXTS * 3)
    ]
    data = "\n".join(json.dumps(row) for row in rows).encode()
    record = imports.start_import(
        project=project, kind="comparisons", file=io.BytesIO(data), filename="p.jsonl", acting_user=admin,
        licence="CC0",
    )  # fmt: skip
    imports.raise_if_failed(record)


def freeze(names: str) -> None:
    """A new version of each dataset, by the command; one JSON object a line."""
    import django

    django.setup()
    from django.core.management import call_command

    for name, kind in json.loads(names).items():
        chosen = ("--project", "moved", "--name", name, "--as", kind)
        call_command("freeze_dataset", *chosen, "--json", "--force")


def postgres() -> None:
    from tests.servers import start_postgres

    # Not in pytest's folder, which the user that the server runs as cannot reach.
    folder = Path(tempfile.mkdtemp(prefix="annotate-moved-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    print(start_postgres(folder), flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    {"fill": fill, "freeze": freeze, "postgres": postgres}[sys.argv[1]](*sys.argv[2:])
