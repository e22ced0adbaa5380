"""The manifest of a run: one strict reader, for a folder of one's own as for one from elsewhere.

schema_version   the version of the tables
recipe           the options that decide the rows
versions         of the packages that made the run
shard            [I, N], if the run is one share of N
parts            "TABLE/part-00003.parquet": its SHA-256; only a finished run has it
"""

import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from ctm_data.run.files import read_bounded
from ctm_data.run.schema import READABLE_VERSIONS, SCHEMAS
from ctm_eval.errors import CtmError
from ctm_eval.printable import printable

MANIFEST = "manifest.json"
BESIDE = (
    MANIFEST,
    "README.md",
    "trajectory.svg",
    "results_ctm.json",
)  # what a run has beside tables
PART = re.compile(r"part-([0-9]{5})\.parquet")
SHA256 = re.compile(r"[0-9a-f]{64}")
NAME = re.compile(r"[A-Za-z0-9_.+-]{1,100}")
LONGEST = 64 << 20  # bytes of a manifest: a million parts
DEEPEST = 16  # brackets inside of each other
TEXTS = ("benchmark", "split", "command", "source", "revision", "data_file", "tokenizer", "engine")
COUNTS = ("n_samples", "n_rollouts", "trajectories", "chunk_size", "max_new_tokens",
          "max_thinking_tokens", "limit")  # fmt: skip
REALS = ("temperature", "top_p", "ce_beta", "ce_plausibility")


def read_manifest(folder: str | Path) -> dict[str, Any]:
    """The manifest of the run in a folder. Raises CtmError in one line if it is not as it must be."""
    path = Path(folder) / MANIFEST
    return parse_manifest(read_bounded(path, LONGEST), str(path))


def parse_manifest(content: bytes, where: str, *, finished: bool = False) -> dict[str, Any]:
    """A manifest from its bytes; with `finished`, of a finished run.

    Raises CtmError if it is none, is of a later schema, or names what is no part of a table.
    """

    def refuse(reason: str) -> NoReturn:
        raise CtmError(
            f"{where} is not the manifest of a run: {printable(reason, 200)}; bring the run here anew "
            "or make it in another folder"
        )

    try:
        if len(content) > LONGEST:
            refuse(f"it is longer than {LONGEST >> 20} MiB")
        manifest = json.loads(content.decode("utf-8"))
        json.dumps(manifest, ensure_ascii=False, allow_nan=False).encode()
        fault = _too_much(manifest)
    except RecursionError:
        refuse("its brackets are nested too deeply")
    except ValueError as error:
        refuse(f"it is not JSON in UTF-8 ({str(error).splitlines()[0]})")
    if fault or not isinstance(manifest, dict):
        refuse(fault or "it is no JSON object")
    version = manifest.get("schema_version")
    if type(version) is not int:
        refuse("schema_version is no whole number")
    if version not in READABLE_VERSIONS:
        read = ", ".join(map(str, sorted(READABLE_VERSIONS)))
        raise CtmError(
            f"{where} has schema version {version}, and this ctm reads {read}: install the version of "
            "ctm that its card names"
        )
    manifest.setdefault("versions", {})
    for name, check in (
        ("recipe", _recipe_fault),
        ("versions", _versions_fault),
        ("shard", _shard_fault),
        ("parts", _parts_fault),
    ):
        if (name in manifest or name == "recipe") and (fault := check(manifest.get(name))):
            refuse(fault)
    if finished and "parts" not in manifest:
        raise CtmError(f"{where} is not the manifest of a finished run: it lists no parts")
    return manifest


def _recipe_fault(recipe: Any) -> str | None:
    if not isinstance(recipe, dict):
        return "recipe is no object"
    if not all(NAME.fullmatch(name) for name in recipe):
        return "an option of the recipe has no proper name"
    for names, fits, what in (
        (TEXTS, lambda v: isinstance(v, str), "text"),
        (COUNTS, lambda v: type(v) is int and 0 < v < 1 << 31, "a count"),
        (REALS, lambda v: type(v) in (int, float), "a number"),
        (("seed",), lambda v: type(v) is int, "a whole number"),
    ):
        for name in names:
            if recipe.get(name) is not None and not fits(recipe[name]):
                return f"{name} of the recipe is not {what}"
    models = recipe.get("model")
    listed = models if isinstance(models, list) else [models]
    if models is not None and not (listed and all(isinstance(one, str) for one in listed)):
        return "model of the recipe is no name"
    aside = recipe.get("set_aside", {})
    if not isinstance(aside, dict) or not all(type(n) is int for n in aside.values()):
        return "set_aside of the recipe is no list of counts"
    return None


def _versions_fault(versions: Any) -> str | None:
    fits = isinstance(versions, dict) and all(
        isinstance(said, str) and NAME.fullmatch(said) for item in versions.items() for said in item
    )
    return None if fits else "versions is no object of names and versions"


def _shard_fault(shard: Any) -> str | None:
    fits = (
        isinstance(shard, list)
        and len(shard) == 2
        and all(type(number) is int for number in shard)
        and 0 <= shard[0] < shard[1]
    )
    return None if fits else "shard is not [I, N] with I from 0 to N - 1"


def _parts_fault(parts: Any) -> str | None:
    if not isinstance(parts, dict):
        return "parts is no object"
    for part, digest in parts.items():
        if not is_part_name(part):
            return f"it names {part!r}, which is no part of a table"
        if not isinstance(digest, str) or SHA256.fullmatch(digest) is None:
            return f"the hash of {part} is no SHA-256"
    return None


def is_part_name(name: str) -> bool:
    """Whether a name is TABLE/part-NNNNN.parquet: no path that leads anywhere else."""
    table, _, part = name.partition("/")
    return table.isascii() and table.isidentifier() and PART.fullmatch(part) is not None


def parts_by_table(manifest: Mapping[str, Any]) -> dict[str, list[str]]:
    """The parts that a manifest lists, by the tables that are known here."""
    names = sorted(manifest["parts"])
    return {table: [name for name in names if name.startswith(f"{table}/")] for table in SCHEMAS}


def _too_much(value: Any) -> str | None:
    """What no manifest of ours holds: deep nesting, numbers that no column takes."""
    level = [value]
    for _ in range(DEEPEST):
        below: list[Any] = []
        for one in level:
            if isinstance(one, dict):
                below += one.values()
            elif isinstance(one, list):
                below += one
            elif isinstance(one, int) and not -(1 << 63) <= one < 1 << 63:
                return "a number in it has more than 64 bits"
            elif isinstance(one, float) and not math.isfinite(one):
                return "a number in it is not finite"
        if not below:
            return None
        level = below
    return "its brackets are nested too deeply"
