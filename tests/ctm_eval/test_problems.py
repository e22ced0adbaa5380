"""The problems of a run are held on disk and read as a sequence."""

import tempfile
import tracemalloc

import pytest

from ctm_eval.errors import CtmError
from ctm_eval.problems import BLOCK, Problems
from ctm_eval.types import Problem


def made(count: int):
    return (
        Problem(f"p{i}", "qa", "test", f"How many are {i}?", str(i), tests=("a", "b")[: i % 3])
        for i in range(count)
    )


@pytest.mark.parametrize("count", [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK + 7])
def test_they_are_the_same_in_the_same_order(count):
    held = Problems(made(count))
    assert len(held) == count
    assert list(held) == list(made(count))


def test_a_problem_is_found_by_its_place():
    held, whole = Problems(made(600)), list(made(600))
    assert [held[i] for i in (0, 255, 256, 599, -1, -600)] == [
        whole[i] for i in (0, 255, 256, 599, -1, -600)
    ]
    with pytest.raises(IndexError):
        held[600]


@pytest.mark.parametrize(
    "at", [slice(250, 300), slice(500, 900), slice(None, None, 7), slice(0, 0)]
)
def test_a_slice_and_a_slice_of_it_are_what_they_are_of_a_list(at):
    held, whole = Problems(made(600)), list(made(600))
    assert list(held[at]) == whole[at]
    assert list(held[at][3:9]) == whole[at][3:9]
    assert len(held[at]) == len(whole[at])


def test_a_slice_outlives_what_it_was_taken_from():
    some = Problems(made(600))[256:258]
    assert [one.problem_id for one in some] == ["p256", "p257"]


def test_ten_times_as_many_take_no_ten_times_the_memory():
    def peak(count: int) -> int:
        tracemalloc.start()
        held = Problems(made(count))
        chunks = [held[start : start + 100] for start in range(0, count, 100)]
        assert sum(1 for chunk in chunks for _ in chunk) == count
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    assert peak(20_000) < 1.5 * peak(2_000)


def test_a_full_disk_is_one_line_with_a_way_out(monkeypatch):
    class Full:
        def write(self, _: bytes) -> None:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(tempfile, "TemporaryFile", Full)
    with pytest.raises(CtmError, match=r"No space left on device; make room, or set TMPDIR"):
        Problems(made(1))


def test_an_error_of_their_source_is_not_blamed_on_the_disk():
    def broken():
        yield from made(3)
        raise PermissionError(13, "Permission denied", "test.jsonl")

    with pytest.raises(PermissionError):
        Problems(broken())
