"""Rows of JSONL and Parquet files, each with its location for error messages."""

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ctm_eval.errors import CtmError


def read_rows(path: str | os.PathLike[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """("FILE, line 3", row) for every row of a JSONL or Parquet file, or of a folder of Parquet files.

    Raises CtmError for a file that is missing, of another type, or broken; the message names the line.
    """
    path = Path(path)
    if path.is_dir():
        parts = sorted(path.rglob("*.parquet"))
        if not parts:
            raise CtmError(f"{path} holds no Parquet file", usage=True)
        for part in parts:
            yield from read_rows(part)
    elif not path.exists():
        raise CtmError(f"there is no file {path}", usage=True)
    elif path.suffix == ".parquet":
        yield from _parquet(path)
    elif path.suffix in (".jsonl", ".ndjson", ".json"):
        yield from _json_lines(path)
    else:
        raise CtmError(f"{path}: only .jsonl and .parquet files are read", usage=True)


def fingerprint(data_file: str | os.PathLike[str] | None) -> str | None:
    """The name and hash of a data file; its folder does not matter."""
    if data_file is None:
        return None
    path, digest = Path(data_file), hashlib.sha256()
    for part in sorted(path.rglob("*.parquet")) if path.is_dir() else [path]:
        digest.update(part.read_bytes())
    return f"{path.name} sha256:{digest.hexdigest()}"


def _parquet(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    number = 0
    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches():
                for row in batch.to_pylist():
                    number += 1
                    yield f"{path}, row {number}", row
    except (OSError, pa.ArrowException) as error:
        raise CtmError(f"{path} is not a Parquet file: {error}", usage=True) from error


def _json_lines(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            where = f"{path}, line {number}"
            try:
                row = json.loads(line)
            except json.JSONDecodeError as error:
                message = f"{where} is not JSON: {error.msg} (column {error.colno})"
                raise CtmError(message, usage=True) from error
            if not isinstance(row, dict):
                raise CtmError(f"{where} is not a JSON object", usage=True)
            yield where, row
