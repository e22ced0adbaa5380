"""Rows of JSONL and Parquet files, each with a name to be called by in an error; all within bounds."""

import codecs
import hashlib
import json
import os
import stat
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ctm_eval.errors import CtmError
from ctm_eval.parquet_pages import Sizes, sizes

if TYPE_CHECKING:
    from pyarrow.parquet import ParquetFile

LINE_BYTES = 64 << 20  # of one line of JSON
UNPACKED_BYTES = 1 << 30  # of all that a Parquet file unpacks to
BATCH = 1000  # rows that are unpacked at a time
GZIP = b"\x1f\x8b"
HELD = 64 << 20  # bytes of texts with shared beginnings that are unpacked at a time


class BrokenLine(CtmError):
    """A line that holds no JSON object. `reason` says so without its place or what it holds."""

    def __init__(self, where: str, reason: str, told: str = "") -> None:
        super().__init__(f"{where} is {reason}{told and f': {told}'}", usage=True)
        self.reason = f"a line that is {reason}"


def read_rows(
    path: str | os.PathLike[str], aside: Counter[str] | None = None
) -> Iterator[tuple[str, dict[str, Any]]]:
    """("FILE, line 3", row) for every row of a JSONL or Parquet file, or of a folder of Parquet files.

    Raises CtmError for a file that is not there, of another kind, or broken, naming the line; also for a
    line or a Parquet file beyond the bounds above, and for what is no regular file. With `aside`, a line
    that is no JSON object does not end the reading and is counted there by its reason.
    """
    path = Path(path)
    if path.is_dir():
        parts = sorted(path.rglob("*.parquet"))
        if not parts:
            raise CtmError(f"{path} holds no Parquet file", usage=True)
        for part in parts:
            yield from read_rows(part)
        return
    if not path.exists():
        raise CtmError(f"there is no file {path}", usage=True)
    refuse_irregular(path)
    if path.suffix == ".parquet":
        yield from _parquet(path)
    elif path.suffix in (".jsonl", ".ndjson", ".json"):
        yield from _json_lines(path, aside)
    else:
        raise CtmError(f"{path}: only .jsonl and .parquet files are read", usage=True)


def writable(path: str | os.PathLike[str]) -> None:
    """Raises CtmError if no file can be made at `path`: its folder is missing, it is a folder, or it is a
    part or the manifest of a run, which is never written over."""
    folders = Path(path).resolve().parents
    part = (
        Path(path).suffix == ".parquet" and (folders[1 % len(folders)] / "manifest.json").is_file()
    )
    if part or (Path(path).name == "manifest.json" and Path(path).is_file()):
        raise CtmError(f"{path} is a file of a run; give another name", usage=True)
    if Path(path).is_dir():
        raise CtmError(f"{path} is a folder: give the name of a file", usage=True)
    if not Path(path).parent.is_dir():
        raise CtmError(
            f"cannot write {path}: there is no folder {Path(path).parent}; make it first",
            usage=True,
        )


def text_in(row: Mapping[str, Any], *names: str) -> str:
    """The text in the first of these fields that a row has. Raises CtmError naming the field."""
    for name in names:
        if name in row:
            if not isinstance(row[name], str):
                told = (
                    "null" if row[name] is None else f"{str(row[name])[:40]} ({kind_of(row[name])})"
                )
                raise CtmError(f"the field {name!r} must be text, not {told}", usage=True)
            return str(row[name])
    raise CtmError(f"there is no field {' or '.join(map(repr, names))}", usage=True)


def list_in(row: Mapping[str, Any], *names: str) -> list[str]:
    """The texts in the first of these fields that a row has; a single one counts as a list of one, and
    null or an empty text as none. Raises CtmError naming the field."""
    name = next((name for name in names if name in row), None)
    if name is None:
        raise CtmError(f"there is no field {' or '.join(map(repr, names))}", usage=True)
    values = row[name] if isinstance(row[name], list) else [row[name]] if row[name] else []
    if other := [value for value in values if not isinstance(value, str)]:
        raise CtmError(
            f"the field {name!r} must be a list of texts, and holds {kind_of(other[0])}", usage=True
        )
    return values


def kind_of(value: Any) -> str:
    """What JSON calls a value: a number, a list, …."""
    kinds = {bool: "true or false", dict: "an object", list: "a list", str: "text"}
    numbers = isinstance(value, int | float)
    return kinds.get(type(value), "a number" if numbers else type(value).__name__)


def read_json(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The JSON object in a file that others may have written. Raises CtmError for anything else."""
    path = Path(path)
    refuse_irregular(path)
    try:
        with path.open("rb") as file:
            content = file.read(LINE_BYTES + 1)
    except OSError as error:
        raise CtmError(f"cannot read {path}: {error.strerror}", usage=True) from error
    if len(content) > LINE_BYTES:
        raise CtmError(f"{path} is longer than {LINE_BYTES >> 20} MiB", usage=True)
    return _row(content, str(path))


def refuse_irregular(path: Path) -> None:
    """Raises CtmError for a pipe, a device or a folder: such a thing may never end."""
    try:
        regular = stat.S_ISREG(path.stat().st_mode)
    except OSError as error:
        raise CtmError(f"cannot read {path}: {error.strerror}", usage=True) from error
    if not regular:
        raise CtmError(f"{path} is no regular file: copy what it holds into one", usage=True)


def fingerprint(data_file: str | os.PathLike[str] | None) -> str | None:
    """The name and hash of a data file: what it holds decides, not where it lies. Raises CtmError."""
    if data_file is None:
        return None
    path, digest = Path(data_file), hashlib.sha256()
    for part in sorted(path.rglob("*.parquet")) if path.is_dir() else [path]:
        refuse_irregular(part)
        try:
            with part.open("rb") as file:
                while block := file.read(1 << 20):
                    digest.update(block)
        except OSError as error:
            raise CtmError(f"cannot read {part}: {error.strerror}", usage=True) from error
    return f"{path.name} sha256:{digest.hexdigest()}"


@contextmanager
def bounded_parquet(path: str | os.PathLike[str]) -> Iterator["ParquetFile"]:
    """An open Parquet file that unpacks to no more than `UNPACKED_BYTES`, every text written out as often
    as it is used. The footer and the header of every page must say so before anything is unpacked.

    Raises CtmError for a larger file, OSError, ValueError and ArrowException for a broken one.
    """
    import pyarrow.parquet as pq

    refuse_irregular(Path(path))
    said = sizes(path)
    if said.stored > UNPACKED_BYTES:
        raise _too_large(path)
    with pq.ParquetFile(path, page_checksum_verification=True) as file:
        if said.written > UNPACKED_BYTES and _written(path, file, said) > UNPACKED_BYTES:
            raise _too_large(path)
        yield file


def _too_large(path: str | os.PathLike[str]) -> CtmError:
    return CtmError(
        f"{path} unpacks to more than {UNPACKED_BYTES >> 20} MiB, which is not read: write it as several "
        "files"
    )


def _written(path: str | os.PathLike[str], bounded: "ParquetFile", said: Sizes) -> int:
    """What the texts of a file come to when each is written out as often as it is used. Read a column at a
    time, as numbers into a dictionary where that can be, else a few texts. `bounded` is the same file."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    columns = [bounded.schema.column(i) for i in range(len(bounded.schema))]
    if any(columns[i].max_repetition_level for i in said.prefixed if i < len(columns)):
        raise _too_large(path)  # one row may hold any number of them
    few = max(1, min(BATCH, HELD // said.longest))
    rows = {
        column.path: few if i in said.prefixed else BATCH
        for i, column in enumerate(columns)
        if column.physical_type == "BYTE_ARRAY"
    }
    numbered = [c.path for i, c in enumerate(columns) if c.path in rows and i not in said.prefixed]
    total = 0
    with pq.ParquetFile(path, read_dictionary=numbered) as file:
        for name, size in rows.items():
            for batch in file.iter_batches(size, columns=[name]):
                for column in batch.columns:
                    leaf = _leaf(column)
                    if pa.types.is_dictionary(leaf.type):
                        lengths = pc.take(pc.binary_length(leaf.dictionary), leaf.indices)
                        total += pc.sum(lengths).as_py() or 0
                    else:
                        total += leaf.nbytes
                if total > UNPACKED_BYTES:
                    return total
    return total


def _leaf(column: Any) -> Any:
    """The values inside of lists and structs of one column."""
    import pyarrow as pa

    while True:
        if pa.types.is_list(column.type) or pa.types.is_large_list(column.type):
            column = column.flatten()
        elif pa.types.is_struct(column.type):
            column = column.field(0)
        else:
            return column


def _parquet(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    import pyarrow as pa

    number = 0
    try:
        with bounded_parquet(path) as file:
            for batch in file.iter_batches(BATCH):
                for row in batch.to_pylist():
                    number += 1
                    yield f"{path}, row {number}", row
    except (OSError, ValueError, OverflowError, pa.ArrowException) as error:
        raise CtmError(f"{path} is not a Parquet file: {_first_line(error)}", usage=True) from error


def _json_lines(path: Path, aside: Counter[str] | None) -> Iterator[tuple[str, dict[str, Any]]]:
    with path.open("rb") as file:
        number = 0
        while line := file.readline(LINE_BYTES + 1):
            number += 1
            where = f"{path}, line {number}"
            if len(line) > LINE_BYTES:
                raise CtmError(f"{where} is longer than {LINE_BYTES >> 20} MiB", usage=True)
            if number == 1:
                if line.startswith(GZIP):
                    raise CtmError(f"{path} is compressed: unpack it first (gunzip)", usage=True)
                line = line.removeprefix(codecs.BOM_UTF8)  # as editors on Windows write it
            if not line.strip():
                continue
            try:
                row = _row(line, where)
            except BrokenLine as error:
                if aside is None:
                    raise
                aside[error.reason] += 1
            else:
                yield where, row


def _row(line: bytes, where: str) -> dict[str, Any]:
    try:
        row = json.loads(line.decode("utf-8"))
        if b"\\u" in line:
            json.dumps(row, ensure_ascii=False).encode("utf-8")  # halves of characters
    except json.JSONDecodeError as error:
        raise BrokenLine(where, "not JSON", f"{error.msg} (column {error.colno})") from error
    except UnicodeError as error:
        raise BrokenLine(where, "not UTF-8") from error
    except RecursionError as error:
        raise BrokenLine(where, "not JSON", "nested too deeply") from error
    except ValueError as error:
        raise BrokenLine(where, "not JSON", _first_line(error)) from error
    if not isinstance(row, dict):
        raise BrokenLine(where, "not a JSON object")
    return row


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
