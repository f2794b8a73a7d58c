"""Personal data: found with its stretch, and figures that are none left alone. All examples are invented."""

from __future__ import annotations

import time

import pytest

from labeling.checks import find_personal_data
from labeling.checks.personal_data import is_iban, is_luhn


def found(text: str) -> list[tuple[str, str]]:
    return [(each.kind, text[each.start : each.end]) for each in find_personal_data(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Write to ann.lee+x@mail.example.org.", [("email", "ann.lee+x@mail.example.org")]),
        ("Jürgen@bücher.example, please", [("email", "Jürgen@bücher.example")]),
        ("Card 4111 1111 1111 1111, thanks", [("card", "4111 1111 1111 1111")]),
        ("378282246310005", [("card", "378282246310005")]),
        ("3782 822463 10005", [("card", "3782 822463 10005")]),
        ("IBAN GB82 WEST 1234 5698 7654 32 please pay", [("iban", "GB82 WEST 1234 5698 7654 32")]),
        ("de89370400440532013000", [("iban", "de89370400440532013000")]),
        ("from 203.0.113.7:8080", [("ip", "203.0.113.7")]),
        ("host 2001:db8::ff00:42:8329 up", [("ip", "2001:db8::ff00:42:8329")]),
        ("Call +46 (0)8 928 571 38 now", [("phone", "+46 (0)8 928 571 38")]),
        ("Call 555-867-5309.", [("phone", "555-867-5309")]),
        ("(212) 555-0187 x12", [("phone", "(212) 555-0187 x12")]),
        ("tél. 03.93.92.16.85", [("phone", "03.93.92.16.85")]),
        ("0490 75 40 81", [("phone", "0490 75 40 81")]),
        ("🦀 a@b.org", [("email", "a@b.org")]),
        ("tel:+4930901820", [("phone", "+4930901820")]),
        ('<a href="tel:+49-30-901820">', [("phone", "+49-30-901820")]),
        ("Tel.:030-901820", [("phone", "030-901820")]),
        ("Tel:030 901820, abends", [("phone", "030 901820")]),
        ("Telefon 030/901820.", [("phone", "030/901820")]),
        ("At 10:30:45 0170 1234567 rang", [("phone", "0170 1234567")]),
        ("Telefonnummer:030/901820", [("phone", "030/901820")]),
        ("mobil 0170/1234567", [("phone", "0170/1234567")]),
        ("0170/123 45 67", [("phone", "0170/123 45 67")]),
        ("Fax:+49 30/901820", [("phone", "+49 30/901820")]),
        ("an ada\uff20example.org schreiben", [("email", "ada\uff20example.org")]),
        (
            "ada\uff20\uff45\uff58\uff41\uff4d\uff50\uff4c\uff45\uff0eorg",
            [("email", "ada\uff20\uff45\uff58\uff41\uff4d\uff50\uff4c\uff45\uff0eorg")],
        ),
        ("4111\u200b1111\u200b1111\u200b1111", [("card", "4111\u200b1111\u200b1111\u200b1111")]),
        ("4\u2060111111111111111 ok", [("card", "4\u2060111111111111111")]),
        ("4111\u00a01111\u00a01111\u00a01111", [("card", "4111\u00a01111\u00a01111\u00a01111")]),
        ("a\u200bda@exam\u200bple.org", [("email", "a\u200bda@exam\u200bple.org")]),
    ],
)
def test_it_is_found_where_it_stands(text, expected):
    assert found(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "On 2024-05-17 and 17.05.2024 and 1914-1918 it was 12.5 degrees.",
        "There are 1 234 567 of them, 1.234.567 in all, 3,000,000 more, 14.285714285 on average.",
        "100-50-30-15 = 5, 450000-2000, 2000000-400000, 1+1, 5/7/9",
        "Version 1.2.3, at 10:30:45, ratio 16:9, 300.1.1.1 and 127.0.0.1",
        "4111 1111 1111 1112 is off by one; 0000000000000000 is nobody's",
        "GB82 WEST 1234 5698 7654 33 is off by one",
        "Use @decorator, a@b, 10 @ 5.00 and @mention.",
        "1, 2, 3, 4, 5, 6, 7, 8, 9",
        "1 2 3 4 5 6 7 8 9",
        "ISBN page 12345678",
        "On 05/17/2024 and 17/05/2024, 2023/2024, 01/02, 1/2, 03/04/05 it was so.",
        "0/1234567 and 1/3 of 22/7, 100/200, 05/2024, 0170/12, 0123/456/789, 12/0170",
        "Seite 030/2024 und 007/2023, Az. 012/1999, 0001/0002",
        "a:1234567, key:4930901820, urn:isbn:0451450523, 1:030, at 10:30-11:45",
        "v0.30/901820, /030/901820/x, path/030/901820, x030/901820, 030/901820.5",
        "ratio:0.1234567, port:8080, order number:0123456789, total:1234567890, :0123",
        "4111\u200b1111\u200b1111\u200b1112 is off by one",
        "\uff20decorator and a\uff20b",
    ],
)
def test_figures_that_are_nobodys_are_left_alone(text):
    assert found(text) == []


def test_luhn_by_hand():
    # 79927398713: doubled from the right 1·,2→2 … the sum is 70.
    assert is_luhn("79927398713")
    assert not any(is_luhn(f"7992739871{digit}") for digit in "012456789")


def test_iban_by_hand():
    # GB82WEST…: letters as 10–35, first four moved to the end, remainder 1 when divided by 97.
    assert int("3214282912345698765432161182") % 97 == 1
    assert is_iban("GB82WEST12345698765432")
    assert not is_iban("GB82WEST1234569876543")
    assert not is_iban("XX82WEST12345698765432")


@pytest.mark.parametrize("piece", ["1 2-3 ", "9", "a.@", "1:", "DE12 ", "a@a.", "(1)", "+"])
def test_no_input_makes_it_slow(piece):
    begun = time.perf_counter()
    find_personal_data(piece * (200_000 // len(piece)))
    assert time.perf_counter() - begun < 5
