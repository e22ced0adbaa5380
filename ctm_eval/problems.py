"""`Problems`: those of a run, on disk, since a million of them would fill the memory."""

import copy
import os
import pickle
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from itertools import islice
from typing import overload

from ctm_eval.errors import CtmError
from ctm_eval.types import Problem

BLOCK = 256  # problems that are read at a time


class Problems(Sequence[Problem]):
    """A sequence of problems in an unnamed temporary file, which goes with the process; a slice shares it.

    Raises CtmError if the disk is full.
    """

    def __init__(self, problems: Iterable[Problem]) -> None:
        rest, starts, count = iter(problems), [0], 0
        with _explained():
            file = tempfile.TemporaryFile()  # noqa: SIM115 (it lives as long as this)
        while block := list(islice(rest, BLOCK)):
            own = pickle.dumps(block)
            with _explained():
                file.write(own)
                file.flush()
            starts.append(starts[-1] + len(own))
            count += len(block)
        self._rows = range(count)

        @lru_cache(maxsize=2)
        def block_of(number: int) -> list[Problem]:
            start, end = starts[number : number + 2]
            own = os.pread(file.fileno(), end - start, start)
            return list(pickle.loads(own))  # noqa: S301 (written above, and nobody else has the file)

        self._block_of = block_of

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, at: int) -> Problem: ...
    @overload
    def __getitem__(self, at: slice) -> "Problems": ...
    def __getitem__(self, at: int | slice) -> "Problem | Problems":
        if isinstance(at, slice):
            some = copy.copy(self)
            some._rows = self._rows[at]
            return some
        row = self._rows[at]
        return self._block_of(row // BLOCK)[row % BLOCK]


@contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise CtmError(
            f"cannot keep the problems in a temporary file: {error.strerror}; make room, or set TMPDIR to "
            "another folder"
        ) from error
