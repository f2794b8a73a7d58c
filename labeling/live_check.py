"""Read side of the work screen: what the project's checks say of an answer that is being written."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from labeling.models import Assignment, Prompt
from labeling.services.answer_checks import MOST_SHOWN, Remark, look_at, look_at_prompt, subject_of
from labeling.services.judgments import LONGEST_ANSWER, clean_text
from labeling.services.token_counts import TokenCount, count_tokens
from labeling.services.written_prompts import messages_of


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


def check_while_typing(
    *, assignment: Assignment, user, text: str, of: str = "answer", prompt: str = ""
) -> LiveCheck:
    """What would be warned of or refused if this were submitted now. Nothing is stored; at most six queries.

    of: "answer", which is held against `prompt` where its author writes that too; or "prompt", that text.
    Raises Invalid for a text that no database could store.
    """
    text = clean_text(text[:LONGEST_ANSWER], "text")
    subject = replace(subject_of(assignment.task, assignment.project, user), text=text)
    if of == "prompt":
        remarks = look_at_prompt(subject) if subject.writes_prompt else []
    else:
        if subject.writes_prompt:
            subject = replace(subject, prompt=Prompt(messages=messages_of(prompt[:LONGEST_ANSWER])))
        remarks = look_at(subject)
    return LiveCheck(text, remarks, count_tokens(project=assignment.project, text=text))
