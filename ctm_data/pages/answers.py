"""The samples of a problem as a page shows them: verdicts with the grader's reasons, votes, programs."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ctm_data.pages.lists import fetched, placeholders
from ctm_eval.benchmarks import BENCHMARKS
from ctm_eval.errors import CtmError
from ctm_eval.grading.explain import explain
from ctm_eval.pair_selection import by_answer
from ctm_eval.types import Solution

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

LONGEST = 20_000  # characters of a text


def answers(
    con: "DuckDBPyConnection", ids: Sequence[str], runs: Sequence[str]
) -> dict[str, dict[str, Any]]:
    """What the page shows of the problems `ids`, by id: of each run its samples and their votes."""
    among = f"problem_id in ({placeholders(ids)})"
    problems = {
        row["problem_id"]: row
        for row in fetched(
            con, f"select * from problems where {among} and run = ?", [*ids, runs[0]]
        )
    }
    samples = _grouped(
        fetched(
            con,
            "select run, solution_id, problem_id, sample_index, model, text, answer, correct, verdict, "
            f"finish_reason from solutions where {among} order by sample_index, solution_id",
            ids,
        ),
        "run",
        "problem_id",
    )
    scores = _grouped(
        fetched(
            con,
            "select run, solution_id, if(pool is null, verifier, verifier || ', ' || pool) as name, score "
            f"from scores where {among} order by all",
            ids,
        ),
        "run",
        "solution_id",
    )
    programs = _grouped(
        fetched(
            con,
            "select run, solution_id, coder, program, printed, result, agrees, description "
            f"from programs where {among} order by all",
            ids,
        ),
        "run",
        "solution_id",
    )
    found = {}
    for name in ids:
        problem = problems.get(name, {})
        sides = []
        for run in runs:
            own = samples.get((run, name), [])
            told = [
                _sample(
                    problem,
                    sample,
                    scores.get((run, sample["solution_id"]), ()),
                    programs.get((run, sample["solution_id"]), ()),
                )
                for sample in own
            ]
            sides.append({"run": run, "votes": _votes(problem, own), "samples": told})
        found[name] = {
            "question": problem.get("question"),
            "answer": problem.get("answer"),
            "tests": problem.get("tests") or [],
            "sides": sides,
        }
    return found


def _sample(
    problem: Mapping[str, Any],
    sample: Mapping[str, Any],
    scores: Iterable[Mapping[str, Any]],
    programs: Iterable[Mapping[str, Any]],
) -> dict[str, Any]:
    kept = ("solution_id", "sample_index", "model", "answer", "correct", "verdict", "finish_reason")
    return {name: sample[name] for name in kept} | {
        "text": _cut(sample["text"]),
        "because": _because(problem, sample),
        "scores": {row["name"]: round(row["score"], 4) for row in scores},
        "programs": [
            {
                name: _cut(row[name])
                for name in ("coder", "program", "printed", "result", "description")
            }
            for row in programs
        ],
    }


def _because(problem: Mapping[str, Any], sample: Mapping[str, Any]) -> str | None:
    """The grader's reason; None for programs, and where the problem has no answer to compare with."""
    if problem.get("tests") or not problem.get("answer"):
        return None
    known = BENCHMARKS.get(problem["benchmark"])
    name = known.name if known and known.answer_format else None
    try:
        return explain(
            problem["answer"], sample["text"], name, finished=sample["finish_reason"] == "stop"
        )
    except CtmError:
        return None


def _votes(problem: Mapping[str, Any], samples: Sequence[Mapping[str, Any]]) -> list[list[Any]]:
    """[answer, votes, right ones] of each distinct answer, most votes first; none for programs."""
    if problem.get("tests"):
        return []
    absent = {"prompt_ids": (), "token_ids": (), "temperature": 0.0, "top_p": 1.0, "seed": 0}
    own = [
        Solution(**{k: v for k, v in sample.items() if k != "run"}, **absent)  # type: ignore[arg-type]
        for sample in samples
    ]
    return [
        [_cut(group[0].answer), len(group), sum(s.correct for s in group)]
        for group in by_answer(own)
    ]


def _grouped(
    rows: Iterable[dict[str, Any]], *keys: str
) -> dict[tuple[Any, ...], list[dict[str, Any]]]:
    found: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for row in rows:
        found.setdefault(tuple(row[key] for key in keys), []).append(row)
    return found


def _cut(text: str | None) -> str | None:
    return text if text is None or len(text) <= LONGEST else text[:LONGEST] + "…"
