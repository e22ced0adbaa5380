"""What a comparison of typed values comes to."""

from __future__ import annotations

from typing import NamedTuple

from ctm_eval.grading.maths.tree import Tree


class Comparison(NamedTuple):
    """`same` is None when undecided: then `open` holds the pairs of expressions it hangs on.

    `convention` names the rule used beyond identity.
    """

    same: bool | None
    convention: str | None = None
    open: tuple[tuple[Tree, Tree], ...] = ()


DIFFERENT = Comparison(False)
UNDECIDED = Comparison(None)


def by_convention(comparison: Comparison, convention: str) -> Comparison:
    """Return the comparison with the convention noted, if it is equality and has none yet."""
    return Comparison(True, comparison.convention or convention) if comparison.same else comparison


def all_of(comparisons: list[Comparison]) -> Comparison:
    """Return equality if all are equal; one difference decides, whatever is open."""
    if any(comparison.same is False for comparison in comparisons):
        return DIFFERENT
    if any(comparison.same is None for comparison in comparisons):
        pairs = [comparison.open for comparison in comparisons if comparison.same is None]
        return Comparison(
            None, None, tuple(p for some in pairs for p in some) if all(pairs) else ()
        )
    return Comparison(True, next((o.convention for o in comparisons if o.convention), None))
