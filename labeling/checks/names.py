"""People's names in a text, by rules: a listed given name before a surname, a title, or words that introduce.

A given name alone is none: "Paris" and "April" are names too. What is found is a name far more often than
not; names in other scripts, unusual given names without a title and names in small letters are not found. How
often is measured: docs/experiments.md. The list, and where it is from: given_names.md.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

LIST = Path(__file__).with_name("given_names.txt")

_LETTERS = "[A-Za-zÀ-ÖØ-öø-ɏ]+"  # Latin: names in other scripts have no capitals to tell them by
_WORD = rf"[A-ZÀ-ÖØ-ÞĀ-Ž]{_LETTERS}(?:['’-][A-ZÀ-ÖØ-Þ]?{_LETTERS}){{0,2}}"
_PARTICLE = r"(?:(?:van|von|de|den|der|del|della|di|da|dos|du|la|le|bin|al|el|ter|zu)[ ]){1,2}"
_SURNAME = rf"(?:{_PARTICLE})?(?:Mc|Mac|O['’]|D['’])?{_WORD}"
_BETWEEN = r"(?:(?:[A-Z]\.|[A-Z])[ ]){0,2}"
_PAIR = re.compile(rf"(?<![\w@./-])({_WORD})[ ]{_BETWEEN}({_SURNAME})(?![\w@])")
_NEXT = re.compile(rf"[ ]({_SURNAME})(?![\w@])")
_OWNED = re.compile(r"['’]s?\Z")
_NUMBER = re.compile(r",?[ ]\d")  # of a house: "Peter Zuidhove 188"
_TITLE = re.compile(
    r"(?<!\w)(?:Mr|Mrs|Ms|Miss|Mx|Dr|Prof|Professor|Herrn?|Frau|Mme|Mlle|Monsieur|Madame|Señora?|Sra?|Sig|Signora?"
    rf"|Sir)\.?[ ]({_WORD}(?:[ ]{_BETWEEN}{_SURNAME})?)"
)
_INTRODUCED = re.compile(
    r"(?<!\w)(?:[Mm]y name(?: is|['’]s)|(?:her|his|their) name is|I am called|[Nn]amed|[Ii]ch heiße"
    r"|[Mm]ein Name ist|je m['’]appelle|me llamo|mi chiamo|(?:Kind|Best|Warm) regards,|Sincerely,"
    rf"|Yours truly,|Mit freundlichen Grüßen,?)\s{{1,3}}({_WORD}(?:[ ]{_BETWEEN}{_SURNAME})?)"
)
# What stands after a given name, or after the whole, where it is a place, a work or a firm.
_OTHER_THINGS = """
    university college school institute street avenue road square park bridge county city island bay lake
    river mountain hospital airport station stadium museum theatre theater church cathedral prize award
    act law theorem principle effect equation distribution model method algorithm test company
    corporation corp inc ltd group bank foundation center centre medal tower building hall house court
    palace day festival cup league empire party republic revolution war dynasty stone telescope lodge
    restaurant hotel trail drive lane boulevard apt loop series kingdom canyon valley beach the and or of
    in on at is was are were has had said says will would can could i you he she it we they january
    february march april may june july august september october november december monday tuesday
    wednesday thursday friday saturday sunday
"""
_NO_SURNAME = frozenset(_OTHER_THINGS.split())
_PLACES_BEFORE = "uncle aunt grandma grandpa saint santa king queen prince princess lake mount fort port"
_BEFORE = frozenset(_PLACES_BEFORE.split())


def name_places(text: str) -> Iterator[tuple[int, int]]:
    """Where names stand, in order, none within another."""
    found = [match.span(1) for pattern in (_TITLE, _INTRODUCED) for match in pattern.finditer(text)]
    place = 0
    while (match := _PAIR.search(text, place)) is not None:
        place = match.end(1)
        if stop := _end_of_name(match, text):
            found.append((match.start(), stop))
            place = stop
    end = 0
    for start, stop in sorted(found, key=lambda span: (span[0], -span[1])):
        if start >= end:
            yield start, stop - len(owned[0]) if (owned := _OWNED.search(text, start, stop)) else stop
            end = stop


def _end_of_name(match: re.Match[str], text: str) -> int:
    """Where the name ends that begins with a given name; 0 where it is none."""
    first, last, stop = match[1], match[2], match.end()
    given = given_names()
    if first.lower() not in given or first.isupper():
        return 0
    if last.lower() in given and (more := _NEXT.match(text, stop)) and more[1].lower() not in _NO_SURNAME:
        last, stop = more[1], more.end()  # a second given name
    after = _NEXT.match(text, stop)
    if last.split(" ")[-1].lower() in _NO_SURNAME or (after and after[1].lower() in _NO_SURNAME):
        return 0
    before = text[max(0, match.start() - 12) : match.start()].split()
    is_titled = bool(before) and (before[-1].lower() in _BEFORE or before[-1][-1].isdigit())
    return 0 if is_titled or _NUMBER.match(text, stop) or last.isupper() else stop


@lru_cache(maxsize=1)
def given_names() -> frozenset[str]:
    """In small letters."""
    return frozenset(LIST.read_text(encoding="utf-8").split())
