"""A file that a user asked for by name: it is there whole or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from ctm_eval.errors import CtmError


@contextmanager
def output_file(path: str | Path) -> Iterator[BinaryIO]:
    """A file to write to, which has its name only once the block has ended without an error.

    Raises CtmError where it cannot be written, as on a full or read-only disk.
    """
    path = Path(path)
    partial = path.with_name(f".{path.name}.partial")
    try:
        with partial.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except OSError as error:
        raise CtmError(
            f"cannot write {path}: {error.strerror or error}; free some space there, or give another file"
        ) from error
    finally:
        with suppress(OSError):  # a read-only disk refuses that too
            partial.unlink(missing_ok=True)
