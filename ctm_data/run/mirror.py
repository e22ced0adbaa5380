"""A run in object storage: made in a folder here, and put there file by file as each is written.

The bucket is the run. The folder here is a copy, which is never trusted over it: when a run begins or goes
on, a part stays here if the store says the same MD5 of it, any other is brought anew, and what the bucket
does not have is removed. So a run goes on from any machine.
"""

import fcntl
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ctm_data.run.bucket import TRIES, Bucket, is_url, same, working_folder
from ctm_data.run.files import explained
from ctm_data.run.lease import Lease, held
from ctm_data.run.manifest import BESIDE, MANIFEST, is_part_name
from ctm_data.run.schema import SCHEMAS
from ctm_eval.engines.openai.answers import NAME as ANSWERS
from ctm_eval.errors import CtmError


class Mirror:
    """A folder here whose files are put to a bucket as they are written. Use `mirrored`."""

    def __init__(self, bucket: Bucket, folder: Path, lease: Lease) -> None:
        self.url, self.folder = bucket.url, folder
        self._bucket, self._lease = bucket, lease

    def put(self, path: Path) -> None:
        """Puts a file of the folder to its place in the bucket, whole or not at all.

        Raises CtmError if another run has taken over, or the bucket cannot be reached for a minute.
        """
        self._lease.check()
        self._bucket.put(path, self._name(path))

    def moved(self, path: Path, target: Path) -> None:
        """Does in the bucket what was done here: a file was moved. Raises CtmError as `put` does."""
        self._lease.check()
        name = self._name(target)
        while self._bucket.modified(name) is not None:
            name += "~"
        self._bucket.put(target, name)
        self._bucket.remove(self._name(path))

    def bring(self) -> None:
        """Makes the folder what the bucket is. Raises CtmError if that holds anything but a run."""
        there = {
            name: info for name, info in self._bucket.names().items() if not name.startswith(".")
        }
        if there and MANIFEST not in there:
            raise CtmError(
                f"{self.url} is not empty and holds no run; give another --output-dir", usage=True
            )
        ours = {name: i for name, i in there.items() if name in BESIDE or _is_part(name)}
        with explained(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            kept = {name for name, info in ours.items() if same(self.folder / name, info)}
            changed = self._remove_others(kept) | (ours.keys() - kept)
            self._bucket.get(sorted(ours.keys() - kept), self.folder)
            if any(name.startswith("solutions/") for name in changed):
                shutil.rmtree(self.folder / "models", ignore_errors=True)  # made of other solutions

    def _remove_others(self, kept: set[str]) -> set[str]:
        gone = set()
        for table in ("", *SCHEMAS):
            for path in (self.folder / table).glob("*"):
                name = self._name(path)
                if path.is_dir() or name in kept or name == ANSWERS:
                    continue
                path.unlink()
                gone.add(name)
        return gone

    def _name(self, path: Path) -> str:
        return path.relative_to(self.folder).as_posix()


@contextmanager
def mirrored(where: str | Path) -> Iterator[Mirror | None]:
    """For a URL, the folder here that is put there, brought up to date, and the right to write to it; for
    a folder, None.

    Raises CtmError if another run is writing there, or the bucket cannot be used.
    """
    if not is_url(where):
        yield None
        return
    bucket = Bucket(where)
    folder = working_folder(where)
    with _alone(folder, bucket.url) as holder, held(bucket, holder) as lease:
        mirror = Mirror(bucket, folder, lease)
        mirror.bring()
        bucket.tries = TRIES
        yield mirror


@contextmanager
def _alone(folder: Path, url: str) -> Iterator[str]:
    """A name for who works in the folder, which one process at a time has."""
    with explained(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        path = folder.with_name(f"{folder.name}.lock")
        lock = os.open(path, os.O_CREAT | os.O_RDWR)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CtmError(f"another process here is writing to {url}") from None
        with explained(folder):
            holder = os.read(lock, 100).decode("ascii", "replace")
            if not holder:
                holder = secrets.token_hex(8)
                os.write(lock, holder.encode())
        yield holder
    finally:
        os.close(lock)


def _is_part(name: str) -> bool:
    return is_part_name(name) and name.partition("/")[0] in SCHEMAS
