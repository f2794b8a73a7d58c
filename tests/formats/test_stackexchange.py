"""Posts.xml of a Stack Exchange dump: answers ranked by their votes; XML's dangers refused."""

from __future__ import annotations

import io
from html import escape

import pytest

from labeling.formats import Limits, detect
from labeling.formats.stackexchange import html_to_text

from .making import read, refusal


def post(number, kind, body, score=0, **more):
    names = {"Id": number, "PostTypeId": kind, "Score": score, "Body": body, **more}
    return "<row " + " ".join(f'{name}="{escape(str(value))}"' for name, value in names.items()) + " />"


def dump(*posts, head='<?xml version="1.0" encoding="utf-8"?>\r\n'):
    return ("\ufeff" + head + "<posts>\r\n" + "\r\n".join(posts) + "\r\n</posts>").encode()


POSTS = dump(
    post(1, 1, "<p>Which <em>yeast</em>?</p>", 9, Title="Yeast", AcceptedAnswerId=3, Tags="<beer>"),
    post(2, 2, "<p>Ale</p>", 3, ParentId=1),
    post(3, 2, "<p>Wild</p>", -1, ParentId=1),
    post(4, 2, "<p>Lager</p>", 3, ParentId=1),
    post(5, 5, "About beer"),
    post(6, 1, "<p>Alone?</p>", 0, Title="Alone"),
    post(7, 2, "<p>Yes</p>", 0, ParentId=6),
    post(8, 2, "<p>Lost</p>", 0, ParentId=99),
)


def test_answers_are_ranked_by_votes_wherever_they_stand():
    ranked, alone = read(POSTS, "Posts.xml", "completions")
    assert ranked.messages[0]["content"] == "Yeast\n\nWhich yeast?"
    assert [(c.text, rank) for c, rank in zip(ranked.completions, ranked.ranks, strict=True)] == [
        ("Ale", 1), ("Wild", 2), ("Lager", 1),
    ]  # fmt: skip
    assert (alone.tiers, ranked.metadata) == (None, {"id": "1", "tags": "<beer>", "votes": 9})


def test_the_accepted_answer_is_the_demonstration():
    assert [record.text for record in read(POSTS, "Posts.xml")] == ["Wild", "Yes"]


def test_one_answer_is_no_comparison_and_names_its_row():
    error = refusal(POSTS, "Posts.xml", "comparisons")
    assert (error.row, "only one answer" in str(error)) == (6, True)


def test_it_is_told_by_its_content():
    seen = detect(io.BytesIO(POSTS), filename="export")
    assert (seen.format, seen.shape, seen.kinds[0]) == (
        "stackexchange", "question and answers with votes", "completions",
    )  # fmt: skip


def test_a_document_type_is_refused_before_an_entity_is_expanded():
    head = '<?xml version="1.0"?><!DOCTYPE posts [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>'
    for data in (dump(head=head), dump(head='<!DOCTYPE posts SYSTEM "file:///etc/passwd">')):
        assert "XML document" in str(refusal(data, "Posts.xml", "completions")) or "document type" in str(
            refusal(data, "Posts.xml", "completions", format="stackexchange")
        )
        assert "document type" in str(refusal(data, "Posts.xml", "completions", format="stackexchange"))


@pytest.mark.parametrize(
    ("data", "piece"),
    [
        (POSTS[:-20], "not XML at line"),
        (dump("<row Id=1 />"), "not XML at line"),
        (dump(post(1, 1, "x", "many", Title="t")), "field Score: must be a whole number"),
        (b"<?xml version='1.0'?><rows><row/></rows>", "XML document"),
        (dump(), "nothing to import"),
        (POSTS.replace(b"Which", b"Wh\xffch"), "not XML at line"),
    ],
)
def test_a_faulty_dump_is_refused(data, piece):
    assert piece in str(refusal(data, "Posts.xml", "completions"))


def test_posts_are_bounded_one_by_one_and_together():
    long = dump(post(1, 1, "x" * 3_000, Title="t"), post(2, 1, "y", Title="u"))
    assert "limit of one record" in str(
        refusal(long, "Posts.xml", "prompts", limits=Limits(max_line_bytes=1_000))
    )
    many = dump(*(post(n, 1, "x", Title="t") for n in range(50)))
    assert "characters of posts" in str(
        refusal(many, "Posts.xml", "prompts", limits=Limits(max_grouped_characters=10_000))
    )


def test_html_becomes_the_text_that_people_read():
    html = (
        '<p>See <a href="https://example.org/a">this</a> &amp; <b>that</b>:</p>\n<ul>\n<li>one</li>\n'
        "<li>two</li>\n</ul>\n"
        "<pre><code>if x:\n    y()\n</code></pre><p>1 &lt; 2<br>end</p><script>no()</script>"
    )
    assert html_to_text(html) == (
        "See this (https://example.org/a) & that:\n\n- one\n- two\n\nif x:\n    y()\n\n1 < 2\nend\n\nno()"
    )
