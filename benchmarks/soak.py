"""Kills, crashes, bad disks, a stopped server: the same command finishes every folder as if undisturbed.

    python benchmarks/soak.py --minutes 60 --seed 0

Six kinds of trouble, in turn, at places drawn from the seed:

    kill       SIGKILL at a random moment of a command
    crash      SIGKILL before or after its n-th open, write, fsync, rename or unlink in the folder,
               whether Python, C++ or Rust calls it; see soak_crash.c, which wants a C compiler
    disk       a file system with 2 KB to 20 MB of room
    read-only  a file system that cannot be written to, with nothing in it or a run that was killed
    slow       every such call takes up to 200 ms, ten seconds in all, and SIGKILL at a random moment
    server     the Hub hangs up on everybody, from a random moment on

The commands are build-dataset (with rollouts and contrast training), its --merge, train, eval, score,
publish and pull (with a Hub on loopback, of a run and of the authors' data); with `--quick`, a run folder
written by the store alone. Every kind but those of disks may strike twice. A full disk and a stopped Hub
have to be explained in one line. Then the command is run again undisturbed: every file has to be, byte
for byte, that of an undisturbed run, and none may be left over. Of a model's records, which hold times,
only the names are compared.
"""

import argparse
import ctypes
import json
import math
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import cycle, islice, product
from pathlib import Path

HERE = Path(__file__).parent
SMALL = {"limit": 4, "n_samples": 6, "n_rollouts": 4, "chunk_size": 2, "max_new_tokens": 96}
CALLS = ("open", "write", "fsync", "rename", "unlink")  # as numbered in soak_crash.c
MOMENTS = ("before", "after")
TURNS = ("kill", "crash", "slow", "disk", "kill", "crash", "server", "crash", "kill", "read-only")
SLOWEST = 10.0  # seconds that a slow disk may add to a command
SMALLEST, LARGEST = 2 << 10, 20 << 20  # bytes of room on a disk
RECORDS = ("training.json", "metrics.jsonl", "README.md")  # of a model: they hold times
STOPPED = "stopped"  # a file that is there while the Hub is not
CACHE = "cache"  # a folder of the Hub's client, which tidies up for itself
RAW = 70  # exit code of an error that nobody explained
PATIENCE = 900.0  # seconds for one command
NEWNS, NEWUSER = 0x00020000, 0x10000000
INSIDE = "CTM_SOAK"  # set in the process that has the Hub's address and sees its own calls


def main() -> int:
    """Starts the Hub, and rounds of trouble in a process beside it. Returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--rounds", type=int, help="at most so many")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--stages", default=",".join(s for s in STAGES if s != "store"))
    parser.add_argument("--quick", action="store_true", help="the store alone, no models")
    options = parser.parse_args()
    names = ["store"] if options.quick else options.stages.split(",")
    if INSIDE in os.environ:
        with tempfile.TemporaryDirectory(dir=os.environ[INSIDE]) as home:
            return Soak(Path(home), names, options.seed).run(options.minutes * 60, options.rounds)
    sys.path.insert(0, str(HERE.parent / "tests" / "support"))
    from hub import Hub

    with tempfile.TemporaryDirectory() as home, Hub() as hub:
        hub.server.handle_error = lambda *_: None  # a client that is killed hangs up

        def hang_up() -> None:
            if Path(home, STOPPED).exists():
                raise ConnectionResetError

        hub.fail("", times=math.inf, do=hang_up)
        environment = {**os.environ, **hub.env(Path(home) / "hub"), INSIDE: home}
        environment |= {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
        if compiler := shutil.which("cc"):
            library = Path(home) / "soak_crash.so"
            subprocess.run(
                [compiler, "-shared", "-fPIC", "-O1", "-o", library, HERE / "soak_crash.c", "-ldl"],
                check=True,
            )
            environment["LD_PRELOAD"] = str(library)
        else:
            print("no C compiler, so no crashes at single calls", file=sys.stderr)
        return subprocess.run([sys.executable, *sys.argv], env=environment).returncode


@dataclass(frozen=True)
class Ended:
    """How a process ended: its exit code (-9 for SIGKILL) and what it said."""

    code: int
    said: str

    @property
    def explained(self) -> bool:
        """Whether it did its work, or said in one line why not."""
        return self.code == 0 or (
            self.code == 1 and self.last.startswith("ctm: ") and "Traceback" not in self.said
        )

    @property
    def last(self) -> str:
        """The last line it said."""
        return (self.said.strip().splitlines() or [""])[-1]

    def __str__(self) -> str:
        return f"exit code {self.code}: {' / '.join(self.said.strip().splitlines()[-12:])}"


class Soak:
    """Folders below `root`, the undisturbed run of every stage, and what has happened so far."""

    def __init__(self, root: Path, names: list[str], seed: int) -> None:
        self.root, self.names, self.rng = root, names, random.Random(seed)
        self.counts: Counter[tuple[str, str]] = Counter()  # of a stage and a kind of trouble
        self.calls: Counter[str] = Counter()  # of crashes, by call and moment
        self.failures: list[str] = []
        self.mounts = not self._fork(_own_mounts).code
        if not self.mounts:
            print("no mounts of one's own here, so no full or read-only disks", file=sys.stderr)
        library = os.environ.get("LD_PRELOAD")
        self.library = ctypes.CDLL(library) if library else None
        _warm_up(names)  # imports, once for every process that is forked from this one
        inputs = root / "inputs"
        inputs.mkdir()
        for name in names:
            for make in STAGES[name].inputs:
                if not (inputs / make.__name__).exists():
                    self._fork(lambda make=make: make(inputs / make.__name__), check=True)
        self.whole: dict[str, dict[str, bytes]] = {}
        self.took: dict[str, float] = {}
        self.seen: dict[str, list[int]] = {}
        for name in names:
            folder, counted = root / name / "whole", root / "seen.json"
            self._prepare(name, folder)
            began = time.monotonic()
            self._fork(partial(self._counting, name, folder, counted), check=True)
            self.took[name] = time.monotonic() - began
            self.seen[name] = json.loads(counted.read_text())
            self.whole[name] = self._content(name, folder)
            print(f"{name}: {self.took[name]:.1f} s, {len(self.whole[name])} files, calls "
                  f"{dict(zip(CALLS, self.seen[name], strict=True))}", flush=True)  # fmt: skip

    def run(self, seconds: float, rounds: int | None) -> int:
        """Rounds of trouble until the time is over. Prints what happened; returns the exit code."""
        end = time.monotonic() + seconds
        for number, (kind, name, call, moment) in enumerate(islice(self._plan(), rounds), 1):
            if time.monotonic() > end:
                break
            folder = self.root / name / f"{number:04d}"
            if kind in ("kill", "crash", "slow", "server"):
                what, fault = self._struck(name, folder, kind, call, moment)
            else:
                what, fault = self._mounted(name, folder, kind)
            print(f"{number:4d} {name}: {what}: {fault or 'finished'}", flush=True)
            if fault:
                self.failures.append(f"{name}, {what}: {fault}")
            shutil.rmtree(folder, ignore_errors=True)
        self._print()
        return 1 if self.failures else 0

    def _plan(self) -> Iterator[tuple[str, str, str, str]]:
        """Without end: a kind of trouble, a stage, and for a crash a call and a moment."""
        turns = {kind: cycle(self.names) for kind in TURNS}
        online = [name for name in self.names if STAGES[name].online]
        turns["server"] = cycle(online)
        crashes = cycle(product(MOMENTS, CALLS, self.names))
        possible = {"kill"}
        possible |= {"crash", "slow"} if self.library else set()
        possible |= {"disk", "read-only"} if self.mounts else set()
        possible |= {"server"} if online else set()
        for kind in cycle([kind for kind in TURNS if kind in possible]):
            if kind == "crash":
                moment, call, name = next(crashes)
                yield kind, name, call, moment
            else:
                yield kind, next(turns[kind]), "", ""

    def _struck(
        self, name: str, folder: Path, kind: str, call: str, moment: str
    ) -> tuple[str, str | None]:
        """Kills or crashes, once or twice, and the run that mends it: what happened, and what is wrong."""
        self._prepare(name, folder)
        told = []
        for _ in range(self.rng.choice((1, 1, 2))):
            if kind == "kill":
                after = self.rng.uniform(0, 0.95 * self.took[name])
                ended = self._fork(lambda: STAGES[name].work(folder), kill=after)
                told.append(f"killed after {after:.2f} s")
            elif kind == "slow":
                calls = max(1, sum(self.seen[name]))
                wait = min(
                    math.exp(self.rng.uniform(math.log(1e-3), math.log(0.2))), SLOWEST / calls
                )
                after = self.rng.uniform(0, 0.95 * (self.took[name] + wait * calls))
                ended = self._fork(partial(self._slowly, name, folder, wait), kill=after)
                told.append(f"killed after {after:.2f} s on a disk of {1000 * wait:.0f} ms")
            elif kind == "server":
                after = self.rng.uniform(0, 0.95 * self.took[name])
                ended = self._without_hub(name, folder, after)
                told.append(f"stopped after {after:.2f} s ({ended.last})")
            else:
                has = [i for i, count in enumerate(self.seen[name]) if count]
                which = CALLS.index(call) if CALLS.index(call) in has else self.rng.choice(has)
                n = self.rng.randint(1, self.seen[name][which])
                ended = self._fork(lambda w=which, n=n: self._crashing(name, folder, w, n, moment))
                told.append(f"crashed {moment} {CALLS[which]} {n}")
            if ended.code == -signal.SIGKILL or (
                kind == "server" and ended.code and ended.explained
            ):
                self.counts[name, kind] += 1
                if kind == "crash":
                    self.calls[f"{moment} {CALLS[which]}"] += 1
            elif ended.code:
                return " and ".join(told), f"not as ordered, but {ended}"
            else:
                told[-1] = "ended before it was " + told[-1]
            if fault := STAGES[name].half(folder, self.root / "inputs"):
                return " and ".join(told), fault
        return " and ".join(told), self._mend(name, folder)

    def _mounted(self, name: str, folder: Path, kind: str) -> tuple[str, str | None]:
        """The same on a file system of its own, in a process with a namespace for it."""
        room = round(math.exp(self.rng.uniform(math.log(SMALLEST), math.log(LARGEST))))
        killed = self.rng.uniform(0, self.took[name]) if self.rng.random() < 0.5 else None
        result = self.root / "result.json"
        result.unlink(missing_ok=True)
        folder.mkdir(parents=True)

        def work() -> None:
            _own_mounts()
            _mount("tmpfs", "size=4g", folder)
            self._prepare(name, folder)
            if killed is not None and kind == "read-only":
                self._fork(lambda: STAGES[name].work(folder), kill=killed)
            if kind == "disk":
                used = os.statvfs(folder)
                size = (used.f_blocks - used.f_bfree) * used.f_frsize + room
                _mount("remount", f"size={size}", folder)
            else:
                _mount("remount", "ro", folder)
            ended = self._fork(lambda: STAGES[name].work(folder))
            fault = None if ended.explained else f"not explained: {ended}"
            _mount("remount", "rw,size=4g", folder)
            fault = fault or self._mend(name, folder)
            said = ended.last if ended.code else "had room enough"
            result.write_text(json.dumps([said, fault]))

        what = f"{room:,} bytes of room" if kind == "disk" else "read-only"
        ended = self._fork(work)
        if ended.code or not result.exists():
            return what, f"no mount: {ended}"
        (said, fault) = json.loads(result.read_text())
        self.counts[name, kind] += 1
        return f"{what} ({said})", fault

    def _mend(self, name: str, folder: Path) -> str | None:
        """Runs the command undisturbed. Returns what is not as it should be."""
        ended = self._fork(lambda: STAGES[name].work(folder))
        if ended.code:
            return f"not finished: {ended}"
        whole, found = self.whole[name], self._content(name, folder)
        if left := sorted(set(found) - set(whole)):
            return f"left over: {left}"
        other = sorted(path for path, content in whole.items() if found.get(path) != content)
        return f"differs in {other}" if other else None

    def _prepare(self, name: str, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        STAGES[name].prepare(folder, self.root / "inputs")

    def _content(self, name: str, folder: Path) -> dict[str, bytes]:
        """Every file below a folder, and what the stage left elsewhere; of a model's records the names."""
        found = {
            str(path.relative_to(folder)): b""
            if "models" in path.relative_to(folder).parts and path.name in RECORDS
            else path.read_bytes()
            for path in folder.rglob("*")
            if path.is_file() and CACHE not in path.relative_to(folder).parts
        }
        return found | STAGES[name].elsewhere(folder)

    def _counting(self, name: str, folder: Path, counted: Path) -> None:
        if self.library:
            self._arm(folder, -1, 0, 0)
        STAGES[name].work(folder)
        seen = (
            (ctypes.c_long * len(CALLS)).in_dll(self.library, "seen") if self.library else [0] * 5
        )
        counted.write_text(json.dumps(list(seen)))

    def _crashing(self, name: str, folder: Path, which: int, n: int, moment: str) -> None:
        self._arm(folder, which, n, MOMENTS.index(moment))
        STAGES[name].work(folder)

    def _slowly(self, name: str, folder: Path, wait: float) -> None:
        assert self.library
        self.library.slow(os.fsencode(folder.resolve()), ctypes.c_long(round(1e6 * wait)))
        STAGES[name].work(folder)

    def _without_hub(self, name: str, folder: Path, after: float) -> Ended:
        """Works on a folder; the Hub hangs up after so many seconds, until the command has ended."""
        stopped = Path(os.environ[INSIDE], STOPPED)
        stop = threading.Timer(after, stopped.touch)
        stop.start()
        try:
            return self._fork(lambda: STAGES[name].work(folder))
        finally:
            stop.cancel()
            stop.join()
            stopped.unlink(missing_ok=True)

    def _arm(self, folder: Path, which: int, n: int, moment: int) -> None:
        assert self.library
        self.library.arm(os.fsencode(folder.resolve()), which, ctypes.c_long(n), moment)

    def _fork(
        self, work: Callable[[], object], *, kill: float | None = None, check: bool = False
    ) -> Ended:
        """`work()` in a process forked from this one, killed after so many seconds."""
        from ctm_eval.errors import CtmError
        from ctm_train.errors import TrainError

        said = self.root / f"said-{os.getpid()}"
        child = os.fork()
        if not child:
            code = RAW
            try:
                with said.open("wb") as file:
                    os.dup2(file.fileno(), 1)
                    os.dup2(file.fileno(), 2)
                work()
                code = 0
            except (CtmError, TrainError) as error:
                print(f"ctm: {error}", file=sys.stderr)
                code = 1
            except BaseException:
                traceback.print_exc()
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(code)
        began, limit = time.monotonic(), PATIENCE if kill is None else kill
        while not (status := os.waitpid(child, os.WNOHANG))[0]:
            if time.monotonic() - began > limit:
                os.kill(child, signal.SIGKILL)
                limit = math.inf
            time.sleep(0.002)
        ended = Ended(os.waitstatus_to_exitcode(status[1]), said.read_text(errors="replace"))
        if check and ended.code:
            raise SystemExit(str(ended))
        return ended

    def _print(self) -> None:
        kinds = list(dict.fromkeys(TURNS))
        print("\n| command | " + " | ".join(kinds) + " |\n|---" + "|---" * len(kinds) + "|")
        for name in self.names:
            print(f"| {name} | " + " | ".join(str(self.counts[name, k]) for k in kinds) + " |")
        sums = (str(sum(n for (_, k), n in self.counts.items() if k == kind)) for kind in kinds)
        print("| all | " + " | ".join(sums) + " |\n")
        print("crashes: " + ", ".join(f"{n} {what}" for what, n in sorted(self.calls.items())))
        for failure in self.failures:
            print(f"FAILURE {failure}")
        print(f"{len(self.failures)} failures")


def _own_mounts() -> None:
    """Gives this process mounts of its own; an ordinary user becomes root of a namespace for it."""
    user, group = os.getuid(), os.getgid()
    if ctypes.CDLL(None, use_errno=True).unshare(NEWNS | (NEWUSER if user else 0)):
        raise OSError(ctypes.get_errno(), "unshare")
    if user:
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"0 {user} 1")
        Path("/proc/self/gid_map").write_text(f"0 {group} 1")
    subprocess.run(["mount", "--make-rprivate", "/"], check=True)


def _mount(how: str, options: str, folder: Path) -> None:
    said = ["-o", f"remount,{options}"] if how == "remount" else ["-t", how, "-o", options, "none"]
    subprocess.run(["mount", *said, folder], check=True)


def _warm_up(names: list[str]) -> None:
    """Imports what the commands import."""
    from importlib import import_module

    import_module("ctm_data.run.store")
    if names == ["store"]:
        return
    for name in ("build", "eval", "publish", "pull", "score", "train"):
        import_module(f"ctm_data.{name}")
    for name in ("accelerate", "datasets", "peft", "ctm_train.methods"):
        import_module(name)
    for name in ("AutoModelForCausalLM", "AutoTokenizer", "LlamaForCausalLM", "TrainingArguments"):
        getattr(import_module("transformers"), name)


# The commands. Each takes its folder; what it reads is named after the function that makes it.


def _inputs(folder: Path) -> Path:
    """The folder of the inputs, from that of a round."""
    return folder.parents[1] / "inputs"


def _store(folder: Path) -> None:
    """A run of one table, without a model."""
    from ctm_data.run.store import Store

    with Store.open(folder / "run", {"model": "pocket", "seed": 0}) as store:
        for chunk in range(4):
            if store.done("problems", chunk) != {(f"p{chunk}",)}:
                row = {"problem_id": f"p{chunk}", "question": "?", "answer": "1"}
                store.write("problems", chunk, [row])
        store.finish("# A card\n")


def _build(folder: Path) -> None:
    built(folder / "run")


def built(folder: Path, **options: object) -> None:
    """A run with rollouts and contrast training."""
    from ctm_data.build import build_dataset
    from ctm_data.config import BuildConfig

    build_dataset(BuildConfig(folder, **{**SMALL, **options}))  # type: ignore[arg-type]


def shards(folder: Path) -> None:
    """Both halves of it."""
    for i in range(2):
        built(folder / str(i), shard=(i, 2))


def labelled(folder: Path) -> None:
    """A run with the training data of a verifier."""
    built(folder, stages=("verifier",))


def orm(folder: Path) -> None:
    """A verifier that was trained on it."""
    from ctm_data.train import train

    train("orm", folder.parent / "labelled", folder, epochs=1)


def published(folder: Path) -> None:
    """The run on the Hub, as user alice's."""
    from ctm_data.publish import publish

    publish(folder.parent / "built", "alice/published")
    folder.mkdir()


def _merge(folder: Path) -> None:
    from ctm_data.build import merge_shards

    halves = [_inputs(folder) / "shards" / str(i) for i in range(2)]
    merge_shards(halves, folder / "run", stages=("rollouts",))


def _train(folder: Path) -> None:
    from ctm_data.train import train

    train("cdpo", _inputs(folder) / "built", folder / "models" / "cdpo", epochs=4, batch_size=1)


def _eval(folder: Path) -> None:
    from ctm_data.config import EvalConfig
    from ctm_data.eval import evaluate

    evaluate(EvalConfig(folder / "run", limit=4, n_samples=2, chunk_size=2, max_new_tokens=96))


def _score(folder: Path) -> None:
    from ctm_data.score import score_run

    score_run(folder / "run", _inputs(folder) / "orm")


def _publish(folder: Path) -> None:
    from ctm_data.publish import publish

    publish(folder / "run", f"alice/{folder.name}")


def _pull(folder: Path) -> None:
    from ctm_data.pull import pull

    pull("alice/published", folder / "run")


def released(folder: Path) -> None:
    """Pairs as the paper's authors released them, on the Hub as user alice's."""
    from huggingface_hub import HfApi

    texts = [f"text {i} " * 50 for i in range(400)]
    pairs = {"prompt": texts, "chosen": texts, "rejected": texts, "answer": ["1"] * len(texts)}
    folder.mkdir()
    HfApi().create_repo("alice/released", repo_type="dataset", exist_ok=True)
    HfApi().upload_file(
        path_or_fileobj=json.dumps(pairs).encode(),
        path_in_repo="pairs.json",
        repo_id="alice/released",
        repo_type="dataset",
    )


def _pull_released(folder: Path) -> None:
    """With the Hub's cache in the same place, which is full or read-only where that is."""
    from huggingface_hub import constants

    from ctm_data.pull import pull

    constants.HF_HUB_CACHE = str(folder / CACHE)
    pull("alice/released", folder / "run")


def _on_hub(folder: Path) -> dict[str, bytes]:
    """The files of the repository of a round; its name is left out of the card."""
    repo, url = f"alice/{folder.name}", os.environ["HF_ENDPOINT"]
    try:
        with urllib.request.urlopen(f"{url}/api/datasets/{repo}") as answer:
            names = [file["rfilename"] for file in json.load(answer)["siblings"]]
    except urllib.error.HTTPError:
        return {}
    found = {}
    for name in names:
        with urllib.request.urlopen(f"{url}/datasets/{repo}/resolve/main/{name}") as answer:
            found[f"hub:{name}"] = answer.read().replace(repo.encode(), b"alice/repo")
    return found


def _copies(what: str) -> Callable[[Path, Path], None]:
    def prepare(folder: Path, inputs: Path) -> None:
        shutil.copytree(inputs / what, folder / "run")

    return prepare


def _whole_or_none(folder: Path, inputs: Path) -> str | None:
    """A published dataset is there whole or not at all, whenever it is looked at."""
    there = {name for name in _on_hub(folder) if name != "hub:.gitattributes"}
    parts = {
        f"hub:{p.relative_to(inputs / 'built')}" for p in (inputs / "built").rglob("*.parquet")
    }
    return f"half a dataset: {sorted(there)}" if there and not parts <= there else None


@dataclass(frozen=True)
class Stage:
    """A command: its work on a folder, what has to be there before, and where else it leaves something."""

    work: Callable[[Path], None]
    inputs: tuple[Callable[[Path], None], ...] = ()
    prepare: Callable[[Path, Path], None] = lambda folder, inputs: None
    elsewhere: Callable[[Path], dict[str, bytes]] = lambda folder: {}
    half: Callable[[Path, Path], str | None] = lambda folder, inputs: None
    online: bool = False


STAGES = {
    "store": Stage(_store),
    "build": Stage(_build),
    "merge": Stage(_merge, (shards,)),
    "train": Stage(_train, (built,)),
    "eval": Stage(_eval),
    "score": Stage(_score, (labelled, orm), _copies("labelled")),
    "publish": Stage(_publish, (built,), _copies("built"), _on_hub, _whole_or_none, online=True),
    "pull": Stage(_pull, (built, published), online=True),
    "released": Stage(_pull_released, (released,), online=True),
}


if __name__ == "__main__":
    sys.exit(main())
