"""The sandbox's server: a warm interpreter that forks three processes for every program.

A *keeper* makes the place, watches time and output, and says what came of it. Of the other two, the
*judge* reads the request and runs the tests, the *program* runs the program; they talk over pipes. All
are forked before the request is read, and the server never reads one: what a program finds in its memory
is the standard library. Requests and replies are `grading.workers`' lines of JSON.
"""

import contextlib
import fcntl
import gc
import json
import os
import resource
import select
import selectors
import shutil
import signal
import tempfile
import time
from collections.abc import Callable
from typing import Any, NoReturn

from ctm_eval.sandbox import isolation, judge, program, seccomp

OPEN_FILES = 64
STATUSES = ("passed", "failed", "refused", "unparsed")  # what a judge may report, beside `gone`
LONGEST_REPORT = 1 << 16  # bytes
WARM = (
    "bisect cmath collections copy datetime decimal fractions functools heapq itertools math operator "
    "random re statistics string sys typing"
).split()


def serve() -> None:
    """Answers requests until the input closes."""
    isolate = os.environ.get("CTM_ISOLATE") != "0"
    limits = json.loads(os.environ["CTM_LIMITS"])
    os.environ.clear()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    for name in WARM:
        __import__(name)
    libraries = isolation.libraries()
    failure = None
    if isolate:
        try:
            isolation.enter(libraries)
            libraries = [isolation.EXTRA_HOME]
        except (isolation.CannotIsolate, OSError) as error:
            failure = str(error)
    requests, replies = (fcntl.fcntl(number, fcntl.F_DUPFD, 100) for number in (0, 1))
    null = os.open(os.devnull, os.O_RDWR)
    for number in range(3):
        os.dup2(null, number)
    os.close(null)
    os.write(replies, b"ready\n")
    if seccomp.is_known_here():
        seccomp.prepare()
    gc.freeze()  # a collection in a child would copy every page
    waiting = select.poll()
    waiting.register(requests, select.POLLIN)
    while failure is None:
        if not any(event & select.POLLIN for _, event in waiting.poll()):
            return
        keeper = os.fork()
        if keeper == 0:
            _keep(requests, replies, limits, libraries if isolate else None)
        if os.waitstatus_to_exitcode(os.waitpid(keeper, 0)[1]) != 0:
            return
    with os.fdopen(requests, "rb") as lines:
        for _ in lines:
            _reply(replies, {"cannot_isolate": failure})


def _reply(replies: int, answer: dict[str, Any]) -> None:
    data = json.dumps(answer).encode("ascii") + b"\n"
    while data:
        data = data[os.write(replies, data) :]


def _keep(
    requests: int, replies: int, limits: dict[str, Any], libraries: list[str] | None
) -> NoReturn:
    """Sees one program through and replies. Ends with 0 if there may be a next one. Never returns."""
    folder = None if libraries is not None else tempfile.mkdtemp(prefix="ctm-sandbox-")
    try:
        isolation.die_with_parent()
        to_program, to_judge, report, output = os.pipe(), os.pipe(), os.pipe(), os.pipe()
        if folder is None:
            isolation.enter_place(limits["file_bytes"])
        else:
            os.chdir(folder)
        judging = _fork(
            limits,
            {1: output[1], 3: requests, 4: report[1], 5: to_judge[0], 6: to_program[1]},
            lambda: judge.serve(3, 4, 5, 6, libraries or []),
            isolate=folder is None,
        )
        if folder is None:
            isolation.enter_alone()
        judged = _fork(
            limits,
            {1: output[1], 3: to_program[0], 4: to_judge[1]},
            lambda: program.serve(3, 4, libraries or []),
            isolate=folder is None,
        )
        for used in (*to_program, *to_judge, report[1], output[1]):
            os.close(used)
        answer = _see(judging, judged, report[0], output[0], requests, limits)
    except isolation.CannotIsolate as error:
        while not os.read(requests, 1 << 16).endswith(b"\n"):
            pass
        answer = {"cannot_isolate": str(error)}
    except BaseException:
        answer = {}
    if folder is not None:
        shutil.rmtree(folder, ignore_errors=True)
    if answer:
        _reply(replies, answer)
    os._exit(0 if answer else 1)


def _fork(
    limits: dict[str, Any], files: dict[int, int], then: Callable[[], NoReturn], *, isolate: bool
) -> int:
    """A child without rights that has the null device and `files` open, by their new numbers."""
    child = os.fork()
    if child:
        return child
    try:
        isolation.hide_memory()
        high = {new: fcntl.fcntl(old, fcntl.F_DUPFD, 200) for new, old in files.items()}
        for new in range(max(files) + 1):
            os.dup2(high.get(new, 0), new)
        os.closerange(max(files) + 1, 300)
        _become(limits, isolate=isolate)
        then()
    finally:
        os._exit(1)


def _become(limits: dict[str, Any], *, isolate: bool) -> None:
    """The limits and the loss of rights; what cannot be set ends the process."""
    cpu = limits["cpu_seconds"]
    bounds = {
        resource.RLIMIT_CPU: cpu,
        resource.RLIMIT_AS: limits["memory"],
        resource.RLIMIT_FSIZE: limits["file_bytes"],
        resource.RLIMIT_NOFILE: OPEN_FILES,
        resource.RLIMIT_CORE: 0,
    }
    for limit, bound in bounds.items():
        hard = resource.getrlimit(limit)[1]
        bound = bound if hard == resource.RLIM_INFINITY else min(bound, hard)
        resource.setrlimit(limit, (bound, bound))
    isolation.drop_rights(nobody=isolate)
    if isolate:
        most = limits["threads"] + 2  # the judge is of the same user
        resource.setrlimit(resource.RLIMIT_NPROC, (most, most))
    isolation.die_with_parent()
    isolation.hide_memory()
    if isolate or seccomp.is_known_here():
        isolation.no_new_privileges()
        seccomp.install()


def _see(
    judging: int, judged: int, report: int, output: int, requests: int, limits: dict[str, Any]
) -> dict[str, Any]:
    """Waits for the judge's report within the limits, ends both, and says what came of it."""
    went = False
    try:
        heard, ended = _listen(report, output, requests, limits)
        said = _read_report(heard[report])
        went = said["status"] == "gone" and _went(judged)
    finally:
        ends = [_end(child) for child in (judged, judging)]
    stdout = _drain(output, heard[output], limits["output_bytes"])
    if ended == "timeout":
        said = {"status": "timeout", "detail": "the wall clock"}
    elif ended == "output" or len(stdout) > limits["output_bytes"]:
        said = {"status": "refused", "detail": "it printed more than the limit"}
    elif said["status"] == "gone" and not went:
        found = filter(None, (said["suspicious"], "it closed the channel of its tests"))
        said = {"status": "failed", "detail": "it left its tests", "suspicious": "; ".join(found)}
    elif said["status"] == "gone":
        said = {**said, **_why_gone(*ends[0], limits, "it ended before its tests")}
    elif said["status"] == "none":
        said = {**said, **_why_gone(*ends[1], limits, "the tests ended early")}
    printed = stdout[: limits["output_bytes"]].decode("utf-8", "replace")
    return {"suspicious": "", **said, "stdout": printed}


def _listen(
    report: int, output: int, requests: int, limits: dict[str, Any]
) -> tuple[dict[int, bytes], str]:
    """What was reported and printed, and how listening ended: '', 'timeout' or 'output'."""
    heard = {report: b"", output: b""}
    deadline = None
    with selectors.DefaultSelector() as selector:
        for pipe in (report, output):
            selector.register(pipe, selectors.EVENT_READ)
        while True:
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                return heard, "timeout"
            for key, _ in selector.select(left):
                if key.fd == requests:  # nobody asks twice: whoever asked is gone
                    raise SystemExit
                data = os.read(key.fd, 1 << 16)
                if not data and key.fd == report:
                    return heard, ""
                if not data:
                    selector.unregister(key.fd)
                if deadline is None and key.fd == report:  # the judge has the request
                    deadline = time.monotonic() + limits["wall_seconds"]
                    selector.register(requests, selectors.EVENT_READ)
                heard[key.fd] += data
            if len(heard[output]) > limits["output_bytes"]:
                return heard, "output"
            if len(heard[report]) > LONGEST_REPORT:
                return heard, ""


def _read_report(data: bytes) -> dict[str, str]:
    """A judge's report: a known status, and text. Without one the status is `none`."""
    if not data:
        raise SystemExit  # no request was read
    try:
        report = json.loads(data)
    except ValueError:
        report = None
    if isinstance(report, dict) and report.get("status") in (*STATUSES, "gone"):
        return {key: str(report.get(key, "")) for key in ("status", "detail", "suspicious")}
    return {"status": "none", "detail": ""}


def _went(child: int) -> bool:
    """Whether a child that closed its pipes ends of itself; the system may need a moment to say so."""
    until = time.monotonic() + 1
    while not os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT):
        if time.monotonic() > until:
            return False
        time.sleep(0.002)
    return True


def _end(child: int) -> tuple[int, float]:
    """Kills a child; how it had ended, and the seconds of CPU that it used."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(child, signal.SIGKILL)
    _, status, usage = os.wait4(child, 0)
    return os.waitstatus_to_exitcode(status), usage.ru_utime + usage.ru_stime


def _why_gone(code: int, used: float, limits: dict[str, Any], otherwise: str) -> dict[str, str]:
    # The kernel's limit counts ticks and comes early on a busy machine: after 0.89 of it was used,
    # where eight programs shared two cores.
    if code < 0 and used > 0.75 * limits["cpu_seconds"]:
        return {"status": "timeout", "detail": "CPU time"}
    if code == program.OUT_OF_MEMORY or code == -signal.SIGKILL:  # the system was out of it
        return {"status": "refused", "detail": "memory"}
    return {"status": "failed", "detail": otherwise}


def _drain(output: int, heard: bytes, most: int) -> bytes:
    while len(heard) <= most and (data := os.read(output, 1 << 16)):
        heard += data
    return heard
