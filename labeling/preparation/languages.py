"""Which language rows are in, and those that are in another than most."""

from __future__ import annotations

from array import array
from collections import Counter

from .finding import Drop, Finding, Fix, Look, Options
from .units import Unit

LEAST_LETTERS = 40  # shorter texts ("Ja.") are in no language that could be told
LOOKED_AT = 400  # characters of a text
SURE = 20.0  # log-probability between the first and the second guess
MAIN_SHARE = 0.6  # below this share there is no main language, and nothing to say

_ONE_IN_WRITING = {
    "wuu": "zh",
    "yue": "zh",
    "nn": "no",
    "nb": "no",
    "zxx": "",
}  # told apart by chance in short texts


class Languages(Look):
    """By the row's own `language` where it names one, else by the text: py3langid, a naive Bayes of character
    sequences trained on 97 languages."""

    fixes = ("drop_other_languages",)

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        self._numbers: dict[str, int] = {"": 0}
        self._of_rows = array("I")  # a file may name more than a short number counts

    def see(self, index: int, unit: Unit) -> None:
        code = unit.language or language_of(unit.text)
        self._of_rows.append(self._numbers.setdefault(code, len(self._numbers)))

    def counts(self) -> dict[str, int]:
        counts = Counter(self._of_rows)
        named = {code: counts[number] for code, number in self._numbers.items() if number in counts}
        return dict(sorted(named.items(), key=lambda item: (-item[1], item[0])))

    def _others(self) -> tuple[str, list[int]]:
        """(main language, rows that are in another for sure)."""
        told = {code: count for code, count in self.counts().items() if code}
        main, count = next(iter(told.items()), ("", 0))
        if count < MAIN_SHARE * sum(told.values()):
            return "", []
        keep = {0, self._numbers[main]}
        return main, [index for index, code in enumerate(self._of_rows) if code not in keep]

    def findings(self) -> list[Finding]:
        main, rows = self._others()
        if not rows:
            return []
        others = {code: n for code, n in self.counts().items() if code not in ("", main)}
        values = {"main": main, "languages": dict(list(others.items())[:10])}
        return [Finding("other_languages", "info", len(rows), rows, [], values, self.fixes)]

    def repairs(self) -> dict[str, Fix]:
        return {"drop_other_languages": Drop(self._others()[1])}


def language_of(text: str) -> str:
    """ISO 639-1 code, or "" where it cannot be told."""
    looked_at = text[:LOOKED_AT]
    if sum(map(str.isalpha, looked_at)) < LEAST_LETTERS * (0.4 if not looked_at.isascii() else 1):
        return ""
    import py3langid  # here: its model takes two seconds and some memory, once somebody asks

    (code, first), (_, second), *_ = py3langid.rank(looked_at)
    return _ONE_IN_WRITING.get(code, code) if first - second >= SURE else ""
