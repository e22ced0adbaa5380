"""`ctm query`: wires options to `ctm_data.query`."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

from ctm_cli import _completion
from ctm_cli._options import AsJson, Revision
from ctm_cli._output import answer as say_answer
from ctm_cli._output import typed

EXAMPLES = """Examples:

ctm query "select critical_piece, count(*) from rollouts group by all order by 2 desc"

ctm query --name top-critical-tokens --run runs/pocket

ctm query --list

ctm query --name word-classes --repo user/name --format markdown

ctm query "from tokens where critical" --run runs/a --run runs/b --out critical.parquet
"""


def add_to(app: typer.Typer) -> None:
    """Adds the command to the application."""
    app.command("query", epilog=EXAMPLES)(command)


def command(
    sql: Annotated[
        str | None,
        typer.Argument(help="One SELECT. [default: ask in a prompt]", show_default=False),
    ] = None,
    run: Annotated[
        list[Path] | None,
        typer.Option(
            help="Run folder; repeatable. [default: runs/pocket]",
            autocompletion=_completion.run_folders,
        ),
    ] = None,
    repo: Annotated[
        list[str] | None, typer.Option(help="Published run, user/name on the Hub; repeatable.")
    ] = None,
    revision: Revision = None,
    name: Annotated[
        str | None,
        typer.Option(
            help="Run a named query instead of SQL.",
            autocompletion=_completion.of(_completion.query_names),
        ),
    ] = None,
    list_: Annotated[bool, typer.Option("--list", help="List the named queries.")] = False,
    format: Annotated[
        str | None, typer.Option(help="Output format: table, json, csv, markdown or parquet.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Write the answer to this file.")] = None,
    as_json: AsJson = False,
) -> None:
    """Query runs in SQL. There is a view for each table, and `tokens` and `critical_tokens`.

    The SQL dialect is DuckDB's. A query is one SELECT; it can read the given runs and nothing else.
    """
    from ctm_data.query import answer, connect_fenced
    from ctm_data.sql.named_queries import named_queries, named_query
    from ctm_data.sql.output import write_answer
    from ctm_eval.errors import CtmError

    if as_json:
        if format not in (None, "json"):
            raise CtmError(f"--json and --format {format} contradict each other", usage=True)
        format = "json"
    if list_:
        about = {known: about for known, (about, _) in named_queries().items()}
        say_answer(about, as_json=as_json, render=lambda: _list(about))
        return
    if sql is not None and name is not None:
        raise CtmError("give either SQL or --name, not both", usage=True)
    if sql is not None and os.path.isfile(os.path.join(sql, "manifest.json")):
        raise CtmError(f"{sql} is a run, not SQL: ctm query SQL --run {typed(sql)}", usage=True)
    sources: list[Any] = [*(run or []), *(repo or [])]
    if not sources:
        if not Path("runs/pocket").exists():
            raise CtmError(
                "there is no run in runs/pocket: give another one with --run", usage=True
            )
        sources = [Path("runs/pocket")]
    text = named_query(name) if name is not None else sql
    con = connect_fenced(*sources, revision=revision)
    if text is None and out is not None:
        raise CtmError("--out needs a query: give one in SQL, or --name", usage=True)
    if text is None:
        _prompt(con, format)
        return
    rows = write_answer(answer(con, text), out, format)
    if out is not None:
        print(f"{rows:,} rows in {out}", file=sys.stderr)


def _list(queries: dict[str, str]) -> None:
    for name, about in queries.items():
        print(f"{name:24} {about}")


def _prompt(con: "DuckDBPyConnection", format: str | None) -> None:
    """Reads SQL statements, each ended by a semicolon, until the end of the input."""
    from ctm_data.query import answer
    from ctm_data.sql.output import write_answer
    from ctm_eval.errors import CtmError

    if sys.stdin.isatty():
        import readline  # noqa: F401  (gives input() its history)

        print(
            "views: " + ", ".join(views(con)) + "; end a query with `;`, leave with ctrl-D",
            file=sys.stderr,
        )
    lines: list[str] = []
    asked = sys.stdin.isatty()
    more = True
    while more:
        try:
            lines.append(input(("...> " if lines else "ctm> ") if sys.stdin.isatty() else ""))
        except EOFError:
            more = False
        text = "\n".join(lines).strip()
        if text and (text.endswith(";") or not more):
            lines.clear()
            asked = True
            try:
                write_answer(answer(con, text), None, format)
            except CtmError as error:
                print(f"ctm: {error}", file=sys.stderr)
    if not asked:
        raise CtmError("there is no query: give one in SQL, or --name, or --list", usage=True)


def views(con: "DuckDBPyConnection") -> list[str]:
    """The names of the views."""
    named = "select view_name from duckdb_views() where not internal order by all"
    return [name for (name,) in con.execute(named).fetchall()]
