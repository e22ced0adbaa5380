"""Files that are there whole or not at all."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from ctm_eval.errors import CtmError

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """A file to write to, which has its name only once the block has ended without an error.

    It is on the disk then (fsync), and so is its name. A failure leaves nothing behind. Raises OSError.
    """
    partial = partial_of(path)
    try:
        with partial.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
        _sync_folder(path.parent)
    except BaseException:
        with suppress(OSError):  # a read-only disk refuses that too
            partial.unlink(missing_ok=True)
        raise


@contextmanager
def output_file(path: str | Path) -> Iterator[BinaryIO]:
    """A whole file that a user asked for by name. A link stays one, and what it leads to is written.

    A device or a pipe, such as /dev/stdout, is written to as it is: root could put a file in its place.
    Raises CtmError where it cannot be written, as on a full or read-only disk.
    """
    target = Path(os.path.realpath(path))
    special = os.path.exists(path) and not os.path.isfile(path) and not os.path.isdir(path)
    try:
        with Path(path).open("wb") if special else whole_file(target) as file:
            yield file
    except OSError as error:
        way_out = "free some space there, or give" if error.errno in FULL else "give"
        raise CtmError(
            f"cannot write {path}: {error.strerror or error}; {way_out} another file"
        ) from error


def partial_of(path: Path) -> Path:
    """The name that a file has until it is whole."""
    return path.with_name(f".{path.name}.partial")


def _sync_folder(folder: Path) -> None:
    """Makes the names in a folder durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
