from hypothesis import given
from hypothesis import strategies as st

from labeling.textdiff import word_diff


@given(st.text(max_size=60), st.text(max_size=60))
def test_the_pieces_join_to_both_texts(older, newer):
    pieces = word_diff(older, newer)
    assert "".join(p.text for p in pieces if p.kind != "del") == newer
    assert "".join(p.text for p in pieces if p.kind != "ins") == older


def test_a_changed_word_is_taken_out_and_put_in():
    kinds = [(piece.kind, piece.text) for piece in word_diff("a red cat", "a blue cat")]
    assert kinds == [("same", "a "), ("del", "red"), ("ins", "blue"), ("same", " cat")]
