"""The policies of docs/grading.md: every row of its table holds."""

import re
from pathlib import Path

import pytest

from ctm_eval.grading import equal, matches

DOC = Path(__file__).parents[3] / "docs" / "grading.md"
ROWS = re.findall(r"^\| ([^|]+) \| `([^`]+)` \| `([^`]+)` \| (yes|no) \|$", DOC.read_text(), re.M)
OF_GOLD = {"gold is rounded", "a named combination"}
METRES = "the m of an area or a volume, for a gold that is a number"  # of the gold too


def test_the_page_has_its_table():
    assert len(ROWS) > 40


@pytest.mark.parametrize(("policy", "gold", "answer", "same"), ROWS, ids=[row[0] for row in ROWS])
def test_policy_holds(policy, gold, answer, same):
    assert bool(matches(gold, answer)) is (same == "yes")


@pytest.mark.parametrize(("policy", "gold", "answer", "same"), ROWS, ids=[row[0] for row in ROWS])
def test_policy_holds_from_both_sides_unless_it_is_of_the_gold(policy, gold, answer, same):
    if matches(gold, answer).convention not in OF_GOLD and policy != METRES:
        assert bool(equal(answer, gold)) is (same == "yes")
