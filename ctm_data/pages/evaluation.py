"""The figures of an evaluation, made from the tables of its run folder.

An evaluation is a run folder like any other: samples, verifier scores and programs are in its tables, and
`results_ctm.json` holds the figures computed from them.
"""

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ctm_data.run.recipe import differences
from ctm_data.run.records import are_programs
from ctm_data.run.schema import SCHEMAS
from ctm_data.run.store import Store
from ctm_eval import report as figures
from ctm_eval.benchmarks import BENCHMARKS
from ctm_eval.errors import CtmError
from ctm_eval.metrics import Comparison
from ctm_eval.prompts import fingerprint
from ctm_eval.report import Results
from ctm_eval.types import Solution

SAMPLING = ("n_samples", "temperature", "top_p", "max_new_tokens", "max_thinking_tokens", "think_tags",
            "chat", "system", "template_args", "few_shot", "few_shot_file", "engine")  # fmt: skip


def summarize(run: Store | str | Path) -> Results:
    """The figures of a run folder with sampled solutions, recomputed from its tables.

    For an unfinished run, they cover the samples so far. Raises CtmError if there are none.
    """
    store = run if isinstance(run, Store) else Store(run)
    own = _graded(store)
    return figures.measure(
        own,
        programs=are_programs(store),
        scores=_scores(store, len(own)),
        kept={} if are_programs(store) else kept(store, len(own)),
    )


def results_json(store: Store) -> str:
    """The content of `results_ctm.json`."""
    figure = figures.lm_eval(summarize(store), store.manifest["recipe"], _provenance(store))
    return json.dumps(figure, indent=2, ensure_ascii=False) + "\n"


def as_json(store: Store, results: Results, comparison: Comparison | None = None) -> dict[str, Any]:
    """What `ctm eval --json` prints: the content of `results_ctm.json`, the folder, the comparison."""
    figure = figures.lm_eval(results, store.manifest["recipe"], _provenance(store))
    compared = {"comparison": asdict(comparison)} if comparison else {}
    return {"run": str(store.folder), **figure, **compared}


def paired(first: str | Path, second: str | Path) -> Comparison:
    """The paired test of two runs, second against first, on the problems that both have.

    Raises CtmError if they are of different benchmarks or share no problem.
    """
    stores = [Store(first), Store(second)]
    names = [store.manifest["recipe"]["benchmark"] for store in stores]
    if names[0] != names[1]:
        raise CtmError(f"{first} is of {names[0]}, {second} of {names[1]}", usage=True)
    told = [dict(zip(*_columns(store, "problem_id", "question"), strict=True)) for store in stores]
    if other := sorted(p for p in told[0].keys() & told[1].keys() if told[0][p] != told[1][p]):
        raise CtmError(
            f"{other[0]} is not the same question in {first} and in {second}: the runs read different "
            "data",
            usage=True,
        )
    return figures.paired_by_problem(*(_graded(store) for store in stores))


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


def _graded(store: Store) -> list[Solution]:
    """All samples of a run, without their texts and tokens, which no figure needs."""
    absent = {"prompt_ids": (), "token_ids": (), "text": ""}
    columns = [name for name in SCHEMAS["solutions"].names if name not in absent]
    return [
        Solution(**row, **absent)  # type: ignore[arg-type]
        for part in store.each("solutions", columns)
        for row in part.to_pylist()
    ]


def _columns(store: Store, *names: str) -> list[list[Any]]:
    table = store.read("problems", list(names))
    return [table[name].to_pylist() for name in names]


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
    seen: set[str] = set()
    for part in store.each("solutions", ["problem_id", "prompt_ids"]):
        for row in part.to_pylist():
            if row["problem_id"] not in seen:
                seen.add(row["problem_id"])
                yield row["prompt_ids"]


def _scores(store: Store, count: int) -> dict[str, figures.Scores]:
    """By verifier, the score and weight of every solution; verifiers with missing scores are left out."""
    from ctm_eval.verifiers import weight

    found: dict[str, dict[str, tuple[float, float]]] = {}
    for part in store.each("scores"):
        for row in part.to_pylist():
            name = row["verifier"] if row["pool"] is None else f"{row['verifier']}, {row['pool']}"
            score = row["score"]
            weighed = (score, weight(row["method"], score))
            found.setdefault(name, {})[row["solution_id"]] = weighed
    return {name: scores for name, scores in found.items() if len(scores) == count}


def kept(store: Store, count: int) -> dict[str, dict[str, bool]]:
    """By coder, whether its program agrees with each solution; incomplete coders are left out."""
    found: dict[str, dict[str, bool]] = {}
    for part in store.each("programs", ["solution_id", "coder", "agrees"]):
        for row in part.to_pylist():
            found.setdefault(row["coder"], {})[row["solution_id"]] = row["agrees"]
    return {coder: agrees for coder, agrees in found.items() if len(agrees) == count}
