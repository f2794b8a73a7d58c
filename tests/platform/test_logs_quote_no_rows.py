"""A database error names state, table and constraint; the row that it quotes does not reach the log."""

from __future__ import annotations

import io
import json

import pytest
from django.db import IntegrityError, transaction

from annotate.logs import WithoutRows, plain_traceback
from annotate.quoted_rows import plain_cause
from labeling.models import Prompt, QualityReport
from labeling.services import quality_reports
from tests.factories import make_prompt

WORDS = "My neighbour at Mill Lane 7 drinks."
QUOTED = f"null value violates not-null constraint\nDETAIL:  Failing row contains (1, {WORDS})."


class Details:
    sqlstate, table_name, column_name, constraint_name = "23502", "labeling_prompt", "category", None


DriverError = type("NotNullViolation", (Exception,), {"__module__": "psycopg2.errors", "diag": Details})


def chain() -> Exception:
    """As Django raises it: its own error, of the driver's, which something else was raised from."""
    try:
        try:
            try:
                raise DriverError(QUOTED)
            except DriverError as driver:
                raise IntegrityError(QUOTED) from driver
        except IntegrityError as error:
            raise RuntimeError("the import stopped") from error
    except RuntimeError as error:
        return error


def told(style: str, error: BaseException) -> str:
    exc_info = (type(error), error, error.__traceback__)
    if style == "json":
        return json.dumps(WithoutRows(show_locals=False)(exc_info))
    output = io.StringIO()
    plain_traceback(output, exc_info)
    return output.getvalue()


@pytest.mark.parametrize("style", ["json", "console"])
def test_nothing_of_the_row_is_told_and_what_helps_is(style):
    text = told(style, chain())
    assert WORDS not in text and "Failing row" not in text
    assert "state 23502, table labeling_prompt, column category" in text
    assert "the import stopped" in text and "NotNullViolation" in text


@pytest.mark.parametrize("style", ["json", "console"])
def test_errors_in_a_group_are_told_alike(style):
    group = ExceptionGroup("two things", [chain(), ValueError("no number")])
    text = told(style, group)
    assert WORDS not in text and "no number" in text


def test_other_errors_say_what_they_say():
    assert plain_cause(ValueError("no number")) == "no number"


@pytest.mark.django_db
@pytest.mark.database
@pytest.mark.parametrize("style", ["json", "console"])
def test_a_row_that_the_database_refuses_is_not_quoted(cast, style):
    prompt = make_prompt(cast.project, WORDS)
    with pytest.raises(IntegrityError) as refused, transaction.atomic():
        Prompt.objects.filter(pk=prompt.pk).update(preview=WORDS, category=None)
    text = told(style, refused.value)
    assert WORDS not in text
    assert "category" in text and "IntegrityError" in text


@pytest.mark.django_db
@pytest.mark.database
def test_a_report_that_failed_on_a_row_says_so_without_it(cast, monkeypatch):
    def broken(project):
        raise chain().__cause__

    monkeypatch.setattr(quality_reports, "_compute", broken)
    with pytest.raises(IntegrityError):
        quality_reports.refresh_report(project=cast.project)
    assert QualityReport.objects.get().error.startswith("IntegrityError: state 23502")
    assert WORDS not in QualityReport.objects.get().error
