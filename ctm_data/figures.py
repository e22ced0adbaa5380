"""The figures of a run, of an evaluation, or of two: what its page draws, and `--figures` writes.

A figure is its numbers: the page, the picture and the CSV beside it are made from the same points.
Intervals are 95%, over problems (see `ctm_eval.metrics.clustered`), unless a figure says otherwise.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ctm_data.pages.facts import facts, finished_results
from ctm_data.pages.lists import readable
from ctm_data.pages.reliability import reliability
from ctm_data.pages.summary import CONFIDENT
from ctm_data.run.store import Store
from ctm_data.sql.named_queries import named_query
from ctm_data.sql.word_class import CLASSES
from ctm_eval.metrics import clustered

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from ctm_eval.report import Results

MEASURES = {"auc": "AUC", "hit@1": "hit@1", "hit@10%": "hit@10%"}  # of `ctm compare`
COMPARED = 2000  # trajectories, at most, whose scores are compared with rollouts
LEVELS = 30  # at most, in a figure


@dataclass(frozen=True)
class Point:
    """A number of a figure: its series, its place on the x axis, its 95% interval, what it is a mean of."""

    series: str
    x: str | int
    value: float
    low: float | None = None
    high: float | None = None
    n: int | None = None


@dataclass(frozen=True)
class Figure:
    """A figure: `curve` over numbers k on a logarithmic axis, or `marks`, a row for each x.

    `name` is that of its files. `y` is what is drawn, `unit` whether that is a share or a count.
    """

    name: str
    title: str
    note: str
    kind: Literal["curve", "marks"]
    x: str
    y: str
    points: tuple[Point, ...]
    unit: Literal["share", "count"] = "share"


def overview(con: "DuckDBPyConnection", store: Store, other: Store | None = None) -> dict[str, Any]:
    """What the page says of the whole run: `facts` (name, words), and its `figures` as plain data.

    `con` is a connection over the runs. Raises CtmError.
    """
    with readable():
        drawn = figures(con, store, other)
    return {"facts": facts(store, other), "figures": [asdict(one) for one in drawn]}


def figures(con: "DuckDBPyConnection", store: Store, other: Store | None = None) -> list[Figure]:
    """The figures that the tables have the numbers for. Raises CtmError."""
    runs = [store, *([other] if other else [])]
    found: list[Figure] = []
    if other is None and store.parts("rollouts"):
        con.execute(TRAJECTORIES)
        found += [_replaced(con), _classes(con), _positions(con)]
        found += [*_predictors(store), _cost(con, store), *_reliability(con, store)]
    elif store.parts("solutions"):
        found += _best_of_n([(one, results) for one in runs if (results := finished_results(one))])
    if store.parts("solutions"):
        con.execute(PROBLEMS)
        found += [*_levels(con, runs), *_verdicts(con, runs)]
    return [one for one in found if one.points]


TRAJECTORIES = f"""
create or replace temp table trajectory as
select problem_id, critical_index as critical, len(token_ids) as n,
    1 - coalesce(value[critical_index + 1], 0) as lost, replacement_pass_at_k as passes,
    generated_tokens as tokens, estimator, (10 * critical_index // len(token_ids))::integer as tenth,
    1 - list_sum(keep_prob) / len(keep_prob) as leaving,
    word_class(critical_piece, pieces[critical_index], pieces[critical_index + 2]) as word_class,
    if(repeat_tokens is null, null, repeat_index is not distinct from critical_index) as repeated,
    list_max(critical_prob) >= {CONFIDENT} as sure
from rollouts
"""  # what the figures need of every rolled-out solution
CRITICAL = "trajectory where critical is not null"


def _replaced(con: "DuckDBPyConnection") -> Figure:
    sql = f"select coalesce(max(len(passes)), 0) from {CRITICAL}"
    [(longest,)] = con.execute(sql).fetchall()
    points = []
    for index in range(longest):
        k = 1 << index
        samples = max(1, (1 << longest - 1) // k)
        with_it = f"{CRITICAL} and len(passes) > {index}"
        for series, value in (
            ("another token in its place", f"passes[{index + 1}]"),
            ("the critical token kept", f"1 - pow(lost, {k})"),
        ):
            points += _point(con, series, k, value, with_it, samples=str(samples))
    return Figure(
        "critical-token-replaced",
        "Pass@k with the critical token and without it",
        "The paper's figure 2. Without it: the rollouts that drew another token there. With it: from the "
        "estimated value after it.",
        "curve",
        "k",
        "pass@k",
        tuple(points),
    )


def _classes(con: "DuckDBPyConnection") -> Figure:
    points = [
        point
        for kind in CLASSES
        for point in _point(con, "critical tokens", kind, "word_class = ?", CRITICAL, kind)
    ]
    everything: dict[str, int] = defaultdict(int)
    if points:
        for row in con.sql(named_query("word-classes")).to_arrow_table().to_pylist():
            everything[row["word_class"]] += row["tokens"]
    total = sum(everything.values())
    points += [
        Point("all tokens", kind, everything[kind] / total, n=everything[kind])
        for kind in CLASSES
        if total
    ]
    return Figure(
        "word-classes",
        "Kinds of critical tokens",
        "The paper's table 2. Shares of the critical tokens, and of all tokens of the same solutions.",
        "marks",
        "kind",
        "share",
        tuple(points),
    )


def _positions(con: "DuckDBPyConnection") -> Figure:
    points = []
    for tenth in range(10):
        x = f"{10 * tenth} to {10 * tenth + 10}%"
        points += _point(con, "critical tokens", x, "tenth = ?", CRITICAL, tenth)
    return Figure(
        "positions",
        "Where critical tokens stand",
        "In tenths of the solution's length, from its beginning.",
        "marks",
        "place in the solution",
        "share",
        tuple(points),
    )


def _predictors(store: Store) -> list[Figure]:
    from ctm_data.compare import NothingToCompare, compare

    try:
        measured = compare(str(store.folder), most=COMPARED)
    except NothingToCompare:
        return []
    points = [
        Point(MEASURES[row.measure], row.ranking, row.mean, row.low, row.high, row.n)
        for row in measured
        if row.measure in MEASURES and " - " not in row.ranking
    ]
    return [
        Figure(
            "ce-against-rollouts",
            "How well cheap scores find the critical token",
            "AUC: the chance that the critical token ranks before another one, 50% by chance. hit@k: how "
            "often it is among the first k, or a tenth, of the tokens. Intervals by bootstrap over "
            f"problems; of more than {COMPARED:,} trajectories, so many are drawn.",
            "marks",
            "score",
            "share",
            tuple(points),
        )
    ]


def _cost(con: "DuckDBPyConnection", store: Store) -> Figure:
    n = int(store.manifest["recipe"].get("n_rollouts") or 0)
    spent, *_ = _means(con, "tokens", "trajectory")
    exhaustive, *_ = _means(con, f"{n} * n * (n + 1) / 2", "trajectory")
    sql = "select count(*), min(estimator), avg(leaving) from trajectory"
    [(count, own, leaving)] = con.execute(sql).fetchall()
    points = []
    if n and not own.startswith("exhaustive"):
        points = [
            Point("tokens a trajectory", f"this run ({own})", *_student(spent), count),
            Point("tokens a trajectory", "after every token", *_student(exhaustive), count),
        ]
    times = exhaustive.sum() / spent.sum() if spent.sum() else 0.0
    return Figure(
        "cost",
        "What the values cost",
        f"{times:.1f} times fewer tokens than {n} rollouts after every token, each as long as the rest of "
        f"its solution; {leaving:.1%} of the policy's mass leaves at a token.",
        "marks",
        "estimator",
        "tokens generated for the values",
        tuple(points),
        "count",
    )


def _reliability(con: "DuckDBPyConnection", store: Store) -> list[Figure]:
    points = []
    for how, found in zip(("predicted", "checked"), reliability(store), strict=True):
        if found is not None:
            points.append(
                Point(how, "all labels", found.share, found.low, found.high, found.trajectories)
            )
    for name, sure in (
        (f"{CONFIDENT:.0%} sure or more", "sure"),
        (f"less than {CONFIDENT:.0%} sure", "not sure"),
    ):
        checked = f"trajectory where repeated is not null and {sure}"
        points += _point(con, "checked", name, "repeated", checked)
    return [
        Figure(
            "reliability",
            "How often two runs give the same critical token",
            "Predicted from the rollouts; checked by a second run with another seed, for all labels and by "
            "the probability of the label.",
            "marks",
            "labels",
            "share of labels",
            tuple(points),
        )
    ]


def _best_of_n(runs: "Sequence[tuple[Store, Results]]") -> list[Figure]:
    points = []
    names = [name for name, _ in _series([store for store, _ in runs])]
    for name, (_, results) in zip(names, runs, strict=True):
        if results.samples < 2:
            continue
        own = f"{name}: " if len(runs) > 1 else ""
        curves = {"pass@k": results.pass_at, "majority": results.maj_at, **results.chosen}
        for curve, at in curves.items():
            points += [
                Point(own + curve, k, e.value, e.low, e.high, results.problems)
                for k, e in at.items()
            ]
    return [
        Figure(
            "best-of-n",
            "What more samples give",
            "pass@k: one of k is right. The others choose one of k: by votes, by a verifier, or among "
            "those whose program agrees.",
            "curve",
            "k",
            "share of problems",
            tuple(points),
        )
    ]


PROBLEMS = """
create or replace temp table sampled_problem as
select run, problem_id, level, subject, count(*) as samples, avg(correct::integer) as correct,
    histogram(verdict) as verdicts
from solutions left join (select run, problem_id, level, subject from problems) using (run, problem_id)
where verdict is not null
group by all
"""  # the samples of every problem of every run, as far as they are graded


def _levels(con: "DuckDBPyConnection", runs: Sequence[Store]) -> list[Figure]:
    for column in ("level", "subject"):
        sql = f"select distinct {column} from sampled_problem where {column} <> ''"
        there = sorted((x for (x,) in con.execute(sql).fetchall()), key=_natural)
        if 1 < len(there) <= LEVELS:
            break
    else:
        return []
    points = [
        point
        for name, run in _series(runs)
        for x in there
        for point in _point(
            con, name, x, "correct", f"{OF_RUN} and {column} = ?", run, x, samples="samples"
        )
    ]
    return [
        Figure(
            f"accuracy-by-{column}",
            f"Accuracy by {column}",
            "The mean share of right samples over the problems.",
            "marks",
            column,
            "accuracy",
            tuple(points),
        )
    ]


def _verdicts(con: "DuckDBPyConnection", runs: Sequence[Store]) -> list[Figure]:
    sql = "select distinct verdict from solutions where verdict <> '' order by 1"
    names = [verdict for (verdict,) in con.execute(sql).fetchall()]
    share = "coalesce(verdicts[?], 0) / samples"
    points = [
        point
        for verdict in names
        for name, run in _series(runs)
        for point in _point(
            con, name, verdict.replace("_", " "), share, OF_RUN, verdict, run, samples="samples"
        )
    ]
    return [
        Figure(
            "verdicts",
            "Verdicts of the samples",
            "The mean share over the problems.",
            "marks",
            "verdict",
            "share",
            tuple(points),
        )
    ]


OF_RUN = "sampled_problem where run = ?"


def _series(runs: Sequence[Store]) -> list[tuple[str, str]]:
    """The name of a run's series, and of its rows. Runs of one name have their paths."""
    if len(runs) == 1:
        return [("samples", str(runs[0].folder))]
    names = [one.folder.resolve().name for one in runs]
    if len(set(names)) < len(names):
        names = [str(one.folder) for one in runs]
    return [(name, str(one.folder)) for name, one in zip(names, runs, strict=True)]


def _point(
    con: "DuckDBPyConnection",
    series: str,
    x: str | int,
    what: str,
    of: str,
    *values: str | int,
    samples: str = "1",
) -> list[Point]:
    """The mean over problems of what the rows `of` a table have; none where there are no rows.

    `samples` is the number of independent values behind a row.
    """
    means, counts, most = _means(con, what, of, *values, samples=samples)
    if not len(means):
        return []
    found = clustered(means, int(most.max()))
    return [Point(series, x, found.value, found.low, found.high, int(counts.sum()))]


def _means(
    con: "DuckDBPyConnection", what: str, of: str, *values: str | int, samples: str = "1"
) -> "tuple[np.ndarray, np.ndarray, np.ndarray]":
    """By problem the mean of an expression over the rows, their number, and the most of `samples`.

    Only numbers leave DuckDB, so that a run can have any number of problems.
    """
    sql = f"""
select avg(value order by value) as mean, count(*) as n, max(most) as most
from (select problem_id, ({what})::double as value, {samples} as most from {of})
group by problem_id order by problem_id
"""
    found = con.execute(sql, values).fetchnumpy()
    return found["mean"], found["n"], found["most"]


def _student(values: np.ndarray) -> tuple[float, float | None, float | None]:
    """The mean of problems' values with Student's interval; None for the interval of a single one."""
    from scipy.stats import t

    mean, m = float(np.mean(values)), len(values)
    if m < 2:
        return mean, None, None
    half = float(t.ppf(0.975, m - 1) * np.std(values, ddof=1) / m**0.5)
    return mean, max(0.0, mean - half), mean + half


def _natural(text: str) -> tuple[Any, ...]:
    """A key that sorts 'Level 10' after 'Level 9'."""
    import re

    return tuple(
        (0, int(s), "") if s.isdigit() else (1, 0, s) for s in re.split(r"(\d+)", text) if s
    )
