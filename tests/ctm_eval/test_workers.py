"""Workers in this process: verdicts are found while the engine goes on, and none is lost."""

from threading import Event

import pytest

from ctm_eval.engines import LazyEngine
from ctm_eval.errors import CtmError
from ctm_eval.progress import silent
from ctm_eval.workers import Here


def rows_of(work, units, score=lambda responses: responses):
    """What `Here` gives for units, one by one."""
    return Here(LazyEngine(object), score).each(work, units, lambda unit: silent)


def test_the_engine_goes_on_while_a_unit_is_scored():
    second_began = Event()

    def work(engine, unit, advance):
        if unit == 2:
            second_began.set()
        return lambda score: score([unit])

    found = rows_of(work, [1, 2], lambda responses: second_began.wait(60))
    assert list(found) == [(1, True), (2, True)]


def test_units_come_in_their_order():
    found = rows_of(lambda engine, unit, advance: lambda score: score([unit]), range(9))
    assert list(found) == [(unit, [unit]) for unit in range(9)]


@pytest.mark.parametrize("ends", [CtmError("the server is gone"), KeyboardInterrupt()])
def test_a_unit_that_is_scored_is_not_lost_when_the_engine_fails_at_the_next(ends):
    began, found = Event(), []

    def work(engine, unit, advance):
        if unit == 2:
            began.set()
            raise ends
        return lambda score: score([unit])

    with pytest.raises(type(ends)):
        for unit, rows in rows_of(work, [1, 2], lambda responses: began.wait(60)):
            found.append((unit, rows))
    assert found == [(1, True)]


def test_what_fails_at_scoring_is_raised():
    def score(responses):
        raise CtmError("no isolation here")

    with pytest.raises(CtmError, match="no isolation here"):
        list(rows_of(lambda engine, unit, advance: lambda score: score([unit]), [1, 2, 3], score))
