"""Files written whole or not at all, their hashes, and what a failing disk means for the user."""

import errno
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ctm_eval.errors import CtmError


def atomic_write(path: Path, text: str) -> None:
    """Writes a file whole or not at all: a temporary name, fsync, rename."""
    partial = path.with_name(f".{path.name}.partial")
    with partial.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, path)
    sync_folder(path.parent)


def sha256(path: Path) -> str:
    """The hash of a file, which need not fit the memory."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def explained(folder: Path) -> Iterator[None]:
    """Turns a failure of the file system into an error that says what to do."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise CtmError(
                f"the disk of {folder} is full; nothing done so far is lost: free some space and run "
                "the same command again"
            ) from error
        raise CtmError(f"cannot write to {folder}: {error.strerror}") from error


def sync_folder(folder: Path) -> None:
    """Makes the names in a folder durable."""
    handle = os.open(folder, os.O_RDONLY)
    os.fsync(handle)
    os.close(handle)
