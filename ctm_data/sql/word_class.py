"""The class of the word that a token is (part of): the five classes of the paper's table 2.

    function     a whole function word of English: the, of, is, then
    content      any other piece with a letter, parts of longer words included
    number       a piece with a digit
    operator     a sign of arithmetic or comparison, or a LaTeX command
    punctuation  everything else: marks, brackets, blanks, special tokens

Tokens are not words, so the neighbours count: `a` before `pple` is no article, and the hyphen of
`twenty-two` takes nothing away. Source: arXiv 2411.19943, table 2, which names the classes only.
"""

import re
import unicodedata

CLASSES = ("function", "content", "number", "operator", "punctuation")
OPERATORS = "+-−±*×·∙/÷=≠≈≡<>≤≥^√%"
AROUND = ' \t\n\r▁.,;:!?()[]{}"*_$#`–—…'  # what may stand around a word in its piece
FUNCTION_WORDS = tuple(
    """a an the this that these those some any each every both either neither no all another such
    i me my mine we us our ours you your yours he him his she her hers it its they them their theirs
    myself himself herself itself ourselves themselves who whom whose which what one
    and or but nor so yet if then than because since while when where whereas although though unless
    until as whether how why
    of in on at by for with from to into onto upon over under above below between among through during
    before after about against within without toward towards across along behind beside per via out off
    up down
    am is are was were be been being do does did done has have had having will would shall should can
    could may might must let
    not there here too also only just more most less least other same very again
    's 't 're 've 'll 'd 'm n't don't doesn't didn't isn't aren't wasn't weren't can't cannot won't
    it's that's there's let's i'm we're they're""".split()
)


def word_class(piece: str, before: str = "", after: str = "") -> str:
    """The class, one of `CLASSES`, of a token by its `piece` and the pieces beside it."""
    word = piece.strip(AROUND)
    if word.startswith("<") and word.endswith(">") and len(word) > 2:
        return "punctuation"  # a special token, such as the end of the sequence
    if "\\" in piece:
        return "operator"
    if any(unicodedata.category(c).startswith("N") for c in piece):
        return "number"
    if any(c.isalpha() for c in piece):
        if before.endswith("\\") and piece[0].isalpha():
            return "operator"  # the rest of a LaTeX command
        joined = (piece[0].isalpha() and before[-1:].isalpha()) or (
            piece[-1].isalpha() and after[:1].isalpha()
        )
        return "function" if word.lower() in FUNCTION_WORDS and not joined else "content"
    if "**" in piece or (piece == "-" and before[-1:].isalpha()):
        return "punctuation"  # emphasis, a hyphen
    return "operator" if any(c in OPERATORS for c in piece) else "punctuation"


def word_class_sql() -> str:
    """The same function as a DuckDB macro `word_class(piece, before, after)`; beside the text, null."""
    # An IN list so long would be planned as a join, in every query, even one that asks for no class.
    words = _quoted("|".join(re.escape(word) for word in FUNCTION_WORDS))
    signs = re.escape(OPERATORS)
    word = f"trim(piece, {_quoted(AROUND)})"
    after_letter = r"regexp_matches(coalesce(before, ''), '\p{L}\z')"
    before_letter = r"regexp_matches(coalesce(after, ''), '^\p{L}')"
    return rf"""create or replace macro word_class(piece, before, after) as case
        when piece is null then null
        when starts_with({word}, '<') and ends_with({word}, '>') and len({word}) > 2 then 'punctuation'
        when contains(piece, '\') then 'operator'
        when regexp_matches(piece, '\p{{N}}') then 'number'
        when regexp_matches(piece, '\p{{L}}') then case
            when ends_with(coalesce(before, ''), '\') and regexp_matches(piece, '^\p{{L}}') then 'operator'
            when regexp_full_match(lower({word}), {words})
                and not (regexp_matches(piece, '^\p{{L}}') and {after_letter})
                and not (regexp_matches(piece, '\p{{L}}\z') and {before_letter})
                then 'function'
            else 'content' end
        when contains(piece, '**') or (piece = '-' and {after_letter})
            then 'punctuation'
        when regexp_matches(piece, '[{signs}]') then 'operator'
        else 'punctuation' end"""


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
