"""`query`: SQL over runs, read-only; and the named queries that answer what the paper's tables answer."""

from pathlib import Path
from typing import TYPE_CHECKING

from ctm_eval.errors import CtmError
from ctm_eval.printable import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from duckdb import DuckDBPyConnection
    from pyarrow import RecordBatchReader

    from ctm_data.run.sources import Source

BATCH = 10_000  # rows of an answer that are held at a time


def connect(*runs: str | Path, revision: str | None = None) -> "DuckDBPyConnection":
    """A DuckDB connection over run folders and repositories (user/name) of the Hub.

    A table that no run has becomes an empty view. Raises CtmError if a run does not exist.
    """
    from ctm_data.sql.connection import open_sources

    return open_sources(_sources(runs, revision))


def connect_fenced(*runs: str | Path, revision: str | None = None) -> "DuckDBPyConnection":
    """Like `connect`, for queries that others wrote: it reads the runs and no other file or address."""
    from ctm_data.sql.connection import open_sources

    sources = _sources(runs, revision)
    con = open_sources(sources)
    con.execute("set allowed_directories = ?", [[source.root for source in sources]])
    con.execute("set enable_external_access = false")
    con.execute("set lock_configuration = true")
    return con


def query(sql: str, *runs: str | Path, revision: str | None = None) -> "RecordBatchReader":
    """The result of one SELECT over `runs`, in batches that are computed as they are read.

    Raises CtmError if a run does not exist or the query is invalid.
    """
    return answer(connect_fenced(*runs, revision=revision), sql)


def _sources(runs: "Sequence[str | Path]", revision: str | None) -> list["Source"]:
    from ctm_data.run.hub_client import is_repo_name
    from ctm_data.run.sources import find, refuse_revision

    if not runs:
        raise CtmError("give at least one run folder or repository", usage=True)
    if not any(map(is_repo_name, runs)):
        refuse_revision(runs[0], revision)
    return [find(run, revision) for run in runs]


def answer(con: "DuckDBPyConnection", sql: str) -> "RecordBatchReader":
    """The result of one SELECT, in batches. Any other statement is refused.

    Raises CtmError with DuckDB's message if the query is invalid.
    """
    import duckdb

    try:
        statements = con.extract_statements(sql)
        if [statement.type for statement in statements] != [duckdb.StatementType.SELECT]:
            raise CtmError("a query is one SELECT (or FROM, DESCRIBE, SHOW, SUMMARIZE)", usage=True)
        return con.sql(sql).to_arrow_reader(BATCH)
    except duckdb.Error as error:
        raise CtmError(f"the query is wrong: {_one_line(error)}", usage=True) from error


def _one_line(error: Exception) -> str:
    """DuckDB's message without the excerpt of the query."""
    return printable(" ".join(str(error).partition("\n\nLINE ")[0].split()))
