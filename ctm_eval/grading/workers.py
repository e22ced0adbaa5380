"""Killable worker processes: requests and replies are lines of JSON, limits are the system's.

A worker is a fresh interpreter, never a fork: it holds no lock and no thread of its parent. It ends
when its input closes or its parent dies, is killed when it misses its deadline, and cannot write
files or take more memory than its limit.
"""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

START_SECONDS = 60.0
"""How long a worker may take to start; it imports its libraries before it says that it is ready."""


_SERVE = "import sys, importlib; sys.path[:] = sys.argv[2:]; importlib.import_module(sys.argv[1]).serve()"


class WorkerLost(Exception):
    """The worker missed its deadline or died; it has been killed."""


class Worker:
    """One process that runs `serve` of a module; use from one thread at a time.

    `environment` is all that the process sees of one, Python's own variables included; without it
    the process has ours, and Python takes no notice of it.
    """

    def __init__(self, module: str, environment: Mapping[str, str] | None = None) -> None:
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-I" if environment is None else "-sP"),
                *("-c", _SERVE, module, *_search_path()),
            ],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd="/",
        )
        assert self._process.stdin and self._process.stdout
        self._input, self._output = self._process.stdin.fileno(), self._process.stdout.fileno()
        os.set_blocking(self._input, False)
        os.set_blocking(self._output, False)
        try:
            self._receive(time.monotonic() + START_SECONDS)
        except WorkerLost:
            self.kill()
            raise

    def ask(self, request: object, seconds: float) -> Any:
        """Send a request and return the reply; raises WorkerLost and kills the process."""
        deadline = time.monotonic() + seconds
        try:
            self._send(json.dumps(request).encode("ascii") + b"\n", deadline)
            return json.loads(self._receive(deadline))
        except (WorkerLost, OSError, ValueError) as error:
            self.kill()
            raise WorkerLost(str(error)) from error

    def kill(self) -> None:
        """End the process at once and release its pipes."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe:
                try:
                    pipe.close()
                except OSError:  # unsent input of a process that is gone
                    continue

    def _send(self, line: bytes, deadline: float) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._input, selectors.EVENT_WRITE)
            while line:
                self._wait(selector, deadline)
                line = line[os.write(self._input, line[:65_536]) :]

    def _receive(self, deadline: float) -> bytes:
        parts: list[bytes] = []
        with selectors.DefaultSelector() as selector:
            selector.register(self._output, selectors.EVENT_READ)
            while not parts or not parts[-1].endswith(b"\n"):
                self._wait(selector, deadline)
                part = os.read(self._output, 1 << 20)
                if not part:
                    raise WorkerLost("the worker died")
                parts.append(part)
        return b"".join(parts)

    @staticmethod
    def _wait(selector: selectors.BaseSelector, deadline: float) -> None:
        if not selector.select(max(0.0, deadline - time.monotonic())):
            raise WorkerLost("the worker missed its deadline")


class WorkerPool:
    """Up to `size` workers of one module, started when first asked; use from any thread."""

    def __init__(
        self, module: str, size: int, environment: Mapping[str, str] | None = None
    ) -> None:
        self._module, self._size, self._environment = module, size, environment
        self._idle: list[Worker] = []
        self._count = 0
        self._free = threading.Condition()
        self._process = os.getpid()
        self._closed = False

    def ask(self, request: object, seconds: float) -> Any:
        """Send a request to an idle worker and return its reply; raises WorkerLost."""
        worker = self._take()
        try:
            reply = worker.ask(request, seconds)
        except BaseException:
            worker.kill()
            with self._free:
                self._count -= 1
                self._free.notify()
            raise
        with self._free:
            self._idle.append(worker)
            self._free.notify()
        return reply

    def close(self) -> None:
        """Kill the idle workers; a process forked from the owner leaves them alone."""
        if os.getpid() != self._process:
            return
        with self._free:
            self._closed = True
            idle, self._idle = self._idle, []
        for worker in idle:
            worker.kill()

    def _take(self) -> Worker:
        with self._free:
            while not self._idle and self._count >= self._size:
                self._free.wait()
            if self._closed:
                raise WorkerLost("the pool is closed")
            if self._idle:
                return self._idle.pop()
            self._count += 1
        try:
            return Worker(self._module, self._environment)
        except BaseException:
            with self._free:
                self._count -= 1
                self._free.notify()
            raise


def answer_requests(
    handle: Callable[[Any], object], *, cpu_seconds: float | None = None, memory: int | None = None
) -> None:
    """Serve requests in a worker until the input closes or the parent dies.

    `cpu_seconds` limits each request and `memory` is how many bytes may be added to what the
    process has when it is ready. A request that runs out of memory is answered with None.
    """
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    replies = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)  # what a library prints does not get into the replies
    threading.Thread(target=_follow, args=(os.getppid(),), daemon=True).start()
    _limit_files_and_memory(memory)
    replies.write(b"ready\n")
    for line in sys.stdin.buffer:
        if cpu_seconds is not None:
            _limit_cpu(cpu_seconds)
        try:
            reply = handle(json.loads(line))
        except (MemoryError, RecursionError):
            reply = None
        data = json.dumps(reply).encode("ascii") + b"\n"
        while data:
            data = data[replies.write(data) :]


def _follow(parent: int) -> None:
    """End this process soon after its parent, however that ended."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(0)


def _limit_files_and_memory(memory: int | None) -> None:
    try:
        import resource
    except ImportError:  # not on this system: the deadline still holds
        return
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    if memory is not None and os.path.exists("/proc/self/statm"):
        with open("/proc/self/statm") as file:
            pages = int(file.read().split()[0])
        limit = pages * resource.getpagesize() + memory
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def _limit_cpu(seconds: float) -> None:
    """End this process after so much time on a processor, however long that takes on the wall."""
    import signal

    if hasattr(signal, "setitimer"):  # not on every system: the deadline still holds
        signal.setitimer(signal.ITIMER_PROF, seconds)


def _search_path() -> list[str]:
    """Return the import path with this package's root on it, without the working folder."""
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    return [root, *(os.path.abspath(entry) for entry in sys.path if entry and entry != root)]
