"""What a comparison of typed values comes to."""

from __future__ import annotations

from typing import NamedTuple

from ctm_eval.grading.tree import Tree


class Outcome(NamedTuple):
    """`same` is None when undecided: then `open` holds the pairs of expressions it hangs on.

    `convention` names the rule used beyond identity.
    """

    same: bool | None
    convention: str | None = None
    open: tuple[tuple[Tree, Tree], ...] = ()


DIFFERENT = Outcome(False)
UNDECIDED = Outcome(None)


def by_convention(outcome: Outcome, convention: str) -> Outcome:
    """Return the outcome with the convention noted, if it is equality and has none yet."""
    return Outcome(True, outcome.convention or convention) if outcome.same else outcome


def all_of(outcomes: list[Outcome]) -> Outcome:
    """Return equality if all are equal; one difference decides, whatever is open."""
    if any(outcome.same is False for outcome in outcomes):
        return DIFFERENT
    if any(outcome.same is None for outcome in outcomes):
        pairs = [outcome.open for outcome in outcomes if outcome.same is None]
        return Outcome(None, None, tuple(p for some in pairs for p in some) if all(pairs) else ())
    return Outcome(True, next((o.convention for o in outcomes if o.convention), None))
