"""SQL over runs: a DuckDB connection with a view for every table, and one row a token.

    problems, solutions, rollouts, contrast ...   the tables, with a column `run` that names their run
    tokens                                        a token of a rolled-out solution
    critical_tokens                               a rolled-out solution that has a critical token

The database is in memory and only looks at the runs: nothing in it can change them.
"""

import re
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from ctm_eval.errors import CtmError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from duckdb import DuckDBPyConnection
    from pyarrow import RecordBatchReader

    from ctm_data.run.sources import Source

BATCH = 10_000  # rows of an answer that are held at a time


def connect(*runs: str | Path, revision: str | None = None) -> "DuckDBPyConnection":
    """A DuckDB connection over run folders and repositories (user/name) of the Hub.

    A table that no run has is an empty view. Raises CtmError if there is no such run.
    """
    return open_sources(_sources(runs, revision))


def connect_fenced(*runs: str | Path, revision: str | None = None) -> "DuckDBPyConnection":
    """Like `connect`, for queries that others wrote: it reads the runs and no other file or address."""
    sources = _sources(runs, revision)
    con = open_sources(sources)
    con.execute("set allowed_directories = ?", [[source.root for source in sources]])
    con.execute("set enable_external_access = false")
    con.execute("set lock_configuration = true")
    return con


def query(sql: str, *runs: str | Path, revision: str | None = None) -> "RecordBatchReader":
    """The answer to one SELECT over `runs`, in batches that are computed as they are read.

    Raises CtmError if there is no such run or the query is wrong.
    """
    return answer(connect_fenced(*runs, revision=revision), sql)


def open_sources(sources: "Sequence[Source]") -> "DuckDBPyConnection":
    """A connection with the views over `sources`."""
    import duckdb

    from ctm_data.run.schema import SCHEMAS
    from ctm_data.sql.word_class import word_class_sql

    con = duckdb.connect(config={"temp_directory": _spill()})
    for filesystem in [source.filesystem for source in sources if source.filesystem][:1]:
        con.register_filesystem(filesystem)
    con.execute(word_class_sql())
    for table in SCHEMAS:
        _make_view(con, table, sources)
    for view in ("kind_of_character", "ce_scores", "tokens", "critical_tokens"):
        con.execute(
            (files("ctm_data") / "sql" / "queries" / "views" / f"{view}.sql").read_text("utf-8")
        )
    return con


def answer(con: "DuckDBPyConnection", sql: str) -> "RecordBatchReader":
    """The answer to one SELECT, in batches; anything that is not a SELECT is refused.

    Raises CtmError for a wrong query, with DuckDB's own words.
    """
    import duckdb

    try:
        statements = con.extract_statements(sql)
        if [statement.type for statement in statements] != [duckdb.StatementType.SELECT]:
            raise CtmError("a query is one SELECT (or FROM, DESCRIBE, SHOW, SUMMARIZE)", usage=True)
        return con.sql(sql).to_arrow_reader(BATCH)
    except duckdb.Error as error:
        raise CtmError(f"the query is wrong: {_one_line(error)}", usage=True) from error


def named_queries() -> dict[str, tuple[str, str]]:
    """The named queries: what each answers, and its SQL. They are the files of `ctm_data/queries`."""
    found = {}
    for file in sorted(
        (files("ctm_data") / "sql" / "queries").iterdir(), key=lambda file: file.name
    ):
        if file.name.endswith(".sql"):
            sql = file.read_text(encoding="utf-8")
            about = re.findall(r"^-- (.*)", sql, re.MULTILINE)
            found[file.name.removesuffix(".sql")] = (" ".join(about), sql)
    return found


def named_query(name: str) -> str:
    """The SQL of a named query. Raises CtmError if there is none of that name."""
    known = named_queries()
    if name not in known:
        raise CtmError(f"there is no query {name!r}; there are: {', '.join(known)}", usage=True)
    return known[name][1]


def _sources(runs: "Sequence[str | Path]", revision: str | None) -> list["Source"]:
    from ctm_data.run.sources import find

    if not runs:
        raise CtmError("give at least one run folder or repository", usage=True)
    return [find(run, revision) for run in runs]


def _make_view(con: "DuckDBPyConnection", table: str, sources: "Sequence[Source]") -> None:
    from ctm_data.run.schema import SCHEMA_VERSION, SCHEMAS

    parts = [(source.name, source.parts[table]) for source in sources if source.parts[table]]
    older = any(source.manifest.get("schema_version") != SCHEMA_VERSION for source in sources)
    if older or not parts:
        con.from_arrow(SCHEMAS[table].empty_table()).create(f"no_{table}")
    if not parts:
        con.execute(f"create view {table} as select *, null::varchar as run from no_{table}")
        return
    selects = [
        f"select *, {_literal(name)} as run from "
        f"read_parquet([{', '.join(_literal(path) for path in paths)}])"
        for name, paths in parts
    ]
    if older:  # lacks columns that came later: the empty table brings them, as nulls
        selects.append(f"select *, null::varchar as run from no_{table}")
    con.execute(f"create view {table} as {' union all by name '.join(selects)}")


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _spill() -> str:
    """Where DuckDB puts what does not fit the memory, instead of the current folder."""
    import os
    import tempfile

    return os.path.join(tempfile.gettempdir(), f"ctm-duckdb-{os.getpid()}")


def _one_line(error: Exception) -> str:
    """What DuckDB says, without the drawing of where."""
    return " ".join(str(error).partition("\n\nLINE ")[0].split())
