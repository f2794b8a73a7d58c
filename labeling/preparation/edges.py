"""How prompts and answers begin and end across a file: marks that all have, that some lack, and that say
nothing.

In files of the legacy prompt/completion kind the texts alone tell a model where the prompt ends and where it
has to stop. Conversations are wrapped by the chat template of the model; there only what is shared by all
answers is looked at.
"""

from __future__ import annotations

import os
import re
from collections import Counter

from .finding import Change, Finding, Fix, Look, Options
from .texts import STOP_MARKS
from .units import Unit

LEAST_ROWS = 10  # fewer rows share a beginning by chance
LEAST_SHARED = 8  # characters
_KEPT = 400  # characters of an edge that are compared
SEPARATORS = ("\n\n###\n\n", "\n\n===\n\n", "\n\n---\n\n", "\n\n##==##\n\n")
MOST_ODD = 0.5  # an edge that fewer rows than this lack is expected of all
# What may mark the end of a prompt, however its sentences end: signs (###, ->), or a line such as "Answer:".
_END_MARK = re.compile(r"(?:(?:\n{1,2}|[ ]?)[#=\-*<>|~]{2,}|\n{1,2}[^\n]{0,24}\w[:：>\]])\s*\Z")
_MARK_WITHIN = 64  # characters of the end
MOST_MARKS = 1_000  # told apart; the mark of most rows is among the first


class SharedEdge:
    """The longest beginning (or end) that all texts seen have in common."""

    def __init__(self, *, at_end: bool) -> None:
        self._at_end = at_end
        self._shared: str | None = None
        self.seen = 0

    def see(self, text: str) -> None:
        self.seen += 1
        edge = text[-_KEPT:][::-1] if self._at_end else text[:_KEPT]
        self._shared = edge if self._shared is None else os.path.commonprefix([self._shared, edge])

    @property
    def text(self) -> str:
        """Empty where too few texts were seen to say."""
        shared = (self._shared or "") if self.seen >= LEAST_ROWS else ""
        return shared[::-1] if self._at_end else shared


class SharedEdges(Look):
    """What all prompts begin with, or all answers begin or end with, teaches nothing and costs tokens."""

    fixes = ("strip_prompt_prefix", "strip_answer_prefix", "strip_answer_suffix")

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        self._edges = {
            "prompt_prefix": SharedEdge(at_end=False),
            "answer_prefix": SharedEdge(at_end=False),
            "answer_suffix": SharedEdge(at_end=True),
        }
        self._lengths = {"prompt_prefix": 0, "answer_prefix": 0, "answer_suffix": 0}

    def see(self, index: int, unit: Unit) -> None:
        self._see("prompt_prefix", unit.messages[-1]["content"])
        for answer in unit.answers:
            self._see("answer_prefix", answer)
            self._see("answer_suffix", answer)

    def _see(self, name: str, text: str) -> None:
        self._edges[name].see(text)
        self._lengths[name] = max(self._lengths[name], len(text))

    def _shared(self, name: str) -> str:
        """Whole words of the shared edge; nothing where all texts are the same."""
        text = self._edges[name].text
        if self._lengths[name] <= len(text):
            return ""
        if name == "answer_suffix":
            text = text[text.find(" ") + 1 :] if " " in text else ""
            return text if len(_without_stop(text).strip()) >= LEAST_SHARED else ""
        end = max(text.rfind(" "), text.rfind("\n")) + 1
        return text[:end] if len(text[:end].strip()) >= LEAST_SHARED else ""

    def findings(self) -> list[Finding]:
        found = []
        for name, edge in self._edges.items():
            if shared := self._shared(name):
                shown = _without_stop(shared) if name == "answer_suffix" else shared
                values = {"text": shown[:100].replace("\n", "⏎")}
                finding = Finding(
                    f"shared_{name}", "info", edge.seen, range(5), [], values, (f"strip_{name}",)
                )
                found.append(finding)
        return found

    def repairs(self) -> dict[str, Fix]:
        prompt, answer, end = (self._shared(name) for name in self._edges)
        fixes: dict[str, Fix] = {}
        if prompt:
            fixes["strip_prompt_prefix"] = Change(
                lambda unit: unit.with_last_turn(lambda text: _left(text.removeprefix(prompt), text))
            )
        if answer:
            fixes["strip_answer_prefix"] = Change(
                lambda unit: unit.rewritten(answer=lambda text: _left(text.removeprefix(answer), text))
            )
        if end:
            mark = end[len(_without_stop(end)) :]  # the words go, what tells a model to stop stays
            fixes["strip_answer_suffix"] = Change(
                lambda unit: unit.rewritten(answer=lambda text: _left(text.removesuffix(end), text, mark))
            )
        return fixes


def _left(stripped: str, text: str, mark: str = "") -> str:
    """What is left, and the mark again if it went with the edge. A text that would become empty stays as it
    was: the edge is all it says."""
    return stripped + mark * (stripped != text) if stripped.strip() else text


def _without_stop(text: str) -> str:
    """
    >>> _without_stop("and so on.###\\n"), _without_stop("and so on.")
    ('and so on.', 'and so on.')
    """
    stop = stop_of(text)
    return text.rstrip().removesuffix(stop) if stop else text


class Marks(Look):
    """Of plain prompt/completion rows: a mark at the end of all prompts, one way for answers to begin, one
    way to stop."""

    fixes = ("mark_prompt_ends", "lead_with_blank", "mark_answer_ends")

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        self._prompt_end = SharedEdge(at_end=True)
        self._marks: Counter = Counter()  # prompts by the mark they end with …
        self._mark_rows: dict[str, list[int]] = {}  # … and the first rows of each
        self._used: set[str] = set()
        self._stops: Counter = Counter()
        self._leads = {False: 0, True: 0}  # answers by whether they begin with a blank …
        self._lead_rows: dict[bool, list[int]] = {False: [], True: []}  # … and the first rows of each
        self._without_stop: dict[str, list[int]] = {mark: [] for mark in STOP_MARKS}
        self._answers = 0

    def see(self, index: int, unit: Unit) -> None:
        prompt = unit.messages[-1]["content"]
        self._prompt_end.see(prompt)
        ends = _END_MARK.search(prompt[-_MARK_WITHIN:])
        mark = ends[0] if ends else ""
        if mark not in self._mark_rows and len(self._mark_rows) >= MOST_MARKS:
            mark = ""
        self._marks[mark] += 1
        _note(self._mark_rows.setdefault(mark, []), index)
        self._used.update(each for each in SEPARATORS if each.strip() in prompt)
        if not unit.is_demonstration:
            return
        answer = unit.answers[0]
        self._answers += 1
        lead = answer[:1].isspace()
        self._leads[lead] += 1
        _note(self._lead_rows[lead], index)
        stop = stop_of(answer)
        self._stops[stop] += 1
        for mark, rows in self._without_stop.items():
            if mark != stop:
                _note(rows, index)

    def _stop(self) -> str:
        mark, count = self._stops.most_common(1)[0] if self._stops else ("", 0)
        return mark if count > MOST_ODD * self._answers else ""

    def findings(self) -> list[Finding]:
        return [*self._end_findings(), *self._start_findings(), *self._stop_findings()]

    def _end_mark(self) -> str:
        """What more than half of the prompts end with, and the others should."""
        marks = [(count, mark) for mark, count in self._marks.items() if mark]
        count, mark = max(marks, default=(0, ""))
        seen = self._prompt_end.seen
        return mark if seen >= LEAST_ROWS and count > MOST_ODD * seen else ""

    def _end_findings(self) -> list[Finding]:
        count, rows, values = self._prompt_end.seen, list(range(5)), {}
        if not self.options.is_plain or count < LEAST_ROWS or self._prompt_end.text.strip():
            return []
        if mark := self._end_mark():
            count -= self._marks[mark]
            rows = sorted(row for other, held in self._mark_rows.items() if other != mark for row in held)[:5]
            values = {"mark": mark.strip()}
        return [Finding("prompt_ends", "warning", count, rows, [], values, ("mark_prompt_ends",))]

    def _start_findings(self) -> list[Finding]:
        without, with_blank = self._leads[False], self._leads[True]
        if not self.options.is_plain or not without or not self._answers:
            return []
        values = {"with": with_blank, "without": without}
        if with_blank:
            rows = self._lead_rows[with_blank < without]
            count = min(with_blank, without)
            return [Finding("answer_starts", "warning", count, rows, [], values, ("lead_with_blank",))]
        return [
            Finding("answer_leads", "info", without, self._lead_rows[False], [], values, ("lead_with_blank",))
        ]

    def _stop_findings(self) -> list[Finding]:
        mark = self._stop()
        if mark:
            lacking = self._answers - self._stops[mark]
            values = {"mark": mark}
            rows = self._without_stop[mark]
            return (
                [Finding("answer_stops", "warning", lacking, rows, [], values, self.fixes[2:])]
                if lacking
                else []
            )
        if self.options.is_plain and self._answers >= LEAST_ROWS:
            values = {"mark": STOP_MARKS[0]}
            fixes = self.fixes[2:]
            return [Finding("no_stops", "info", self._answers, range(5), [], values, fixes)]
        return []

    def repairs(self) -> dict[str, Fix]:
        unused = next((each for each in SEPARATORS if each not in self._used), SEPARATORS[0])
        separator = self._end_mark() or unused
        mark = self._stop() or STOP_MARKS[0]

        def stopped(answer: str) -> str:
            return answer if answer.rstrip().endswith(mark) else f"{answer.rstrip()}{mark}"

        def led(answer: str) -> str:
            return answer if answer[:1].isspace() else f" {answer}"

        def ended(prompt: str) -> str:
            if prompt.endswith(separator):
                return prompt
            return f"{prompt.rstrip().removesuffix(separator.strip()).rstrip()}{separator}"

        return {
            "mark_prompt_ends": Change(lambda unit: unit.with_last_turn(ended)),
            "lead_with_blank": Change(lambda unit: unit.rewritten(answer=led)),
            "mark_answer_ends": Change(lambda unit: unit.rewritten(answer=stopped)),
        }


def _note(rows: list[int], index: int) -> None:
    if len(rows) < 5:
        rows.append(index)


def stop_of(answer: str) -> str:
    """The stop mark that an answer ends with, or "".

    >>> stop_of("Paris.<|endoftext|>"), stop_of("The END"), stop_of("WEEKEND"), stop_of("Paris.")
    ('<|endoftext|>', 'END', '', '')
    """
    rest = answer.rstrip()
    for mark in STOP_MARKS:
        if rest.endswith(mark) and not (mark.isalpha() and rest[-len(mark) - 1 : -len(mark)].isalpha()):
            return mark
    return ""
