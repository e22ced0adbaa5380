"""Outcome stores of `forking-fast`: a solution of a multiple-choice question, and branches at its tokens.

{"meta": {"question", "answer_letter", "model_id"}, "categories": ["A", …, "Other"],
 "base": {"gen_ids": […], "token_texts": […]}, "idxs": [0, 1, …], "o_t_full": [[share a category], …],
 "branches": [{"t": 0, "tok_id", "tok_p", "is_base", "answers": ["A", …]}, …]}

The value before a token is the share of draws that end in the right letter, each branch weighted by the
probability of its token; the value after it is that of the branch of the solution's own token. An unpacked
store (`zcat row039.json.gz`) is a line. They are read, not written.
"""

from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import Any

from ctm_data.formats.record import (
    NOISE,
    Format,
    Row,
    Step,
    Stepped,
    Unfit,
    at,
    each,
    entries,
    probability,
    text,
)


def _read(row: Row) -> Stepped:
    pieces, ids = entries(row, "base", "token_texts"), entries(row, "base", "gen_ids")
    if len(pieces) != len(ids) or not all(isinstance(piece, str) for piece in pieces):
        raise Unfit("another number of token texts than of tokens")
    if not all(_is_index(token) for token in ids):
        raise Unfit("a token id that is none")
    whole = text({"text": "".join(pieces)}, "text")
    letter = text(row, "meta", "answer_letter")
    categories = entries(row, "categories")
    if letter not in categories:
        raise Unfit("an answer that is no category")
    branches: dict[int, list[Any]] = {}
    for branch in entries(row, "branches"):
        if not _is_index(at(branch, "t")) or at(branch, "t") >= len(ids):
            raise Unfit("a branch that is at no token")
        branches.setdefault(at(branch, "t"), []).append(branch)
    if entries(row, "idxs") != sorted(branches):
        raise Unfit("positions that are not those of the branches")
    curve = at(row, "o_t_full")
    spans = list(pairwise(accumulate(map(len, pieces), initial=0)))
    steps = []
    for number, position in enumerate(sorted(branches)):
        before, after = _values(branches[position], letter, ids[position])
        if curve is not None:
            said = _at(curve, number, categories.index(letter))
            # A difference would overflow where an integer of hundreds of digits is said.
            if not isinstance(said, int | float) or not before - NOISE <= said <= before + NOISE:
                raise Unfit("an o_t_full that does not follow from its branches")
        steps.append(
            Step(*spans[position], value_before=before, value=after, token_id=ids[position])
        )
    model = at(row, "meta", "model_id")
    return Stepped(
        question=text(row, "meta", "question"),
        text=whole,
        steps=tuple(steps),
        answer=letter,
        model=text(row, "meta", "model_id") if model is not None else None,
    )


def _values(branches: Sequence[Any], letter: str, token: int) -> tuple[float, float | None]:
    """The values before the token at a position and after it, None where its own branch is not there."""
    weights = [probability(branch, "tok_p") for branch in branches]
    shares = []
    for branch in branches:
        answers = entries(branch, "answers")
        if not answers:
            raise Unfit("a branch without draws")
        shares.append(sum(answer == letter for answer in answers) / len(answers))
    total = sum(weights)
    if not total:
        raise Unfit("branches without probability")
    before = sum(w * s for w, s in zip(weights, shares, strict=True)) / total
    own = [
        share
        for branch, share in zip(branches, shares, strict=True)
        if at(branch, "is_base") is True and at(branch, "tok_id") == token
    ]
    return before, own[0] if own else None


def _is_index(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**31


def _at(table: Any, *path: int) -> Any:
    """The entry of a table of lists; None where there is none."""
    for index in path:
        table = table[index] if isinstance(table, list) and index < len(table) else None
    return table


def _write(_: Stepped) -> Any:
    raise Unfit("a format that is read, not written")


FORKING_FAST = Format("forking-fast", each(_read), each(_write))
