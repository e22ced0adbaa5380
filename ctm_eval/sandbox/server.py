"""The sandbox's server: a warm interpreter that forks a child for every program and judges its end.

It speaks `grading.workers`' lines of JSON. The child writes its result to a pipe of its own under a
number that the program is not told, so that an exit or a print is no pass.
"""

import contextlib
import json
import os
import resource
import secrets
import selectors
import shutil
import signal
import sys
import tempfile
import time
from errno import EACCES, EAGAIN, EFBIG, EMFILE, ENOSPC, EPERM, EROFS
from typing import Any, NoReturn

from ctm_eval.sandbox import isolation, seccomp

WANTED_MORE = {EPERM, EACCES, EROFS, ENOSPC, EFBIG, EAGAIN, EMFILE}  # errors that a limit gives
OPEN_FILES = 64
KEPT = 500  # characters of an error message
WARM = (
    "bisect cmath collections copy datetime decimal fractions functools heapq itertools math operator "
    "random re statistics string sys typing"
).split()


def serve() -> None:
    """Answers requests until the input closes."""
    isolate = os.environ.get("CTM_ISOLATE") != "0"
    os.environ.clear()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    for name in WARM:
        __import__(name)
    failure = None
    if isolate:
        try:
            isolation.enter()
        except (isolation.CannotIsolate, OSError) as error:
            failure = str(error)
    replies = os.fdopen(os.dup(1), "wb", buffering=0)
    requests = os.fdopen(os.dup(0), "rb")
    null = os.open(os.devnull, os.O_RDWR)
    for number in range(3):
        os.dup2(null, number)
    replies.write(b"ready\n")
    for line in requests:
        request = json.loads(line)
        if failure is not None:
            reply: dict[str, Any] = {"cannot_isolate": failure}
        else:
            reply = _run(
                request["code"], request["tests"], request["limits"], isolate, requests.fileno()
            )
        data = json.dumps(reply).encode("ascii") + b"\n"
        while data:
            data = data[replies.write(data) :]


def _run(
    code: str, tests: list[str], limits: dict[str, Any], isolate: bool, requests: int
) -> dict[str, Any]:
    """Runs a program in a child and says what came of it."""
    word = secrets.token_hex(16)
    output, result = os.pipe(), os.pipe()
    folder = None if isolate else tempfile.mkdtemp(prefix="ctm-sandbox-")
    keeper = os.fork()
    if keeper == 0:
        _keep(code, tests, limits, folder, word, output[1], result[1])
    os.close(output[1])
    os.close(result[1])
    try:
        stdout, said, ended = _listen(output[0], result[0], requests, limits)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(keeper, signal.SIGKILL)
        status = os.waitpid(keeper, 0)[1]
        os.close(output[0])
        os.close(result[0])
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)
    return {**_judge(said, word, ended, status), "stdout": stdout.decode("utf-8", "replace")}


def _listen(
    output: int, result: int, requests: int, limits: dict[str, Any]
) -> tuple[bytes, bytes, str]:
    """What the child printed and reported, and how listening ended: '', 'timeout' or 'output'."""
    heard = {output: b"", result: b""}
    deadline = time.monotonic() + limits["wall_seconds"]
    with selectors.DefaultSelector() as selector:
        for pipe in (output, result, requests):
            selector.register(pipe, selectors.EVENT_READ)
        while len(selector.get_map()) > 1:
            ready = selector.select(max(0.0, deadline - time.monotonic()))
            if not ready:
                return heard[output], heard[result], "timeout"
            for key, _ in ready:
                if key.fd == requests:  # nobody asks twice: whoever asked is gone
                    raise SystemExit
                data = os.read(key.fd, 1 << 16)
                heard[key.fd] += data
                if not data:
                    selector.unregister(key.fd)
            if len(heard[output]) > limits["output_bytes"]:
                return heard[output][: limits["output_bytes"]], b"", "output"
    return heard[output], heard[result], ""


def _judge(said: bytes, word: str, ended: str, status: int) -> dict[str, Any]:
    if ended == "timeout":
        return {"status": "timeout", "detail": "the wall clock"}
    if ended == "output":
        return {"status": "refused", "detail": "it printed more than the limit"}
    try:
        report = json.loads(said)
    except ValueError:
        report = None
    if isinstance(report, dict) and report.get("word") == word:
        return {"status": report["status"], "detail": report["detail"]}
    code = os.waitstatus_to_exitcode(status)
    if code == CPU_TIME:
        return {"status": "timeout", "detail": "CPU time"}
    if code == OUT_OF_MEMORY:
        return {"status": "refused", "detail": "memory"}
    return {"status": "failed", "detail": "it ended before its tests"}


CPU_TIME, OUT_OF_MEMORY = 101, 102  # exit codes of the keeper


def _keep(
    code: str,
    tests: list[str],
    limits: dict[str, Any],
    folder: str | None,
    word: str,
    output: int,
    result: int,
) -> NoReturn:
    """The parent of one program: makes its place, waits, and says what ended it. Never returns."""
    try:
        os.setsid()
        os.dup2(output, 1)
        os.dup2(result, 3)
        os.closerange(4, OPEN_FILES + 4)
        if folder is None:
            isolation.die_with_parent()
            isolation.enter_for_program(limits["file_bytes"])
        else:
            os.chdir(folder)
        program = os.fork()
        if program == 0:
            _become(limits, isolate=folder is None)
            _execute(code, tests, word)
        _, status, usage = os.wait4(program, 0)
        used = usage.ru_utime + usage.ru_stime
        # The kernel's limit counts ticks and comes early on a busy machine: after 0.89 of it was
        # used, where eight programs shared two cores.
        if os.waitstatus_to_exitcode(status) < 0 and used > 0.75 * limits["cpu_seconds"]:
            os._exit(CPU_TIME)
        os._exit(0)
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
    if isolate:
        isolation.drop_rights()
        resource.setrlimit(resource.RLIMIT_NPROC, (limits["threads"], limits["threads"]))
        isolation.die_with_parent()
    if isolate or seccomp.is_known_here():
        isolation.no_new_privileges()
        seccomp.install()


def _execute(code: str, tests: list[str], word: str) -> NoReturn:
    """Runs the program and its tests as one module and reports. Never returns."""
    sys.path[:] = [path for path in sys.path if path.startswith(sys.base_prefix)]
    sys.modules["random"].seed(0)
    sys.stdout = open(1, "w", encoding="utf-8", errors="replace", closefd=False)  # noqa: SIM115
    main = type(sys)("__main__")
    sys.modules["__main__"] = main
    status, detail = "passed", ""
    try:
        for number, text in enumerate((code, *tests)):
            try:
                part = compile(text, "program.py" if number == 0 else f"test {number}", "exec")
            except (SyntaxError, ValueError) as error:
                status, detail = "unparsed" if number == 0 else "failed", _said(error)
                break
            try:
                exec(part, main.__dict__)
            except SystemExit as error:
                if tests or error.code not in (None, 0):
                    raise
    except MemoryError:
        status, detail = "refused", "memory"
    except OSError as error:
        status, detail = "refused" if error.errno in WANTED_MORE else "failed", _said(error)
    except BaseException as error:
        thread = isinstance(error, RuntimeError) and "start new thread" in str(error)
        status, detail = "refused" if thread else "failed", _said(error)
    try:
        sys.stdout.flush()
        report = json.dumps({"word": word, "status": status, "detail": detail}).encode("ascii")
        os.write(3, report)
    finally:
        os._exit(0)


def _said(error: BaseException) -> str:
    try:
        return f"{type(error).__name__}: {error}"[:KEPT]
    except Exception:  # its own __str__ fails
        return type(error).__name__
