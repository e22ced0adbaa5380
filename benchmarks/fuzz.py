"""Hostile input to whatever reads files of others: no raw error, nothing written outside, bounded memory.

    python benchmarks/fuzz.py --count 100000 --seed 0

Sound manifests, part names, JSONL, Parquet files, YAML recipes and cards are mutated: bytes flipped, cut
and repeated, JSON values replaced by ones of other types. A reader may succeed or raise CtmError in one
printable line; anything else is a failure, printed with its seed, and the exit code is 1.
"""

import argparse
import contextlib
import json
import random
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ctm_eval.errors import CtmError

MEMORY = 1 << 30  # bytes that the process may hold
MANIFEST = {
    "schema_version": 1,
    "recipe": {"model": "pocket", "benchmark": "pocket", "n_rollouts": 64, "seed": 0},
    "versions": {"ctm": "0.1.0"},
    "shard": [0, 2],
    "parts": {"problems/part-00000.parquet": "0" * 64},
}
CARD = b"---\ntags:\n- ctm\nlicense: mit\n---\n# A card\n"
RECIPE = b"model: pocket\nn-samples: 8\nstages: [rollouts, contrast]\n"
VALUES = [
    None,
    True,
    -1,
    10**23,
    1e308,
    "",
    "../evil",
    "\x1b[2J",
    "\ud800",
    [],
    {},
    [[[]]],
    "9" * 5000,
]
NAMES = [
    "problems",
    "part-",
    "00000",
    ".parquet",
    "/",
    "..",
    "\\",
    "\x00",
    "٠",
    "~",
    "\n",
    "part-00000",
]


def main() -> int:
    """Runs the readers in turn. Returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    began = time.monotonic()
    failures = fuzz(options.count, options.seed)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    for failure in failures[:20]:
        print(failure, file=sys.stderr)
    print(
        f"{options.count:,} inputs in {time.monotonic() - began:.0f} s, {len(failures)} failures, peak "
        f"memory {peak / 2**20:.0f} MiB"
    )
    return 1 if failures or peak > MEMORY else 0


def fuzz(count: int, seed: int) -> list[str]:
    """What went wrong with `count` hostile inputs, a line each."""
    failures = []
    with tempfile.TemporaryDirectory() as name:
        home = Path(name) / "a" / "b"  # so that `..` leads to a folder that is looked at
        home.mkdir(parents=True)
        readers = _readers(home)
        before = _outside(Path(name), home)
        for i in range(count):
            kind = list(readers)[i % len(readers)]
            try:
                readers[kind](random.Random(f"{seed} {i}"))
            except CtmError as error:
                if not str(error).isprintable():
                    failures.append(f"{kind}, {seed} {i}: the error steers the terminal: {error!r}")
            except Exception as error:
                failures.append(f"{kind}, {seed} {i}: {type(error).__name__}: {str(error)[:200]!r}")
        if _outside(Path(name), home) != before:
            failures.append("something was written outside of the folder")
    return failures


def _outside(root: Path, home: Path) -> set[str]:
    return {str(path) for path in root.rglob("*") if home not in path.parents}


def _readers(home: Path) -> dict[str, Callable[[random.Random], object]]:
    import click
    import typer

    from ctm_cli._options import _from_file
    from ctm_data.pages.card import split_card
    from ctm_data.released import read_released
    from ctm_data.run.manifest import is_part_name, parse_manifest
    from ctm_data.run.store import Store, is_whole
    from ctm_eval.data_files import read_rows

    with Store.open(home / "run", {"model": "pocket"}) as store:
        rows = [{"problem_id": f"p{i}", "question": "?", "answer": "1"} for i in range(3)]
        store.write("problems", 0, rows)
    part = store.path("problems", 0)
    sound, selection = part.read_bytes(), {"pos": {"q": _entry()}, "neg": {"q_0": _entry()}}

    def part_name(rng: random.Random) -> None:
        name = "".join(rng.choices(NAMES, k=rng.randint(1, 5)))
        target = home / "run" / name if is_part_name(name) else None
        assert target is None or target.parent.parent == home / "run", name

    def parquet(rng: random.Random) -> None:
        part.write_bytes(_bytes(rng, sound))
        with contextlib.suppress(CtmError):
            Store(home / "run").read("problems")
        if is_whole(part, "problems"):
            Store(home / "run").read("problems").to_pylist()

    def jsonl(rng: random.Random) -> None:
        line = json.dumps(_value(rng, {"question": "?", "answer": [1, {"a": None}]}))
        (home / "rows.jsonl").write_bytes(_bytes(rng, (line + "\n").encode() * 3))
        list(read_rows(home / "rows.jsonl"))

    def recipe(rng: random.Random) -> None:
        with contextlib.suppress(typer.BadParameter):
            (home / "recipe.yaml").write_bytes(_bytes(rng, RECIPE))
            _from_file(context, home / "recipe.yaml")

    context: Any = click.Context(click.Command("x", params=[click.Option(["--model"])]))
    return {
        "manifest": lambda rng: parse_manifest(
            json.dumps(_value(rng, MANIFEST)).encode(), "here", finished=True
        ),
        "manifest bytes": lambda rng: parse_manifest(
            _bytes(rng, json.dumps(MANIFEST).encode()), "here"
        ),
        "part name": part_name,
        "JSONL": jsonl,
        "Parquet": parquet,
        "recipe": recipe,
        "card": lambda rng: split_card(_bytes(rng, CARD).decode("utf-8", "replace")),
        "released": lambda rng: read_released(
            "a.json", _bytes(rng, json.dumps(_value(rng, selection)).encode())
        ),
    }


def _entry() -> dict[str, str]:
    return {"question": "?", "response": "1", "answer": "1"}


def _value(rng: random.Random, value: Any) -> Any:
    """A JSON value with some of its parts replaced, removed or renamed."""
    if rng.random() < 0.15:
        return rng.choice(VALUES)
    if isinstance(value, dict):
        return {_name(rng, k): _value(rng, v) for k, v in value.items() if rng.random() > 0.03}
    if isinstance(value, list):
        return [_value(rng, one) for one in value for _ in range(rng.choice((1, 1, 1, 0, 2)))]
    return value


def _name(rng: random.Random, name: str) -> str:
    return "".join(rng.choices(NAMES, k=3)) if rng.random() < 0.05 else name


def _bytes(rng: random.Random, content: bytes) -> bytes:
    """Bytes flipped, cut, repeated or deepened; sometimes left alone."""
    changed = bytearray(content)
    for _ in range(rng.choice((0, 1, 1, 2, 4, 16))):
        at = rng.randrange(len(changed) + 1)
        match rng.randrange(5):
            case 0 if at < len(changed):
                changed[at] = rng.randrange(256)
            case 1:
                del changed[at : at + rng.randint(1, 20)]
            case 2:
                changed[at:at] = changed[at : at + rng.randint(1, 40)]
            case 3:
                changed[at:at] = rng.choice((b"[", b"{", b"\x1b", b"\xff", b"&a *a")) * rng.choice(
                    (1, 9)
                )
            case 4 if at + 4 <= len(changed):  # lengths in footers
                changed[at : at + 4] = rng.choice((b"\xff\xff\xff\x7f", bytes(4)))
    return bytes(changed)


if __name__ == "__main__":
    sys.exit(main())
