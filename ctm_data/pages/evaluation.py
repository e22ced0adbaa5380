"""The figures of an evaluation, made from the tables of its run folder.

An evaluation is a run folder like any other: samples, verifier scores and programs are in its tables, and
`results_ctm.json` holds the figures computed from them.
"""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ctm_data.run.recipe import differences
from ctm_data.run.records import are_programs, count_solutions
from ctm_data.run.schema import SCHEMAS
from ctm_data.run.store import Store
from ctm_eval import report as figures
from ctm_eval.benchmarks import BENCHMARKS
from ctm_eval.errors import CtmError
from ctm_eval.metrics import Comparison
from ctm_eval.prompts import fingerprint
from ctm_eval.report import Results, Sampled
from ctm_eval.types import Solution

SAMPLING = ("n_samples", "temperature", "top_p", "max_new_tokens", "max_thinking_tokens", "think_tags",
            "chat", "system", "template_args", "few_shot", "few_shot_file", "engine")  # fmt: skip


class NotSampled(CtmError):
    """A run of data from elsewhere, whose solutions no model was asked for here."""


def refuse_foreign(store: Store) -> None:
    """Raises NotSampled for a run that was imported: it may have no verdicts, and has no benchmark."""
    if "benchmark" not in store.manifest["recipe"]:
        raise NotSampled(
            f"{store.name} holds data from elsewhere, not samples of a benchmark, so it has no figures of "
            "an evaluation: give a run of `ctm eval` or `ctm build-dataset`",
            usage=True,
        )


def summarize(run: Store | str | Path) -> Results:
    """The figures of a run folder with sampled solutions, recomputed from its tables.

    For an unfinished run, they cover the samples so far. Raises CtmError if there are none.
    """
    store = run if isinstance(run, Store) else Store(run)
    refuse_foreign(store)
    return figures.measure(sampled(store), programs=are_programs(store))


def results_json(store: Store) -> str:
    """The content of `results_ctm.json`."""
    figure = figures.lm_eval(summarize(store), store.manifest["recipe"], _provenance(store))
    return json.dumps(figure, indent=2, ensure_ascii=False) + "\n"


def as_json(store: Store, results: Results, comparison: Comparison | None = None) -> dict[str, Any]:
    """What `ctm eval --json` prints: the content of `results_ctm.json`, the folder, the comparison."""
    figure = figures.lm_eval(results, store.manifest["recipe"], _provenance(store))
    compared = {"comparison": asdict(comparison)} if comparison else {}
    return {"run": store.name, **figure, **compared}


def paired(first: str | Path, second: str | Path) -> Comparison:
    """The paired test of two runs, second against first, on the problems that both have.

    Raises CtmError if they are of different benchmarks or share no problem.
    """
    stores = [Store(first), Store(second)]
    for store in stores:
        refuse_foreign(store)
    names = [store.manifest["recipe"]["benchmark"] for store in stores]
    if names[0] != names[1]:
        raise CtmError(f"{first} is of {names[0]}, {second} of {names[1]}", usage=True)
    told = dict(_columns(stores[0], "problems", "problem_id", "question"))
    again = _columns(stores[1], "problems", "problem_id", "question")
    if other := sorted(name for name, question in again if told.get(name, question) != question):
        raise CtmError(
            f"{other[0]} is not the same question in {first} and in {second}: the runs read different "
            "data",
            usage=True,
        )
    return figures.paired_by_problem(
        *(_columns(store, "solutions", "problem_id", "correct") for store in stores)
    )


def sampled_differently(first: str | Path, second: str | Path) -> list[str]:
    """What two runs' recipes say differently of how questions are put and samples drawn; [] for nothing.

    A difference of the figures is then not of the models alone.
    """
    sampling = [
        {name: value for name, value in Store(run).manifest["recipe"].items() if name in SAMPLING}
        for run in (first, second)
    ]
    return differences(*sampling)


def check_comparable(other: str | Path, benchmark: str) -> None:
    """Raises CtmError if `other` is not a run folder, or is a run of another benchmark."""
    name = Store(other).manifest["recipe"].get("benchmark")
    if name != benchmark:
        raise CtmError(f"{other} is of {name}, not of {benchmark}: nothing to compare", usage=True)


def sampled(store: Store) -> Iterator[Sampled]:
    """The samples of a run problem by problem, with the scores and programs that every sample has.

    A part at a time is in memory, without the texts and tokens, which no figure needs.
    """
    absent = {"prompt_ids": (), "token_ids": (), "text": ""}
    columns = [name for name in SCHEMAS["solutions"].names if name not in absent]
    verifiers = _of_every_sample(store, "scores", "verifier", "pool")
    coders = [] if are_programs(store) else _of_every_sample(store, "programs", "coder")
    for chunk in store.chunks("solutions"):
        scores = _scores(store, chunk) if verifiers else {}
        agrees = _agreements(store, chunk) if coders else {}
        problems: dict[str, list[Solution]] = {}
        for row in store.rows("solutions", chunk, columns):
            solution = Solution(**row, **absent)  # type: ignore[arg-type]
            problems.setdefault(solution.problem_id, []).append(solution)
        for own in problems.values():
            ids = [solution.solution_id for solution in own]
            yield Sampled(
                own,
                {_named(*by): [scores[one, *by] for one in ids] for by in verifiers},
                {coder: [agrees[one, coder] for one in ids] for (coder,) in coders},
            )


def _of_every_sample(store: Store, table: str, *by: str) -> list[tuple[Any, ...]]:
    """By whom all solutions have a row in a table."""
    rows = Counter(_columns(store, table, *by))
    total = count_solutions(store)
    return [name for name, count in rows.items() if count == total]


def _columns(store: Store, table: str, *names: str) -> Iterator[tuple[Any, ...]]:
    """The rows of a table in some of its columns, a part at a time."""
    for part in store.each(table, list(names)):
        yield from zip(*(column.to_pylist() for column in part.columns), strict=True)


def _provenance(store: Store) -> dict[str, Any]:
    """What the figures depend on beyond the recipe: the data source, the prompts, the versions."""
    recipe = store.manifest["recipe"]
    kind = BENCHMARKS.get(recipe["benchmark"])
    in_words = recipe.get("engine") == "openai" and recipe.get("tokenizer") is None
    return {
        "dataset": kind.repo if kind and not recipe["data_file"] else None,
        "prompts_sha256": None if in_words else fingerprint(_prompts(store)),
        "versions": store.manifest["versions"],
    }


def _prompts(store: Store) -> Iterator[list[int]]:
    """The prompt of every problem that was asked, once."""
    for part in store.each("solutions", ["problem_id", "prompt_ids"]):
        seen: set[str] = set()
        for row in part.to_pylist():
            if row["problem_id"] not in seen:
                seen.add(row["problem_id"])
                yield row["prompt_ids"]


def _scores(store: Store, chunk: int) -> dict[tuple[str, ...], tuple[float, float]]:
    """The score and the weight by solution, verifier and pool."""
    from ctm_eval.verifiers import weight

    return {
        (row["solution_id"], row["verifier"], row["pool"]): (
            row["score"],
            weight(row["method"], row["score"]),
        )
        for row in store.rows("scores", chunk)
    }


def _agreements(store: Store, chunk: int) -> dict[tuple[str, str], bool]:
    """Whether the program agrees, by solution and coder."""
    rows = store.rows("programs", chunk, ["solution_id", "coder", "agrees"])
    return {(row["solution_id"], row["coder"]): row["agrees"] for row in rows}


def _named(verifier: str, pool: str | None) -> str:
    return verifier if pool is None else f"{verifier}, {pool}"
