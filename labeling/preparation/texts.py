"""Findings that a text shows by itself: nothing in it, too long, all capitals, personal data."""

from __future__ import annotations

import dataclasses
import re
from array import array
from collections import Counter

from labeling.checks.personal_data import find_personal_data

from .finding import Change, Drop, Finding, Fix, Look, Options
from .units import Unit

# What stands at the end of a completion for "here it stops" in files made for plain language models.
STOP_MARKS = ("<|endoftext|>", "<|im_end|>", "<|eot_id|>", "</s>", "###", "END", "[EOS]")
UPPER_SHARE, UPPER_LETTERS = 0.8, 20
# Words of three letters and more: notes (D-C-B-A), truth tables and initials are rightly in capitals.
_WORDS = re.compile(r"[^\W\d_]{3,}")

_LIKELY = re.compile(r"[@＠﹫\d]|::")  # without any of these there is nothing that the detector could find


class EmptyAnswers(Look):
    """Answers that hold nothing but blanks, punctuation or a stop mark; a number or a word is an answer."""

    fixes = ("drop_empty_answers",)

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        self._rows = array("Q")

    def see(self, index: int, unit: Unit) -> None:
        if any(is_empty(answer) for answer in unit.answers):
            self._rows.append(index)

    def findings(self) -> list[Finding]:
        count = len(self._rows)
        return [Finding("empty_answers", "error", count, self._rows, fixes=self.fixes)] if count else []

    def repairs(self) -> dict[str, Fix]:
        return {"drop_empty_answers": Drop(self._rows)}


def is_empty(answer: str) -> bool:
    """
    >>> is_empty(" <|endoftext|>"), is_empty("…"), is_empty("7"), is_empty("No."), is_empty("👍")
    (True, True, False, False, False)
    """
    rest = answer.strip()
    for mark in STOP_MARKS:
        rest = rest.removesuffix(mark).strip()
    return not rest.strip(".,;:!?-–—_…\"'`*#|\u200b\ufeff ")


class Lengths(Look):
    """Rows longer than the context of the model: what does not fit is cut off, and the end not learnt."""

    fixes = ("drop_over_long",)

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        self._rows = array("Q")
        self._longest = 0

    def see(self, index: int, unit: Unit) -> None:
        # Each completion is read with the prompt before it, so the one of most tokens decides.
        most = max([self._tokens(unit.prompt, answer) for answer in unit.answers or ("",)])
        self._longest = max(self._longest, most)
        if most > self.options.context:
            self._rows.append(index)

    def _tokens(self, prompt: str, answer: str) -> int:
        if len(prompt) + len(answer) <= self.options.context // 4:
            return 0  # no tokenizer makes more than four tokens of a character
        return self.options.count_tokens(f"{prompt}\n{answer}")

    def findings(self) -> list[Finding]:
        values = {"context": self.options.context, "longest": self._longest}
        count = len(self._rows)
        return [Finding("over_long", "warning", count, self._rows, [], values, self.fixes)] if count else []

    def repairs(self) -> dict[str, Fix]:
        return {"drop_over_long": Drop(self._rows)}


class UpperCase(Look):
    """Texts in capitals: most of the letters of a prompt or an answer of some length."""

    fixes = ("lower_upper_case", "drop_upper_case")

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        self._rows = array("Q")

    def see(self, index: int, unit: Unit) -> None:
        texts = [message["content"] for message in unit.messages]
        if any(is_shouted(text) for text in (*texts, *unit.answers)):
            self._rows.append(index)

    def findings(self) -> list[Finding]:
        count = len(self._rows)
        return [Finding("upper_case", "warning", count, self._rows, fixes=self.fixes)] if count else []

    def repairs(self) -> dict[str, Fix]:
        def lowered(text: str) -> str:
            return text.lower() if is_shouted(text) else text

        change = Change(lambda unit: unit.rewritten(prompt=lowered, answer=lowered))
        return {"lower_upper_case": change, "drop_upper_case": Drop(self._rows)}


def is_shouted(text: str) -> bool:
    """
    >>> is_shouted("WHY DOES NOBODY EVER ANSWER ME"), is_shouted("The NASA and the ESA")
    (True, False)
    """
    if sum(map(str.isupper, text)) < UPPER_LETTERS:  # most texts, told cheaply
        return False
    upper = sum(map(str.isupper, "".join(_WORDS.findall(text))))
    return upper >= UPPER_LETTERS and upper >= UPPER_SHARE * sum(map(str.isalpha, text))


class PersonalData(Look):
    """E-mail, phone, card, IBAN and IP addresses, as the checks of answers find them: in the texts and in
    what stands beside them."""

    fixes = ("mask_personal_data", "drop_personal_data")

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        self._rows = array("Q")
        self._kinds: Counter = Counter()

    def see(self, index: int, unit: Unit) -> None:
        texts = [message["content"] for message in unit.messages]
        likely = [text for text in (*texts, *unit.answers, *unit.beside) if _LIKELY.search(text)]
        kinds = [found.kind for text in likely for found in find_personal_data(text)]
        if kinds:
            self._rows.append(index)
            self._kinds.update(kinds)

    def findings(self) -> list[Finding]:
        if not self._rows:
            return []
        values = {"kinds": dict(self._kinds.most_common())}
        return [Finding("personal_data", "warning", len(self._rows), self._rows, [], values, self.fixes)]

    def repairs(self) -> dict[str, Fix]:
        # What stands beside is counted here; whoever writes the row masks it where it stands.
        def mask(unit: Unit) -> Unit:
            beside = tuple(masked(text) for text in unit.beside)
            return dataclasses.replace(unit.rewritten(prompt=masked, answer=masked), beside=beside)

        return {"mask_personal_data": Change(mask), "drop_personal_data": Drop(self._rows)}


def masked(text: str, *, names: bool = False) -> str:
    """
    >>> masked("Write to ada@example.org or call +49 30 901820.")
    'Write to [email] or call [phone].'
    """
    parts, end = [], 0
    for found in find_personal_data(text, names=names):
        parts += [text[end : found.start], f"[{found.kind}]"]
        end = found.end
    return "".join([*parts, text[end:]])
