"""A run as one HTML page that opens offline: its trajectories, their values, and what was tried.

The page loads nothing: a content security policy with the hashes of its own script and style forbids it.
Data from models is JSON in which no `<` stands, and the script writes text only as text. Each trajectory
is compressed by itself and inflated by the browser when it is opened.
"""

import base64
import hashlib
import heapq
import json
import zlib
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from importlib.resources import files
from statistics import median
from typing import TYPE_CHECKING, Any

from ctm_data.pages.summary import summarize
from ctm_data.run.store import Store
from ctm_data.sql.word_class import CLASSES, word_class
from ctm_eval.errors import CtmError

if TYPE_CHECKING:
    from pyarrow import Table

DIGITS = 4  # of a probability
QUESTION = 160  # characters of a question in the list


def html(store: Store, limit: int) -> str:
    """The page of a run, with the `limit` trajectories whose critical tokens cost most.

    Raises CtmError if the run has no rolled-out solutions.
    """
    chosen = _chosen(store, limit)
    if not chosen:
        raise CtmError(f"{store.folder} has no rolled-out solutions; `ctm show` says why")
    solutions = _texts(store, "solutions", "solution_id", chosen, ["answer"])
    asked = set(chosen.values())
    problems = _texts(store, "problems", "problem_id", asked, ["question", "answer"])
    index: list[dict[str, Any]] = []
    packed: list[str] = []
    for part in store.each("rollouts"):
        for row in _those(part, "solution_id", chosen):
            problem = problems[row["problem_id"]]
            index.append(_entry(row, problem, len(packed)))
            packed.append(_pack(_whole(row, problem, solutions[row["solution_id"]])))
    index.sort(key=lambda entry: -entry["drop"])
    summary = summarize(store)
    left_out = summary.trajectories - len(index)
    data = {
        "name": store.folder.name,
        "facts": f"{summary.problems:,} problems · {summary.solutions:,} solutions, "
        f"{_percent(summary.accuracy)} correct · {summary.trajectories:,} rolled out · "
        f"{summary.critical:,} critical tokens"
        + (f" · the {len(index):,} that cost most are here" if left_out else ""),
        "figures": _figures(summary),
        "classes": _classes(index),
        "index": index,
        "rows": packed,
    }
    return _filled(data)


def _chosen(store: Store, limit: int) -> dict[str, str]:
    """The trajectories with the largest drops: the problem of each by its name."""
    columns = ["solution_id", "problem_id", "prompt_value", "value", "critical_index"]

    def drops() -> Iterator[tuple[float, str, str]]:
        for part in store.each("rollouts", columns):
            for row in part.to_pylist():
                yield _around(row)[2], row["solution_id"], row["problem_id"]

    return {name: problem for _, name, problem in heapq.nlargest(limit, drops())}


def _texts(
    store: Store, table: str, key: str, wanted: Collection[str], columns: list[str]
) -> dict[str, dict[str, Any]]:
    return {
        row[key]: row
        for part in store.each(table, [key, *columns])
        for row in _those(part, key, wanted)
    }


def _those(part: "Table", key: str, wanted: Collection[str]) -> list[dict[str, Any]]:
    """The rows of a part whose key is wanted; the others are never made."""
    import pyarrow as pa
    import pyarrow.compute as pc

    rows: list[dict[str, Any]] = part.filter(
        pc.is_in(part[key], pa.array(list(wanted)))
    ).to_pylist()
    return rows


def _around(row: Mapping[str, Any]) -> tuple[float | None, float | None, float]:
    """The value before and after the critical token, and the drop; (None, None, -1) without one."""
    at = row["critical_index"]
    if at is None:
        return None, None, -1.0
    before = row["value"][at - 1] if at else row["prompt_value"]
    return before, row["value"][at], (before or 0.0) - (row["value"][at] or 0.0)


def _entry(row: Mapping[str, Any], problem: Mapping[str, Any], number: int) -> dict[str, Any]:
    """What the list shows of a trajectory; `row` is its place among the packed ones."""
    at, pieces = row["critical_index"], row["pieces"]
    before, after, drop = _around(row)
    kind = None
    if at is not None:
        kind = word_class(
            pieces[at], "".join(pieces[at - 1 : at]), "".join(pieces[at + 1 : at + 2])
        )
    return {
        "id": row["solution_id"],
        "row": number,
        "question": problem["question"][:QUESTION],
        "piece": None if at is None else pieces[at],
        "class": kind,
        "at": at,
        "length": len(pieces),
        "start": _short(row["prompt_value"]),
        "before": _short(before),
        "after": _short(after),
        "drop": _short(drop),
    }


def _whole(
    row: Mapping[str, Any], problem: Mapping[str, Any], solution: Mapping[str, Any]
) -> dict[str, Any]:
    """All that the page shows of a trajectory."""
    chance = row["critical_prob"]
    return {
        "question": problem["question"],
        "answer": problem["answer"],
        "said": solution["answer"],
        "model": row["model"],
        "estimator": row["estimator"],
        "pieces": row["pieces"],
        "start": _short(row["prompt_value"]),
        "value": list(map(_short, row["value"])),
        "low": list(map(_short, row["value_low"])),
        "high": list(map(_short, row["value_high"])),
        "keep": list(map(_short, row["keep_prob"])),
        "rollouts": row["n_rollouts"],
        "right": row["n_correct"],
        "chance": None if chance is None else list(map(_short, chance)),
        "critical": row["critical_index"],
        "low_index": row["critical_low"],
        "high_index": row["critical_high"],
        "passes": list(map(_short, row["replacement_pass_at_k"])),
        "others": [[r["piece"], r["n_rollouts"], r["n_correct"]] for r in row["replacements"]],
    }


def _figures(summary: Any) -> list[list[str]]:
    """The figures of the run, for people."""
    drawn = summary.generated_tokens
    named = [
        ["Questions were put", summary.asked or "by others"],
        ["Confident critical tokens", f"{summary.confident:,} (probability 0.8 or more)"],
        [
            "Never solved",
            f"{summary.hopeless:,} trajectories had no chance before their first token",
        ],
        ["Tokens generated", f"{drawn:,}, {summary.rollout_tokens:,} of them for the values"],
        [
            "Exhaustive rollouts",
            f"would generate about {summary.exhaustive_tokens:,} for the values",
        ],
    ]
    for how, found in summary.reliability.items():
        if found is not None:
            named.append(
                [
                    f"Two runs agree, {how}",
                    f"{found.share:.0%} ({found.low:.0%} to {found.high:.0%})",
                ]
            )
    return named


def _classes(index: list[dict[str, Any]]) -> list[list[Any]]:
    """For each kind of word: how many critical tokens, and where in the solution (median, 0 to 1)."""
    places = defaultdict(list)
    for entry in index:
        if entry["at"] is not None:
            places[entry["class"]].append(entry["at"] / entry["length"])
    return [[kind, len(places[kind]), median(places[kind])] for kind in CLASSES if places[kind]]


def _short(value: float | None) -> float | None:
    return None if value is None else round(value, DIGITS)


def _percent(value: float | None) -> str:
    return "none" if value is None else f"{value:.1%}"


def _pack(value: Any) -> str:
    return base64.b64encode(zlib.compress(json.dumps(value).encode(), 9)).decode()


def _filled(data: Mapping[str, Any]) -> str:
    """The template with its parts, in which data can end no element and stand for no part."""
    folder = files("ctm_data.pages") / "web"
    style, script = ((folder / f"report.{kind}").read_text("utf-8") for kind in ("css", "js"))
    parts = {
        "style": style,
        "style_hash": _hash(style),
        "script": script,
        "script_hash": _hash(script),
        "data": json.dumps(data, separators=(",", ":")).replace("<", "\\u003c"),
    }
    first, *rest = (folder / "report.html").read_text("utf-8").split("{{")
    pieces = [first]
    for piece in rest:
        name, _, text = piece.partition("}}")
        pieces += [parts[name], text]
    return "".join(pieces)


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
