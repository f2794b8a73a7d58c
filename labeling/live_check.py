"""Read side of the work screen: what the project's checks say of an answer that is being written."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from labeling.models import Assignment
from labeling.services.answer_checks import MOST_SHOWN, Remark, look_at, subject_of
from labeling.services.judgments import LONGEST_ANSWER, clean_text
from labeling.services.token_counts import TokenCount, count_tokens


@dataclass(frozen=True)
class LiveCheck:
    """Findings, refusals first, and how long the text is. `remarks` are at most MOST_SHOWN."""

    text: str
    remarks: list[Remark]
    tokens: TokenCount

    def as_json(self) -> dict[str, Any]:
        return {
            "remarks": [each.as_json(self.text) for each in self.remarks[:MOST_SHOWN]],
            "left_out": max(0, len(self.remarks) - MOST_SHOWN),
            "characters": len(self.text),
            "tokens": {"count": self.tokens.count, "is_estimate": self.tokens.is_estimate},
        }


def check_while_typing(*, assignment: Assignment, user, text: str) -> LiveCheck:
    """What would be warned of or refused if this were submitted now. Nothing is stored; at most five queries.

    Raises Invalid for a text that no database could store.
    """
    text = clean_text(text[:LONGEST_ANSWER], "text")
    subject = replace(subject_of(assignment.task, assignment.project, user), text=text)
    return LiveCheck(text, look_at(subject), count_tokens(project=assignment.project, text=text))
