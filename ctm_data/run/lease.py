"""Who writes to a run in object storage: a lease, where a folder has a lock.

URL/.lease/00000007   who holds it, and for how long it is good after it was last written

To take the lease is to create the object of the next number, which the store lets one writer alone do. The
highest number holds it, so that who was away for long finds itself overtaken, whatever its clock says. The
holder writes its object again and again while it lives, and says in it at the end that it is free. How old
an object is, is told by the store's clock alone, for which a probe is written.
"""

import json
import os
import re
import secrets
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from ctm_data.run.bucket import Bucket
from ctm_eval.errors import CtmError
from ctm_eval.printable import printable

SECONDS = 120.0  # that a lease is good for; CTM_LEASE_SECONDS sets another time
NAME = re.compile(r"\.lease/([0-9]{8})")


class Lease:
    """The right to write to a bucket's folder, held while `held` is open."""

    def __init__(self, bucket: Bucket, holder: str, seconds: float) -> None:
        self._bucket, self._seconds = bucket, seconds
        self._said = {"holder": holder, "key": secrets.token_hex(8), "host": socket.gethostname(),
                      "pid": os.getpid(), "seconds": seconds}  # fmt: skip
        self._number = 0
        self._ends = threading.Event()
        self._renewed = time.monotonic()
        self._thread = threading.Thread(target=self._go_on, daemon=True)

    def check(self) -> None:
        """Raises CtmError if another run has taken over. Called before every write."""
        if (
            time.monotonic() - self._renewed > self._seconds / 2
        ):  # as after a sleep, or without a network
            self._renew()
        if not self._is_ours():
            raise CtmError(
                f"another run has taken {self._bucket.url} over, since this one was not heard of for "
                f"{self._seconds:.0f} s or its lease was removed: this one stops, and what it wrote is kept"
            )

    def take(self) -> None:
        """Takes the lease. Raises CtmError if another run holds it."""
        now = self._probe()
        numbers = self._numbers()
        last = max(numbers, default=0)
        if last:
            self._refuse_held(last, now)
        self._number = last + 1
        if not self._bucket.create(_name(self._number), self._content()):
            raise CtmError(f"another run has begun to write to {self._bucket.url} at this moment")
        for number in numbers:
            self._bucket.remove(_name(number))
        self._renewed = time.monotonic()
        self._thread.start()

    def give_back(self) -> None:
        """Lets the next run begin at once. Where that fails, the lease ends by itself."""
        self._ends.set()
        self._thread.join()
        with suppress(CtmError):
            if self._is_ours():
                self._bucket.write(_name(self._number), self._content(free=True))

    def _refuse_held(self, last: int, now: float) -> None:
        content, at = self._bucket.read(_name(last)), self._bucket.modified(_name(last))
        if content is None or at is None:  # its holder was overtaken just now
            raise CtmError(f"another run has begun to write to {self._bucket.url} at this moment")
        try:
            said = json.loads(content)
            own = all(said[name] == self._said[name] for name in ("holder", "host"))
            free = said.get("free") or own
            left = float(said["seconds"]) - (now - at.timestamp())
            who = printable(f"process {said['pid']} on {said['host']}", 100)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            free, left, who = False, SECONDS - (now - at.timestamp()), "another run"
        if not free and left > 0:
            raise CtmError(
                f"{who} is writing to {self._bucket.url}; if it is dead, the same command goes on after "
                f"{left:.0f} s"
            )

    def _probe(self) -> float:
        """The store's time, in seconds. Raises CtmError where a run cannot be kept."""
        name, content = f".probe/{self._said['key']}", self._content()
        self._bucket.write(name, content)
        try:
            at = self._bucket.modified(name)
            exclusive = not self._bucket.create(name, b"another")
        finally:
            self._bucket.remove(name)
        if at is None or not exclusive:
            raise CtmError(
                f"{self._bucket.url} cannot hold a run: its store has no conditional writes "
                "(If-None-Match), which keep two runs from writing at once; write into a folder",
                usage=True,
            )
        return at.timestamp()

    def _is_ours(self) -> bool:
        mine = self._bucket.read(_name(self._number))
        return mine == self._content() and max(self._numbers(), default=0) == self._number

    def _go_on(self) -> None:
        while not self._ends.wait(self._seconds / 4):
            with suppress(CtmError):  # `check` tells
                if not self._is_ours():
                    return
                self._renew()

    def _renew(self) -> None:
        began = time.monotonic()
        if self._is_ours():
            self._bucket.write(_name(self._number), self._content())
            self._renewed = began

    def _numbers(self) -> list[int]:
        found = map(NAME.fullmatch, self._bucket.names(".lease"))
        return sorted(int(match[1]) for match in found if match)

    def _content(self, *, free: bool = False) -> bytes:
        return json.dumps(self._said | ({"free": True} if free else {})).encode()


@contextmanager
def held(bucket: Bucket, holder: str) -> Iterator[Lease]:
    """The lease of a bucket's folder, while the block runs.

    `holder` tells one who comes again after a kill: its own lease, of this machine, is taken over at once,
    so it must not run twice here. Raises CtmError if another run holds the lease, or the store cannot tell
    two writers apart.
    """
    lease = Lease(bucket, holder, _seconds())
    lease.take()
    try:
        yield lease
    finally:
        lease.give_back()


def _seconds() -> float:
    given = os.environ.get("CTM_LEASE_SECONDS", "")
    try:
        seconds = float(given or SECONDS)
    except ValueError:
        seconds = 0.0
    if not 1 <= seconds <= 86400:
        raise CtmError(f"CTM_LEASE_SECONDS takes 1 to 86400 seconds, not {given!r}", usage=True)
    return seconds


def _name(number: int) -> str:
    return f".lease/{number:08d}"
