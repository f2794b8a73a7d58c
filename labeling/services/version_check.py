"""`manage.py verify`: do guidelines and forms say what was published? Held against their own hash and against
the audit row of their publication, which is under a seal."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from typing import Any

from labeling.models import FormVersion, GuidelineVersion

from .forms import definition_digest
from .told import Remark, first_rows, gone

CHUNK = 200  # a guideline may be long


def verify_guidelines() -> Iterator[tuple[str, list[str]]]:
    rows = GuidelineVersion.objects.select_related("guideline__project")
    return _verify(
        rows,
        "guideline.published",
        label=lambda each: (
            f"{each.guideline.project.slug}: {each.guideline.get_kind_display()} guideline, {each}"
        ),
        digest=lambda each: hashlib.sha256(each.markdown.encode()).hexdigest(),
        facts=lambda each: {"number": each.number, "kind": each.guideline.kind},
        project=lambda each: each.guideline.project_id,
        what="text",
    )


def verify_forms() -> Iterator[tuple[str, list[str]]]:
    rows = FormVersion.objects.select_related("form__project")
    return _verify(
        rows,
        "form.published",
        label=lambda each: f"{each.form.project.slug}: {each.form.get_layout_display()} form, {each}",
        digest=lambda each: definition_digest(each.definition_json),
        facts=lambda each: {"number": each.number, "layout": each.layout},
        project=lambda each: each.form.project_id,
        what="definition",
    )


def _verify(
    rows: Any,
    action: str,
    *,
    label: Callable[[Any], str],
    digest: Callable[[Any], str],
    facts: Callable[[Any], dict[str, Any]],
    project: Callable[[Any], int],
    what: str,
) -> Iterator[tuple[str, list[str]]]:
    """Every version, then those that were published and are gone."""
    last = 0
    while versions := list(rows.filter(pk__gt=last).order_by("pk")[:CHUNK]):
        last = versions[-1].pk
        told = first_rows(action, [version.pk for version in versions])
        for version in versions:
            found = digest(version)
            problems = []
            if found != version.sha256:
                problems.append(f"its {what} was changed: its SHA-256 is not {version.sha256}")
            if str(version.pk) in told:
                data, of = told[str(version.pk)]
                if data.get("sha256") != found:
                    problems.append(f"its {what} is not the one that was published, by the audit trail")
                expected = {name: data.get(name) for name in facts(version)} | {"project": of}
                now = facts(version) | {"project": project(version)}
                problems += [f"its {name} was changed" for name in now if now[name] != expected[name]]
            elif version.published_by_id is None and version.number == 1:
                # Version 1 of forms that an upgrade made out of the settings.
                problems.append(Remark("nobody published it: held against its own hash alone"))
            else:
                problems.append("no audit row tells of it: it was added")
            yield label(version), problems
    for pk, slug, data in gone(rows.model, [action]):
        yield f"{slug}: version {data.get('number')} (row {pk})", ["it was published and is gone"]
