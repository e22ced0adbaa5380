"""Word classes: the rule in Python, and that the SQL macro is the same rule."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ctm_data.sql.word_class import CLASSES, FUNCTION_WORDS, OPERATORS, word_class, word_class_sql

CASES = {
    "an article": ((" the", " on", " bus"), "function"),
    "at the start of a sentence": (("\nThen", ".", " 4"), "function"),
    "a noun": ((" miles", " 90", "."), "content"),
    "the beginning of a longer word": ((" a", " an", "pple"), "content"),
    "the end of a longer word": (("is", " th", " now"), "content"),
    "a digit": ((" 4", " are", "5"), "number"),
    "an ordinal": (("2nd", " the", " row"), "number"),
    "a minus": ((" -", " 4", " 7"), "operator"),
    "a hyphen": (("-", "twenty", "two"), "punctuation"),
    "a LaTeX command": (("\\frac", "$", "{"), "operator"),
    "a LaTeX command in two tokens": (("frac", "\\", "{"), "operator"),
    "emphasis": (("**", " is ", "so"), "punctuation"),
    "the mark before the answer": (("####", "\n", " 5"), "punctuation"),
    "a line break": (("\n", ".", "The"), "punctuation"),
    "the end of the sequence": (("<eos>", "5", ""), "punctuation"),
    "the end of the sequence as others spell it": (("<|end_of_text|>", "5", ""), "punctuation"),
    "less than": ((" <", "x", " 3"), "operator"),
}


@pytest.fixture(scope="module")
def con():
    import duckdb

    con = duckdb.connect()
    con.execute(word_class_sql())
    return con


@pytest.mark.parametrize("case", CASES)
def test_the_class_of(case):
    (piece, before, after), expected = CASES[case]
    assert word_class(piece, before, after) == expected


pieces = st.one_of(
    st.text(max_size=6),
    st.text(alphabet=" \n\\<>-*'ax2é½" + OPERATORS, max_size=4),
    st.sampled_from(FUNCTION_WORDS).map(lambda word: f" {word}"),
)


@settings(max_examples=40)
@given(rows=st.lists(st.tuples(pieces, pieces, pieces), min_size=1, max_size=60))
def test_the_macro_is_the_same_rule(con, rows):
    rows = [[text.replace("\0", "") for text in row] for row in rows]
    said = con.execute(
        "select word_class(r[1], r[2], r[3]) from (select unnest(?::varchar[][]) as r)", [rows]
    ).fetchall()
    expected = [word_class(*row) for row in rows]
    assert [name for (name,) in said] == expected
    assert set(expected) <= set(CLASSES)


def test_beside_the_text_there_is_nothing(con):
    assert con.execute("select word_class(' the', null, null)").fetchall() == [("function",)]
