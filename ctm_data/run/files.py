"""Files written whole or not at all, read within bounds, their hashes, and what a failing disk means."""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from ctm_eval.data_files import refuse_irregular
from ctm_eval.errors import CtmError
from ctm_eval.output_file import FULL, whole_file

BLOCK = 1 << 20


def atomic_write(path: Path, text: str) -> None:
    """Writes a file whole or not at all: a temporary name, fsync, rename."""
    atomic(path, lambda file: file.write(text.encode("utf-8")))


def atomic(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Lets `write` fill a file that is there whole or not at all; a failure leaves nothing behind."""
    with whole_file(path) as file:
        write(file)


def copy(source: Path, target: Path, digest: str) -> bool:
    """Copies a file whole or not at all, if its SHA-256 is `digest`; whether it was."""

    class Other(Exception):
        pass

    def write(file: BinaryIO) -> None:
        found = hashlib.sha256()
        with source.open("rb") as original:
            while block := original.read(BLOCK):
                found.update(block)
                file.write(block)
        if found.hexdigest() != digest:
            raise Other

    try:
        atomic(target, write)
    except Other:
        return False
    return True


def read_bounded(path: Path, longest: int) -> bytes:
    """A regular file of at most `longest` bytes. Raises CtmError for any other."""
    refuse_irregular(path)
    try:
        with path.open("rb") as file:
            content = file.read(longest + 1)
    except OSError as error:
        raise CtmError(f"cannot read {path}: {error.strerror}") from error
    if len(content) > longest:
        raise CtmError(f"{path} is longer than {longest:,} bytes, which is no file of ctm")
    return content


def sha256(path: Path) -> str:
    """The hash of a file, which need not fit the memory. Raises CtmError if it cannot be read."""
    refuse_irregular(path)
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise CtmError(f"cannot read {path}: {error.strerror}") from error


def refuse_links(folder: Path, names: Iterable[str]) -> None:
    """Raises CtmError if a file or folder that belongs into `folder` is a link to another: what is written
    or published through it is not of that folder."""
    for name in names:
        if (folder / name).is_symlink():
            raise CtmError(
                f"{folder / name} is a symbolic link, which may lead anywhere: put what it leads to in its "
                "place",
                usage=True,
            )


@contextmanager
def explained(folder: Path) -> Iterator[None]:
    """Turns a failure of the file system into an error that says what to do."""
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            raise CtmError(
                f"the disk of {folder} is full; nothing done so far is lost: free some space and run "
                "the same command again"
            ) from error
        raise CtmError(
            f"cannot write to {folder}: {error.strerror or error}; see that you may, and run the same "
            "command again"
        ) from error
