"""The figures of a run, of an evaluation, or of two: what its page draws, and `--figures` writes.

A figure is its numbers: the page, the picture and the CSV beside it are made from the same points.
Intervals are 95%, over problems (see `ctm_eval.metrics.clustered`), unless a figure says otherwise.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

from ctm_data.pages.facts import facts, finished_results
from ctm_data.pages.lists import readable
from ctm_data.pages.reliability import Reliability, reliability
from ctm_data.pages.summary import CONFIDENT
from ctm_data.run.store import Store
from ctm_data.sql.named_queries import named_query
from ctm_data.sql.word_class import CLASSES
from ctm_eval.metrics import Estimate, clustered

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
        rows = _trajectories(con)
        found += [_replaced(rows), _classes(con, rows), _positions(rows)]
        found += [*_predictors(store), _cost(rows, store), *_reliability(store)]
    elif store.parts("solutions"):
        found += _best_of_n([(one, results) for one in runs if (results := finished_results(one))])
    if store.parts("solutions"):
        found += [*_levels(con, runs), *_verdicts(con, runs)]
    return [one for one in found if one.points]


def _trajectories(con: "DuckDBPyConnection") -> list[dict[str, Any]]:
    """What the figures need of every rolled-out solution."""
    rows: list[dict[str, Any]] = (
        con.sql("""
select problem_id, critical_index as at, len(token_ids) as n, value[critical_index + 1] as after,
    replacement_pass_at_k as passes, generated_tokens as tokens, estimator,
    (10 * critical_index // len(token_ids))::integer as tenth,
    1 - list_sum(keep_prob) / len(keep_prob) as leaving,
    word_class(critical_piece, pieces[critical_index], pieces[critical_index + 2]) as word_class
from rollouts
order by solution_id
""")
        .to_arrow_table()
        .to_pylist()
    )
    return rows


def _replaced(rows: Sequence[Mapping[str, Any]]) -> Figure:
    points = []
    critical = [row for row in rows if row["at"] is not None and row["passes"]]
    longest = max((len(row["passes"]) for row in critical), default=0)
    for index in range(longest):
        k, own = 1 << index, [row for row in critical if len(row["passes"]) > index]
        samples = max(1, (1 << longest - 1) // k)

        def without(row: Mapping[str, Any], index: int = index) -> float:
            return float(row["passes"][index])

        def kept(row: Mapping[str, Any], k: int = k) -> float:
            return float(1 - (1 - (row["after"] or 0.0)) ** k)

        points.append(_point("another token in its place", k, own, without, samples))
        points.append(_point("the critical token kept", k, own, kept, samples))
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


def _classes(con: "DuckDBPyConnection", rows: Sequence[Mapping[str, Any]]) -> Figure:
    critical = [row for row in rows if row["at"] is not None]
    everything: dict[str, int] = defaultdict(int)
    for row in con.sql(named_query("word-classes")).to_arrow_table().to_pylist():
        everything[row["word_class"]] += row["tokens"]
    total = sum(everything.values())
    points = [
        _share("critical tokens", kind, critical, "word_class", kind)
        for kind in CLASSES
        if critical
    ]
    points += [
        Point("all tokens", kind, everything[kind] / total, n=everything[kind])
        for kind in CLASSES
        if critical and total
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


def _positions(rows: Sequence[Mapping[str, Any]]) -> Figure:
    critical = [row for row in rows if row["at"] is not None]
    points = [
        _share("critical tokens", f"{10 * tenth} to {10 * tenth + 10}%", critical, "tenth", tenth)
        for tenth in range(10)
        if critical
    ]
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


def _cost(rows: Sequence[Mapping[str, Any]], store: Store) -> Figure:
    n = int(store.manifest["recipe"].get("n_rollouts") or 0)
    by_problem: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for row in rows:
        by_problem[row["problem_id"]].append((row["tokens"], n * row["n"] * (row["n"] + 1) / 2))
    spent, exhaustive = (
        [_mean(pair[i] for pair in own) for own in by_problem.values()] for i in (0, 1)
    )
    own = rows[0]["estimator"]
    points = []
    if n and not own.startswith("exhaustive"):
        points = [
            Point("tokens a trajectory", f"this run ({own})", *_student(spent), len(rows)),
            Point("tokens a trajectory", "after every token", *_student(exhaustive), len(rows)),
        ]
    times = sum(exhaustive) / sum(spent) if sum(spent) else 0.0
    leaving = _mean(row["leaving"] for row in rows)
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


def _reliability(store: Store) -> list[Figure]:
    points = []
    for how, found in zip(("predicted", "checked"), reliability(store), strict=True):
        if found is not None:
            points.append(_agreed("all labels", how, found))
    columns = ["problem_id", "critical_index", "critical_prob", "repeat_index", "repeat_tokens"]
    bins: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for part in store.each("rollouts", columns):
        for row in part.to_pylist():
            if row["repeat_tokens"] is not None and row["critical_prob"]:
                sure = max(row["critical_prob"], default=0.0) >= CONFIDENT
                name = (
                    f"{CONFIDENT:.0%} sure or more" if sure else f"less than {CONFIDENT:.0%} sure"
                )
                bins[name][row["problem_id"]].append(row["repeat_index"] == row["critical_index"])
    for name in sorted(bins):
        own = bins[name]
        estimate = clustered([_mean(values) for values in own.values()], 1)
        points.append(
            Point(
                "checked",
                name,
                estimate.value,
                estimate.low,
                estimate.high,
                sum(map(len, own.values())),
            )
        )
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


def _agreed(what: str, how: str, found: Reliability) -> Point:
    return Point(how, what, found.share, found.low, found.high, found.trajectories)


def _best_of_n(runs: "Sequence[tuple[Store, Results]]") -> list[Figure]:
    points = []
    for store, results in runs:
        if results.samples < 2:
            continue
        own = f"{store.folder.name}: " if len(runs) > 1 else ""
        curves = {"pass@k": results.pass_at, "majority": results.maj_at, **results.chosen}
        for name, at in curves.items():
            points += [
                Point(own + name, k, e.value, e.low, e.high, results.problems)
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


def _levels(con: "DuckDBPyConnection", runs: Sequence[Store]) -> list[Figure]:
    rows = _by_problem(con, "correct::integer")
    for column in ("level", "subject"):
        there = sorted({row[column] for row in rows if row[column]}, key=_natural)
        if 1 < len(there) <= LEVELS:
            break
    else:
        return []
    points = [
        _point(name, x, [r for r in own if r[column] == x], lambda row: row["mean"])
        for name, own in _each(rows, runs)
        for x in there
        if any(r[column] == x for r in own)
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
    names = [
        v for (v,) in con.execute("select distinct verdict from solutions order by 1").fetchall()
    ]
    points = []
    for verdict in names:
        rows = _by_problem(con, "(verdict = ?)::integer", verdict)
        points += [
            _point(name, verdict.replace("_", " "), own, lambda row: row["mean"])
            for name, own in _each(rows, runs)
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


def _by_problem(con: "DuckDBPyConnection", what: str, *values: str) -> list[dict[str, Any]]:
    """A mean over the samples of every problem of every run."""
    rows: list[dict[str, Any]] = (
        con.sql(
            f"""
select run, problem_id, level, subject, avg({what}) as mean, count(*) as samples
from solutions left join (select run, problem_id, level, subject from problems) using (run, problem_id)
group by all
order by run, problem_id
""",
            params=list(values),
        )
        .to_arrow_table()
        .to_pylist()
    )
    return rows


def _each(
    rows: Sequence[dict[str, Any]], runs: Sequence[Store]
) -> Iterable[tuple[str, list[dict[str, Any]]]]:
    for store in runs:
        own = [row for row in rows if row["run"] == str(store.folder)]
        yield (store.folder.name if len(runs) > 1 else "samples"), own


def _point(
    series: str,
    x: str | int,
    rows: Sequence[Mapping[str, Any]],
    value: Callable[[Mapping[str, Any]], float],
    samples: int | None = None,
) -> Point:
    """The mean over problems of a value of their rows."""
    by_problem: dict[str, list[float]] = defaultdict(list)
    for row in rows:
        by_problem[row["problem_id"]].append(float(value(row)))
    most = samples or max((int(row.get("samples", 1)) for row in rows), default=1)
    found: Estimate = clustered([_mean(own) for own in by_problem.values()], most)
    return Point(series, x, found.value, found.low, found.high, len(rows))


def _share(
    series: str, x: str, rows: Sequence[Mapping[str, Any]], column: str, wanted: Any
) -> Point:
    """How often a column of the rows is what is wanted, over problems."""
    return _point(series, x, rows, lambda row: row[column] == wanted)


def _mean(values: Iterable[float]) -> float:
    own = list(values)
    return sum(own) / len(own)


def _student(values: Sequence[float]) -> tuple[float, float | None, float | None]:
    """The mean of problems' values with Student's interval; None for the interval of a single one."""
    import numpy as np
    from scipy.stats import t

    mean, m = _mean(values), len(values)
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
