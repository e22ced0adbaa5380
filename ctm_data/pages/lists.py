"""The lists of a page: what there is to look at in a run, to search, filter and sort.

A list is a table of a DuckDB connection over the run. Its filters are told once: the page applies them in
the browser to a list that it brings with it, and `listed` applies them here to one that is too large.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from ctm_eval.errors import CtmError

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

QUESTION, PIECE = 160, 80  # characters that a list shows
CHOICES = 200  # values of a filter that are offered


@dataclass(frozen=True)
class Filter:
    """Keeps entries whose `column` is the chosen value, has it, is at least it, or is above it.

    Without `choices` (value, words), the values that there are can be chosen. A single choice is a box to
    tick.
    """

    name: str
    label: str
    column: str
    how: Literal["is", "has", "least", "above"] = "is"
    choices: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Order:
    """Sorts by a column; what has none comes last, and the id decides ties."""

    name: str
    label: str
    column: str
    down: bool = False


@dataclass(frozen=True)
class List:
    """A list: its table, the SELECT behind it, the columns that a search looks at."""

    name: str
    title: str
    sql: str
    search: tuple[str, ...]
    filters: tuple[Filter, ...]
    orders: tuple[Order, ...]


BY_PROBLEM = (
    Filter("benchmark", "benchmark", "benchmark"),
    Filter("subject", "subject", "subject"),
    Filter("level", "level", "level"),
)

TRAJECTORIES = List(
    name="trajectories",
    title="Trajectories",
    sql=f"""
select
    solution_id as id,
    left(question, {QUESTION}) as question,
    benchmark,
    subject,
    level,
    rollouts.model,
    verdict,
    left(critical_piece, {PIECE}) as piece,
    if(critical_index is null, null,
        word_class(critical_piece, pieces[critical_index], pieces[critical_index + 2])) as word_class,
    critical_index as position,
    len(token_ids)::integer as tokens,
    prompt_value as start,
    if(critical_index = 0, prompt_value, value[critical_index]) as before,
    value[critical_index + 1] as after,
    if(critical_index is null, null, coalesce(before, 0) - coalesce(after, 0)) as fall
from rollouts
left join (select problem_id, question, benchmark, subject, level from problems) using (problem_id)
left join (select solution_id, verdict from solutions) using (solution_id)
""",
    search=("id", "question", "piece"),
    filters=(
        Filter("word_class", "kind", "word_class"),
        Filter(
            "fall",
            "fall",
            "fall",
            "least",
            tuple((str(p / 100), f"{p} points or more") for p in (10, 25, 50, 75)),
        ),
        Filter("verdict", "verdict", "verdict"),
        *BY_PROBLEM,
        Filter("model", "model", "model"),
        Filter(
            "solvable",
            "",
            "start",
            "above",
            (("0", "only where there was a chance at the start"),),
        ),
    ),
    orders=(
        Order("fall", "largest fall first", "fall", down=True),
        Order("position", "earliest critical token first", "position"),
        Order("tokens", "longest first", "tokens", down=True),
        Order("id", "by name", "id"),
    ),
)

PROBLEMS = List(
    name="answers",
    title="Problems",
    sql=f"""
select
    problem_id as id,
    left(question, {QUESTION}) as question,
    benchmark,
    subject,
    level,
    samples,
    n_right,
    n_right / samples as share,
    verdicts,
    case when n_right is null then 'not graded' when n_right = samples then 'always right'
        when n_right = 0 then 'never right' else 'sometimes right' end as outcome
from (
    select problem_id, count(*)::integer as samples, sum(correct::integer)::integer as n_right,
        list_sort(list(distinct verdict)) as verdicts
    from solutions
    group by problem_id
)
left join (select problem_id, question, benchmark, subject, level from problems) using (problem_id)
""",
    search=("id", "question"),
    filters=(
        Filter("outcome", "outcome", "outcome"),
        Filter("verdict", "verdict", "verdicts", "has"),
        *BY_PROBLEM,
    ),
    orders=(
        Order("share", "fewest right first", "share"),
        Order("right", "most right first", "share", down=True),
        Order("id", "by name", "id"),
    ),
)


def paired_problems(first: str, second: str) -> List:
    """The problems that two runs, given by name, have in common, and how their samples changed."""
    one, two = (name.replace("'", "''") for name in (first, second))
    return List(
        name="pairs",
        title="Changes",
        sql=f"""
with counted as (
    select run, problem_id, count(*)::integer as samples, count(*) filter (correct)::integer as n_right
    from solutions
    group by all
)
select
    problem_id as id,
    left(question, {QUESTION}) as question,
    benchmark,
    subject,
    level,
    a.samples,
    a.n_right,
    b.samples as samples_then,
    b.n_right as n_right_then,
    b.n_right / b.samples - a.n_right / a.samples as change,
    case when change < 0 then if(a.samples = 1 and b.samples = 1, 'right → wrong', 'less often right')
        when change > 0 then if(a.samples = 1 and b.samples = 1, 'wrong → right', 'more often right')
        when a.n_right = 0 then 'wrong in both'
        when a.n_right = a.samples then 'right in both'
        else 'as often right' end as outcome
from (from counted where run = '{one}') a
join (from counted where run = '{two}') b using (problem_id)
left join (select problem_id, question, benchmark, subject, level from problems where run = '{one}')
    using (problem_id)
""",
        search=("id", "question"),
        filters=(Filter("outcome", "change", "outcome"), *BY_PROBLEM),
        orders=(
            Order("worse", "largest losses first", "change"),
            Order("better", "largest gains first", "change", down=True),
            Order("id", "by name", "id"),
        ),
    )


@contextmanager
def readable() -> Iterator[None]:
    """Says in a line what the database says of parts that it cannot read: raises CtmError."""
    import duckdb

    try:
        yield
    except duckdb.Error as error:
        reason = str(error).splitlines()[0]
        raise CtmError(
            f"the run cannot be read ({reason}); `ctm verify` says which parts are damaged"
        ) from error


def make(con: "DuckDBPyConnection", of: List, limit: int | None = None) -> int:
    """Makes the table of a list, with its first `limit` entries. Returns how many there are without it."""
    first = "" if limit is None else f"order by {_by(of.orders[0])} limit {limit}"
    con.execute(f"create table {of.name} as from ({of.sql}) {first}")
    source = of.name if limit is None else f"({of.sql})"
    return int(con.execute(f"select count(*) from {source}").fetchall()[0][0])


def choices(con: "DuckDBPyConnection", of: List) -> list[dict[str, Any]]:
    """The filters of a list with what can be chosen; those that would divide nothing are left out."""
    told = []
    for one in of.filters:
        found = list(one.choices)
        if not found:
            column = f"unnest({one.column})" if one.how == "has" else one.column
            values = con.execute(
                f"select distinct {column} as found from {of.name} order by found limit {CHOICES}"
            ).fetchall()
            found = [(value, value) for (value,) in values if value is not None]
        if len(found) > 1 or one.choices:
            told.append(
                {"name": one.name, "label": one.label, "column": one.column, "how": one.how,
                 "choices": found}
            )  # fmt: skip
    return told


def listed(
    con: "DuckDBPyConnection",
    of: List,
    asked: Mapping[str, str] | None = None,
    *,
    start: int = 0,
    count: int | None = None,
    around: str | None = None,
) -> dict[str, Any]:
    """A page of a list: its `entries`, at which place it starts (`from`), and how many there are (`total`).

    `asked` has a value for the filters to apply, `search` and `order`. With `around`, the page that holds
    the entry of this id. What is not a filter or an order of the list is ignored.
    """
    asked = asked or {}
    where, values = _where(of, asked)
    by = _by(next((o for o in of.orders if o.name == asked.get("order")), of.orders[0]))
    chosen = f"from {of.name} where {where}"
    total = int(con.execute(f"select count(*) {chosen}", values).fetchall()[0][0])
    if around is not None and count:
        places = con.execute(
            f"select place from (select id, row_number() over (order by {by}) - 1 as place {chosen}) "
            "where id = ?",
            [*values, around],
        ).fetchall()
        start = places[0][0] // count * count if places else 0
    limit = "" if count is None else f"limit {int(count)} offset {int(start)}"
    entries = fetched(con, f"select * {chosen} order by {by} {limit}", values)
    return {"total": total, "from": start, "entries": entries}


def fetched(con: "DuckDBPyConnection", sql: str, values: Sequence[Any]) -> list[dict[str, Any]]:
    """The rows of a query as dictionaries."""
    found: list[dict[str, Any]] = con.sql(sql, params=list(values)).to_arrow_table().to_pylist()
    return found


def _by(order: Order) -> str:
    return f"{order.column} {'desc' if order.down else 'asc'} nulls last, id"


def _where(of: List, asked: Mapping[str, str]) -> tuple[str, list[Any]]:
    """The condition that `asked` puts, and its values."""
    terms, values = ["true"], list[Any]()
    if words := asked.get("search", "").lower():
        terms.append(f"contains(lower(concat_ws(' ', {', '.join(of.search)})), ?)")
        values.append(words)
    for one in of.filters:
        value = asked.get(one.name)
        if not value:
            continue
        column = f"{one.column}"
        terms.append(
            {
                "is": f"{column} = ?",
                "has": f"list_contains({column}, ?)",
                "least": f"{column} >= try_cast(? as double)",
                "above": f"{column} > try_cast(? as double)",
            }[one.how]
        )
        values.append(value)
    return " and ".join(terms), values


def placeholders(values: Sequence[Any]) -> str:
    """`?, ?, ?` for an IN of so many values: a list of constants skips parts that cannot hold them."""
    return ", ".join("?" * len(values))
