"""The record of a training, `training.json`: which one a folder belongs to, and whether it is finished."""

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from ctm_train.data import ROWS
from ctm_train.errors import TrainError

RECORD = "training.json"
PARTIAL = f".{RECORD}.partial"  # what a kill leaves of a record that was being written
FIRST = 6  # differences that are told
WEIGHTS = ".tmp??????"  # and of weights that safetensors was writing
RENAMED = {"settings.gamma": "settings.beta", "settings.margin": "settings.simpo_gamma"}
MAY_CHANGE = ("versions", "machine")  # between a run and what goes on with it
ADDED = ("reference", "settings.warmup_limit", "data.pairs_without_weights")  # not in old records


def finished(folder: Path, call: Mapping[str, Any]) -> dict[str, Any] | None:
    """The outcome if the folder's run is done. Raises TrainError if it was another run's."""
    if folder.is_file():
        raise TrainError(f"{folder} is a file; give a folder as --output-dir", usage=True)
    if not (folder / RECORD).exists():
        if folder.exists() and any(path.name not in (ROWS, PARTIAL) for path in folder.iterdir()):
            raise TrainError(
                f"{folder} is not empty and no training was begun there; give another --output-dir",
                usage=True,
            )
        return None
    try:
        before = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        before = None
    if not isinstance(before, dict):
        raise TrainError(f"{folder / RECORD} cannot be read; give another --output-dir", usage=True)
    flat, there = _flat(call), _flat({k: v for k, v in before.items() if k != "outcome"})
    own = {RENAMED.get(name, name): value for name, value in there.items()}
    changed = [
        f"{name}: {own.get(name)!r} there, {flat.get(name)!r} here"
        for name in sorted({*flat, *own})
        if flat.get(name) != own.get(name)
        and not name.startswith(MAY_CHANGE)
        and not (name in ADDED and name not in own)
    ]
    if changed:
        raise TrainError(
            f"{folder} belongs to another training ({first_of(changed)}); give the same options to go "
            "on with it, or another --output-dir",
            usage=True,
        )
    if "outcome" not in before:
        return None
    with suppress(OSError):  # the work is done, so a disk that cannot be written to is no hindrance
        clear(folder)  # a kill may have come between the last record and the cleaning
    return dict(before["outcome"])


def first_of(changed: Sequence[str]) -> str:
    """The first of what two calls say differently, and how many more there are: with so many, it is
    another call, and no slip."""
    more = [f"and {len(changed) - FIRST} more"] if len(changed) > FIRST else []
    return "; ".join([*changed[:FIRST], *more])


def clear(folder: Path) -> None:
    """Removes what only an unfinished run needs."""
    for partial in (folder / PARTIAL, *folder.glob(WEIGHTS)):
        partial.unlink(missing_ok=True)
    for scratch in (*folder.glob("checkpoint-*"), folder / ROWS):
        shutil.rmtree(scratch, ignore_errors=True)


def begin(folder: Path, call: Mapping[str, Any]) -> None:
    """Makes the folder and the record of a run that is not finished yet."""
    folder.mkdir(parents=True, exist_ok=True)
    write(folder, call)


def write(folder: Path, value: Mapping[str, Any]) -> None:
    """Writes the record, whole or not at all."""
    partial = folder / PARTIAL
    try:
        partial.write_text(json.dumps(value, indent=2) + "\n")
        os.replace(partial, folder / RECORD)
    except OSError:
        partial.unlink(missing_ok=True)
        raise


def last_checkpoint(folder: Path) -> str | None:
    """The newest whole checkpoint of a run; what a kill left half-written is not whole."""
    found = sorted(folder.glob("checkpoint-*"), key=lambda path: int(path.name.split("-")[1]))
    for checkpoint in reversed(found):
        try:  # the trainer writes this file last
            json.loads((checkpoint / "trainer_state.json").read_text())
        except (OSError, ValueError, RecursionError):
            continue
        return str(checkpoint)
    return None


def _flat(value: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, entry in value.items():
        if isinstance(entry, dict):
            flat |= _flat(entry, f"{prefix}{name}.")
        else:
            flat[prefix + name] = entry
    return flat
