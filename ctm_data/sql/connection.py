"""A DuckDB connection with a view for every table of some runs, and one row a token.

    problems, solutions, rollouts, contrast ...   the tables, with a column `run` that names their run
    tokens                                        a token of a rolled-out solution
    critical_tokens                               a rolled-out solution that has a critical token

The database is in memory and only looks at the runs: nothing in it can change them.
"""

from collections.abc import Sequence
from importlib.resources import files
from typing import TYPE_CHECKING

from ctm_data.run.sources import Source
from ctm_data.sql.word_class import word_class_sql
from ctm_eval.errors import CtmError

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

MEMORY = 768 << 20  # bytes that any query may hold before it spills to the disk
TIMES = (
    20  # of what the parts take, for larger runs: a small file that unpacks to gigabytes is refused
)


def open_sources(sources: Sequence[Source], memory: int | None = None) -> "DuckDBPyConnection":
    """A connection with the views over `sources`; a query spills to the disk beyond `memory` bytes. Raises
    CtmError if a part cannot be read."""
    import duckdb

    from ctm_data.run.schema import SCHEMAS

    memory = memory or max(MEMORY, TIMES * sum(source.size for source in sources))
    con = duckdb.connect(config={"temp_directory": _spill(), "memory_limit": f"{memory}B"})
    con.execute("set enable_progress_bar = false")  # DuckDB prints it to stdout, where results go
    for filesystem in [source.filesystem for source in sources if source.filesystem][:1]:
        con.register_filesystem(filesystem)
    con.execute(word_class_sql())
    for table in SCHEMAS:
        try:
            _make_view(con, table, sources)
        except duckdb.Error as error:
            raise _unreadable(table, error) from error
    for view in ("kind_of_character", "ce_scores", "tokens", "critical_tokens"):
        text = (files("ctm_data.sql") / "queries" / "views" / f"{view}.sql").read_text("utf-8")
        try:
            con.execute(text)
        except duckdb.Error as error:  # a part with other columns
            raise _unreadable("a table", error) from error
    return con


def _unreadable(table: str, error: Exception) -> CtmError:
    said = str(error).splitlines()[0]
    return CtmError(f"{table} cannot be read ({said}); `ctm verify` says which parts are damaged")


def _make_view(con: "DuckDBPyConnection", table: str, sources: Sequence[Source]) -> None:
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
