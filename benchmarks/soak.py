"""Kills, crashes and full disks: the same command finishes every folder, byte for byte as undisturbed.

    python benchmarks/soak.py --minutes 60 --seed 0

Three kinds of trouble, in turn, at random places drawn from the seed:

    kill    SIGKILL at a random moment of a command
    crash   the process ends before or after its n-th open, write, fsync, rename or unlink
    full    from the n-th write on the disk is full, or the folder cannot be written to

The commands are build-dataset (with contrast training), its shards and their merge, eval and score; with
`--quick`, a run folder written by the store alone. After the trouble the command is run again undisturbed:
the tables, the card and the manifest have to be those of an undisturbed run, and nothing half-written may
be left. `python benchmarks/soak.py child NAME FOLDER [CALL N WHEN]` is one such process.
"""

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

SMALL = {"limit": 4, "n_samples": 6, "n_rollouts": 4, "chunk_size": 2, "max_new_tokens": 96}
CALLS = ("open", "write", "fsync", "replace", "unlink")
TROUBLED = 99  # exit code of a crash on order


def main() -> int:
    """Runs one child, or rounds of trouble until the time is over. Returns the exit code."""
    if sys.argv[1:2] == ["child"]:
        return child(sys.argv[2], Path(sys.argv[3]), *sys.argv[4:])
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="the store alone, no models")
    options = parser.parse_args()
    names = ("store",) if options.quick else ("build", "merge", "eval", "score")
    counts, failures = soak(names, options.minutes * 60, options.seed)
    for failure in failures:
        print(failure, file=sys.stderr)
    said = ", ".join(f"{count} {what}" for what, count in sorted(counts.items()))
    print(f"{said}; {len(failures)} failures")
    return 1 if failures else 0


def soak(
    names: tuple[str, ...], seconds: float, seed: int, rounds: int | None = None
) -> tuple[dict[str, int], list[str]]:
    """Rounds of trouble for so many seconds: how often each kind struck, and what was not mended."""
    rng, end = random.Random(seed), time.monotonic() + seconds
    counts: dict[str, int] = {}
    failures: list[str] = []
    with tempfile.TemporaryDirectory() as home:
        root = Path(home)
        for name in names:
            run(name, root / name / "whole", check=True)
        took = {name: _timed(name, root / name / "timed") for name in names}
        number = 0
        while time.monotonic() < end and (rounds is None or number < rounds):
            name, kind = names[number % len(names)], ("kill", "crash", "full")[number % 3]
            folder = root / name / "troubled"
            said = trouble(kind, name, folder, rng, took[name])
            counts[said.partition(" ")[0]] = counts.get(said.partition(" ")[0], 0) + 1
            done = run(name, folder)
            if done.returncode:
                failures.append(f"{name} after {said}: {done.stderr.strip().splitlines()[-1:]}")
            elif difference := compare(root / name / "whole", folder):
                failures.append(f"{name} after {said}: {difference}")
            shutil.rmtree(folder, ignore_errors=True)
            number += 1
    return counts, failures


def trouble(kind: str, name: str, folder: Path, rng: random.Random, seconds: float) -> str:
    """One process in trouble; what happened to it."""
    if kind == "kill":
        process = subprocess.Popen(_command(name, folder), stderr=subprocess.DEVNULL)
        try:
            process.wait(timeout=rng.uniform(0, seconds))
        except subprocess.TimeoutExpired:
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
            return "kills"
        return "finished"
    call, at = rng.choice(CALLS), rng.randint(1, 10 if name == "store" else 40)
    when = rng.choice(("before", "after")) if kind == "crash" else rng.choice(("full", "read-only"))
    done = run(name, folder, call, str(at), when)
    what = f"{when} {call} {at}"
    if done.returncode == TROUBLED:
        return f"crashes {what}"
    if done.returncode and "Traceback" in done.stderr:
        return f"raw-errors {what}: {done.stderr.strip().splitlines()[-1]}"
    return f"refusals {what}" if done.returncode else "finished"


def compare(whole: Path, folder: Path) -> str | None:
    """How a folder differs from that of an undisturbed run; None if it does not."""
    expected, found = content(whole), content(folder)
    other = sorted({*expected, *found} - {k for k in expected if found.get(k) == expected[k]})
    left = [str(path) for path in folder.rglob("*.partial")]
    return f"differs in {other}" if other else f"left over: {left}" if left else None


def content(folder: Path) -> dict[str, bytes]:
    """Tables, cards and manifests; not locks, what was set aside, and models, whose records have times."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
        and path.name != ".lock"
        and not {"models", "set-aside"} & set(path.relative_to(folder).parts)
    }


def run(
    name: str, folder: Path, *trouble: str, check: bool = False
) -> "subprocess.CompletedProcess[str]":
    """One command in a process of its own."""
    return subprocess.run(
        _command(name, folder, *trouble), capture_output=True, text=True, check=check, timeout=1800
    )


def _command(name: str, folder: Path, *trouble: str) -> list[str]:
    return [sys.executable, __file__, "child", name, str(folder), *trouble]


def _timed(name: str, folder: Path) -> float:
    began = time.monotonic()
    run(name, folder, check=True)
    return time.monotonic() - began


def child(name: str, folder: Path, call: str = "", at: str = "0", when: str = "") -> int:
    """The command `name` on a folder, with trouble at its n-th `call` that touches the folder."""
    from ctm_eval.errors import CtmError

    folder.mkdir(parents=True, exist_ok=True)
    if call:
        _arm(folder, call, int(at), when)
    try:
        {"store": _store, "build": _build, "merge": _merge, "eval": _eval, "score": _score}[name](
            folder
        )
    except CtmError as error:
        print(f"ctm: {error}", file=sys.stderr)
        return 1
    return 0


def _arm(folder: Path, call: str, at: int, when: str) -> None:
    """Makes a system call of Python's the one that fails: `write` is that of the files of the store."""
    import errno

    import ctm_data.run.files as files

    seen = 0
    codes = {"full": errno.ENOSPC, "read-only": errno.EROFS}

    def wrapped(original: Callable[..., Any]) -> Callable[..., Any]:
        def function(*arguments: Any, **named: Any) -> Any:
            nonlocal seen
            seen += 1
            if when in codes and seen >= at and call != "unlink":
                raise OSError(codes[when], os.strerror(codes[when]))
            if when == "before" and seen == at:
                os._exit(TROUBLED)
            result = original(*arguments, **named)
            if when == "after" and seen == at:
                os._exit(TROUBLED)
            return result

        return function

    if call == "write":
        original = files.atomic

        def atomic(path: Path, write: Callable[[Any], object]) -> None:
            original(path, wrapped(write))

        import ctm_data.run.store as store

        files.atomic = store.atomic = atomic  # type: ignore[assignment]
    elif call == "open":
        original_open = Path.open

        def opened(self: Path, *arguments: Any, **named: Any) -> Any:
            ours = str(self).startswith(str(folder))
            return (counted if ours else original_open)(self, *arguments, **named)

        counted = wrapped(original_open)
        Path.open = opened  # type: ignore[method-assign]
    else:
        setattr(os, call, wrapped(getattr(os, call)))


def _store(folder: Path) -> None:
    """A run of one table, without a model."""
    from ctm_data.run.store import Store

    with Store.open(folder / "run", {"model": "pocket", "seed": 0}) as store:
        for chunk in range(4):
            if store.done("problems", chunk) != {(f"p{chunk}",)}:
                row = {"problem_id": f"p{chunk}", "question": "?", "answer": "1"}
                store.write("problems", chunk, [row])
        store.finish("# A card\n")


def _build(folder: Path, shard: tuple[int, int] | None = None, name: str = "run") -> None:
    from ctm_data.build import build_dataset
    from ctm_data.config import BuildConfig

    build_dataset(BuildConfig(folder / name, **SMALL, shard=shard))  # type: ignore[arg-type]


def _merge(folder: Path) -> None:
    from ctm_data.build import merge_shards

    for i in range(2):
        _build(folder, (i, 2), f"shard-{i}")
    merge_shards([folder / "shard-0", folder / "shard-1"], folder / "run")


def _eval(folder: Path) -> None:
    from ctm_data.config import EvalConfig
    from ctm_data.eval import evaluate

    evaluate(EvalConfig(folder / "run", limit=4, n_samples=2, chunk_size=2, max_new_tokens=96))


def _score(folder: Path) -> None:
    """Trains a verifier of a run that is built, and scores the run with it."""
    from ctm_data.build import build_dataset
    from ctm_data.config import BuildConfig
    from ctm_data.score import score_run
    from ctm_data.train import train

    build_dataset(BuildConfig(folder / "run", **SMALL, stages=("verifier",)))  # type: ignore[arg-type]
    os.chdir(folder)  # so that the verifier has the same name in every table
    train("orm", folder / "run", "models/orm", epochs=1)
    score_run("run", "models/orm")


if __name__ == "__main__":
    sys.exit(main())
