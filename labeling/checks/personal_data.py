"""Personal data in a text: e-mail addresses, phone and card numbers, bank accounts (IBAN), IP addresses.

Rules instead of a model: quick enough for each pause in typing, and a person can see why something was found.
Numbers with a checksum are found only where it holds (card: Luhn, IBAN: mod 97), so that figures in an
answer are left alone. Names are looked for only where that is asked for, since rules tell them less surely;
postal addresses cannot be told by rules and are not looked for.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterator

from .finding import Finding
from .names import name_places

MESSAGES = {
    "email": "Looks like an e-mail address.",
    "iban": "Looks like a bank account number (IBAN).",
    "card": "Looks like a payment card number.",
    "ip": "Looks like an IP address.",
    "phone": "Looks like a phone number.",
    "name": "Looks like a person's name.",
}

# Bounded repeats everywhere: no input makes them slow.
_EMAIL = re.compile(
    r"(?<![\w.%+-])[\w.%+-]{1,64}@(?:[^\W_](?:[\w-]{0,61}[^\W_])?\.){1,8}"
    r"(?:xn--[a-z0-9-]{2,59}|[^\W\d_]{2,63})\b",
    re.I,
)
_IBAN = re.compile(r"(?<![A-Z0-9])[A-Z]{2}\d{2}(?:[ -]?[A-Z0-9]){10,30}(?![A-Z0-9])", re.I | re.A)
_CARD = re.compile(r"(?<![\d.,+-])\d(?:[ -]?\d){11,18}(?![\d]|[.,-]\d)", re.A)
_IPV4 = re.compile(r"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?!\.?\w)", re.A)
_IPV6 = re.compile(
    r"(?<![\w:.])(?:[0-9a-f]{0,4}:){2,7}(?:[0-9a-f]{1,4}|(?:\d{1,3}\.){3}\d{1,3})?(?![\w:])", re.I | re.A
)
# Straight after a colon a number is one of a phone only where that is said, or where it has a "+".
_CALLED = "tel, tel., fon, phone, fax, mobil, mobile, cell, handy, ruf, rufnummer, fonnummer, phone number"
_BEGINS = (
    r"(?=[+(\d])(?:(?<![\w.,/:#$€£%+-])|(?<=:)(?=\+)|"
    + "|".join(f"(?<={re.escape(word)}:)" for word in _CALLED.split(", "))
    + ")"
)
_PHONE = re.compile(
    _BEGINS + r"\+?(?:\d{1,5}[ .-]?)?(?:\(\d{1,5}\)[ .-]?)?\d(?:[ .-]?\d){3,18}"
    r"(?:[ ]?(?:x|ext\.?)[ ]?\d{1,6})?(?![\w%€£$]|[.,:/-]\d)",
    re.I | re.A,
)
# As German numbers are often written: the area code and a stroke, 030/901820.
_SLASHED = re.compile(
    _BEGINS + r"(?:\+\d{1,3}[ ]?(?:\(0\)[ ]?)?|0)[1-9]\d{1,4}[ ]?/[ ]?(\d(?:[ -]?\d){4,9})"
    r"(?![\w%€£$/]|[.,:-]\d)",
    re.I | re.A,
)
_DATE = re.compile(r"(?:\d{4}[-. ]\d{1,2}[-. ]\d{1,2}|\d{1,2}[-. ]\d{1,2}[-. ](?:\d{4}|\d{2}))\Z", re.A)
_YEARS = re.compile(r"(?:1[0-9]|20)\d\d(?:[ ]?-[ ]?(?:1[0-9]|20)\d\d)\Z", re.A)
_THOUSANDS = re.compile(r"\d{1,3}(?:[ .]\d{3})+\Z", re.A)
# Read as the signs that people take them for: full-width ones, blanks that do not break, hyphens.
_AS_READ = {wide: wide - 0xFEE0 for wide in range(0xFF01, 0xFF5F)} | {0xFE6B: "@", 0x2010: "-", 0x2011: "-"}
_AS_READ |= dict.fromkeys((0xA0, *range(0x2000, 0x200B), 0x202F, 0x205F, 0x3000), " ")
_UNSEEN = "\u00ad\u180e\u200b\u200c\u200d\u2060\ufeff"  # of no width: nobody sees them amid a number
_TO_BE_FOLDED = re.compile(f"[{_UNSEEN}{''.join(map(chr, _AS_READ))}]")
# Lengths of IBANs by country (ISO 13616 registry); a country not listed here is not one.
_IBAN_LENGTHS = {
    name: int(length)
    for name, length in re.findall(
        r"([A-Z]{2})(\d\d)",
        "AD24AE23AL28AT20AZ28BA20BE16BG22BH22BI27BR29BY28CH21CR22CY28CZ24DE22DJ27DK18DO28EE20EG29ES24FI18FK18FO18FR27"
        "GB22GE22GI23GL18GR27GT28HN28HR21HU28IE22IL23IQ23IS26IT27JO30KW30KZ20LB28LC32LI21LT20LU20LV21LY25MC27MD24ME22"
        "MK19MN20MR27MT31MU30NI28NL18NO15OM23PK24PL28PS29PT25QA29RO24RS22RU33SA24SC31SD18SE24SI19SK24SM27SO23ST25SV28"
        "TL23TN24TR26UA29VA22VG24XK20YE30",
    )
}


def find_personal_data(text: str, *, names: bool = False) -> list[Finding]:
    """Every stretch that looks like personal data, in order; where kinds overlap, the surer one.

    `names`: also people's names, as far as rules tell them (names.py).
    """
    taken: list[tuple[int, int]] = []
    found: list[Finding] = []
    readings = _readings(text)

    def take(kind: str, spans: Iterator[tuple[int, int]]) -> None:
        for start, end in spans:
            if not any(start < other_end and other_start < end for other_start, other_end in taken):
                taken.append((start, end))
                found.append(Finding(start, end, kind, MESSAGES[kind]))

    for kind, places in _KINDS:
        for read, at in readings:
            take(kind, places(read) if at is None else ((at[a], at[b - 1] + 1) for a, b in places(read)))
    if names:
        take("name", name_places(text))
    return sorted(found, key=lambda each: each.start)


def _readings(text: str) -> list[tuple[str, list[int] | None]]:
    """The text as it is looked at, and where its characters stand where that is not the same: without
    those that nobody sees, and with them, for they may part a word from a number too."""
    if text.isascii() or not _TO_BE_FOLDED.search(text):
        return [(text, None)]
    folded = text.translate(_AS_READ)
    at = [place for place, character in enumerate(folded) if character not in _UNSEEN]
    if len(at) == len(folded):
        return [(folded, None)]
    return [("".join(folded[place] for place in at), at), (folded, None)]


def is_luhn(digits: str) -> bool:
    """Every second digit from the right doubled, their digits summed: a multiple of ten."""
    total = 0
    for index, digit in enumerate(reversed(digits)):
        value = int(digit) * (1 + index % 2)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


def is_iban(text: str) -> bool:
    """Country and length known, and 1 left over when the rearranged number is divided by 97."""
    if _IBAN_LENGTHS.get(text[:2].upper()) != len(text):
        return False
    moved = text[4:] + text[:4]
    return int("".join(str(int(character, 36)) for character in moved)) % 97 == 1


def _emails(text: str) -> Iterator[tuple[int, int]]:
    if "@" in text:
        for match in _EMAIL.finditer(text):
            yield match.span()


def _ibans(text: str) -> Iterator[tuple[int, int]]:
    for match in _IBAN.finditer(text):
        # A word after it ("… 819 please") may look like more of it: take as much as its country has.
        length = _IBAN_LENGTHS.get(match[0][:2].upper(), 0)
        kept, end = "", 0
        while end < len(match[0]) and len(kept) < length:
            kept += match[0][end] if match[0][end].isalnum() else ""
            end += 1
        ends_there = end == len(match[0]) or not match[0][end].isalnum()
        if ends_there and is_iban(kept):
            yield match.start(), match.start() + end


def _cards(text: str) -> Iterator[tuple[int, int]]:
    for match in _CARD.finditer(text):
        digits = re.sub(r"\D", "", match[0])
        # Issuers' first digits; a number of one digit repeated passes Luhn and is nobody's.
        is_issued = digits[0] in "23456" or digits.startswith("1800")
        if is_issued and len(set(digits)) > 1 and is_luhn(digits) and _is_grouped_as_card(match[0]):
            yield match.span()


def _is_grouped_as_card(number: str) -> bool:
    """In one run, in fours, or 4-6-5 as American Express prints it: "2000000-400000" is a sum."""
    lengths = [len(group) for group in re.findall(r"\d+", number)]
    fours = all(length == 4 for length in lengths[:-1]) and lengths[-1] <= 7
    return len(lengths) == 1 or fours or lengths[:2] == [4, 6]


def _addresses(text: str) -> Iterator[tuple[int, int]]:
    for pattern in (_IPV4, _IPV6) if ":" in text else (_IPV4,):
        for match in pattern.finditer(text):
            try:
                address = ipaddress.ip_address(match[0])
            except ValueError:
                continue  # 300.1.1.1, or a time of the day
            # 127.0.0.1 and :: say nothing of anybody.
            if not (address.is_loopback or address.is_unspecified) and len(match[0]) > 4:
                yield match.span()


def _phones(text: str) -> Iterator[tuple[int, int]]:
    for match in _SLASHED.finditer(text) if "/" in text else ():
        number = match[1]
        if not _DATE.match(number) and len(set(re.sub(r"\D", "", number))) > 1:
            yield match.span()
    for match in _PHONE.finditer(text):
        if _is_phone(match[0]):
            yield match.span()


def _is_phone(shown: str) -> bool:
    """International, or 7 to 13 digits in groups as people write a number, and neither date nor amount."""
    number = re.split(r"x|ext", shown, flags=re.I)[0].strip()
    digits = re.sub(r"\D", "", number)
    if not 7 <= len(digits) <= 15 or len(set(digits)) == 1:
        return False
    if number.startswith("+") or (number.startswith("00") and len(digits) >= 9):
        return len(digits) >= 8
    if _DATE.match(number) or _YEARS.match(number) or _THOUSANDS.match(number):
        return False
    return _is_grouped_as_phone(number, re.findall(r"\d+", number))


def _is_grouped_as_phone(number: str, groups: list[str]) -> bool:
    """Whether a number without a country code is written as people write phone numbers, not as sums are."""
    lengths = [len(group) for group in groups]
    separators = set(re.findall(r"[ .-]", number))
    if len(groups) == 1:
        # One run of digits: of national length and with the zero people dial first.
        return number.startswith("0") and 9 <= lengths[0] <= 12
    if sum(lengths) > 13 or "(" in number:
        return sum(lengths) <= 13
    if lengths == [3, 3, 4] and len(separators) == 1:
        return True
    if len(separators) > 1 or min(lengths[1:]) < 2:
        return False  # "3 - 5 000", a list of small figures
    if number.startswith("0"):
        return len(groups) >= 3 or (sum(lengths) >= 9 and separators != {"."})
    # "99-12-5" is a sum and "43 73313" a place: without a leading zero only three groups and more, in blanks.
    return separators == {" "} and len(groups) >= 3 and sum(lengths) >= 8


_KINDS: tuple[tuple[str, Callable[[str], Iterator[tuple[int, int]]]], ...] = (
    ("email", _emails),
    ("iban", _ibans),
    ("card", _cards),
    ("ip", _addresses),
    ("phone", _phones),
)
