"""Query results as text or a file: table, json, csv, markdown or parquet, written as rows are computed."""

import json
import sys
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from shutil import get_terminal_size
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, get_args

from ctm_eval.data_files import writable
from ctm_eval.errors import CtmError
from ctm_eval.output_file import output_file

if TYPE_CHECKING:
    from pyarrow import RecordBatchReader

Format = Literal["table", "json", "csv", "markdown", "parquet"]
FORMATS: tuple[Format, ...] = get_args(Format)
SUFFIXES: dict[str, Format] = {
    ".json": "json", ".csv": "csv", ".md": "markdown", ".parquet": "parquet", ".txt": "table",
}  # fmt: skip
SHOWN = 200  # rows of a table for eyes


def write_answer(
    reader: "RecordBatchReader", out: str | Path | None = None, format: str | None = None
) -> int:
    """Writes a result to `out`, completely or not at all, or to stdout. Returns the number of rows.

    Without `format`, the suffix of `out` selects it; on stdout it is a table.
    Raises CtmError for an unknown format or suffix, or for Parquet without a file.
    """
    if format is None:
        if out is not None and Path(out).suffix not in SUFFIXES:
            raise CtmError(
                f"{out} is of no known kind: give a name that ends with {', '.join(SUFFIXES)}, or --format",
                usage=True,
            )
        format = SUFFIXES[Path(out).suffix] if out else "table"
    writers: dict[str, Callable[[RecordBatchReader, BinaryIO], int]] = {
        "table": _table, "json": _json, "csv": _csv, "markdown": _markdown, "parquet": _parquet,
    }  # fmt: skip
    if format not in writers:
        raise CtmError(f"unknown format {format!r}; there are: {', '.join(FORMATS)}", usage=True)
    if out is None:
        if format == "parquet":
            raise CtmError("Parquet is written to a file: give --out FILE.parquet", usage=True)
        rows = writers[format](reader, sys.stdout.buffer)
        sys.stdout.flush()
        return rows
    writable(out)
    with output_file(out) as file:
        return writers[format](reader, file)


def _rows(reader: "RecordBatchReader") -> Iterator[dict[str, Any]]:
    from duckdb import Error

    try:
        for batch in reader:
            yield from batch.to_pylist()
    except (Error, OSError) as error:  # what goes wrong while it is computed
        raise CtmError(f"the query failed: {str(error).splitlines()[0]}") from error


def _table(reader: "RecordBatchReader", out: BinaryIO) -> int:
    """A table for people: the first rows, as wide as the terminal, without control characters; in a
    pager where it is longer than the terminal."""
    from io import StringIO

    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table, count = Table(box=None, pad_edge=False), 0
    for field in reader.schema:
        numeric = str(field.type).startswith(("int", "uint", "float", "double", "decimal"))
        side: Literal["left", "right"] = "right" if numeric else "left"
        table.add_column(Text(field.name), justify=side, overflow="fold")
    for row in _rows(reader):
        count += 1
        if count > SHOWN:
            break
        table.add_row(*(Text(_cell(value)) for value in row.values()))
    text = StringIO()
    Console(file=text, width=Console().width).print(table)
    if out is sys.stdout.buffer and sys.stdout.isatty() and count > get_terminal_size().lines:
        import pydoc

        pydoc.pager(text.getvalue())  # $PAGER, or less
    else:
        out.write(text.getvalue().encode())
    if count > SHOWN:
        print(
            f"the first {SHOWN} rows; --out FILE or another --format has them all", file=sys.stderr
        )
        count = SHOWN
    return count


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, str):
        return (
            value
            if value.isprintable() and value == value.strip()
            else json.dumps(value, ensure_ascii=False)
        )
    return "" if value is None else str(_plain(value))


def _json(reader: "RecordBatchReader", out: BinaryIO) -> int:
    """A JSON array with a row on each line."""
    count = 0
    for count, row in enumerate(_rows(reader), 1):
        out.write(b"[\n" if count == 1 else b",\n")
        out.write(json.dumps(row, ensure_ascii=False, default=_simple).encode())
    out.write(b"\n]\n" if count else b"[]\n")
    return count


def _simple(value: Any) -> float | str:
    """What JSON has no word for: decimals as numbers, the rest (dates) as text."""
    return float(value) if isinstance(value, Decimal) else str(value)


def _csv(reader: "RecordBatchReader", out: BinaryIO) -> int:
    """CSV with a header; lists and structs as JSON."""
    import csv
    import io

    text = io.TextIOWrapper(out, encoding="utf-8", newline="", write_through=True)
    writer, count = csv.writer(text, lineterminator="\n"), 0
    writer.writerow(reader.schema.names)
    for row in _rows(reader):
        count += 1
        writer.writerow([_plain(value) for value in row.values()])
    text.detach()
    return count


def _plain(value: Any) -> Any:
    return (
        json.dumps(value, ensure_ascii=False, default=_simple)
        if isinstance(value, (list, dict))
        else value
    )


def _markdown(reader: "RecordBatchReader", out: BinaryIO) -> int:
    """A Markdown table; what would break it is escaped."""
    count = 0
    out.write(("| " + " | ".join(map(markdown_cell, reader.schema.names)) + " |\n").encode())
    out.write(("|" + "---|" * len(reader.schema.names) + "\n").encode())
    for row in _rows(reader):
        count += 1
        out.write(("| " + " | ".join(map(markdown_cell, row.values())) + " |\n").encode())
    return count


def markdown_cell(value: Any) -> str:
    """A value as the cell of a Markdown table, safe whatever a model wrote."""
    from html import escape

    text = escape(_cell(value), quote=False)
    return "".join(f"&#{ord(c)};" if c in "|`*_[]\\~$" else c for c in text)


def _parquet(reader: "RecordBatchReader", out: BinaryIO) -> int:
    import pyarrow.parquet as pq

    count = 0
    with pq.ParquetWriter(out, reader.schema, compression="zstd") as writer:
        for batch in reader:
            writer.write_batch(batch)
            count += batch.num_rows
    return count
