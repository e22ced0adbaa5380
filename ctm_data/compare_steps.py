"""Where the critical token lies, seen from the step that a human marked as the first wrong one.

The marked solutions (`ctm_eval.marked`) are rolled out by a model as if it had written them, into a run
folder like any other; the critical token of each is then before, in or after the marked characters. A
token drawn at random from the same solution is the baseline, and its shares are known exactly.
Source of the question: arXiv 2411.19943, tables 1 and 2.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

from ctm_data.asking import Asker, Prompts, ask
from ctm_data.config import BuildConfig
from ctm_data.estimator.settings import RolloutSettings
from ctm_data.pages.card import finish
from ctm_data.run.recipe import with_versions
from ctm_data.run.store import Store
from ctm_data.stages.rollouts import roll_out
from ctm_eval.data_files import fingerprint
from ctm_eval.engines import Engine, load_engine
from ctm_eval.errors import CtmError
from ctm_eval.grading import grade
from ctm_eval.marked import Marked, marked_solutions
from ctm_eval.metrics import Estimate, clustered
from ctm_eval.progress import Counter as Steps
from ctm_eval.progress import Progress
from ctm_eval.types import Problem, Solution

Place = Literal["before", "in", "after"]
CHUNK = 4  # problems in a part: what a kill costs at most
ROUNDS = 2000


@dataclass(frozen=True)
class Placement:
    """How often the critical token lies before, in or after the marked step, over problems, and how often
    a token drawn at random does; the difference has a 95% bootstrap interval over problems."""

    place: Place
    share: Estimate
    chance: float
    difference: float
    low: float
    high: float


@dataclass(frozen=True)
class StepComparison:
    """`solutions` with a critical token, of `problems`; why others were set aside, by reason."""

    placements: list[Placement]
    solutions: int
    problems: int
    set_aside: dict[str, int]


def compare_steps(
    run: str | Path,
    *,
    data_file: str | Path | None = None,
    model: str = "pocket",
    n_rollouts: int = 64,
    temperature: float = 1.0,
    top_p: float = 0.95,
    max_new_tokens: int | None = None,
    limit: int | None = None,
    engine: str = "transformers",
    device: str | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> StepComparison:
    """Rolls out marked solutions into the folder `run`, and says where their critical tokens lie.

    They are those of `data_file`, in ProcessBench's shape, or CHAMP's (`pip install champ-dataset`), the
    first `limit` with a wrong step. A call with the same options goes on with a stopped run. Raises
    CtmError.
    """
    set_aside: Counter[str] = Counter()
    marked = _wrong(marked_solutions(data_file), limit, set_aside)
    config = BuildConfig(
        output_dir=Path(run),
        model=model,
        benchmark=marked[0].problem.benchmark,
        data_file=None if data_file is None else Path(data_file),
        limit=limit,
        n_samples=1,
        n_rollouts=n_rollouts,
        temperature=temperature,
        top_p=top_p,
        max_new_tokens=max_new_tokens or 1024,
        engine=engine,  # type: ignore[arg-type]
        device=device,
        seed=seed,
        stages=("rollouts",),
    ).check()
    if max_new_tokens is None:
        config = replace(config, max_new_tokens=None)  # then the model's positions bound it
    problems = list({one.problem.problem_id: one.problem for one in marked}.values())
    config, prompts = ask(config, [model], problems)
    tokenizer = Asker(model).tokenizer
    solutions = _read_in(marked, prompts[model], tokenizer, config, set_aside)
    marks = fingerprint(data_file) or "champ-dataset"
    recipe = with_versions({**config.recipe(), "marked": marks})
    settings = config.rollout_settings()
    _roll_out(Path(run), recipe, problems, solutions, settings, config, progress)
    spans = {one.marked_id: one.span for one in marked}
    return _placed(Store(run), spans, tokenizer, set_aside, seed)


def placements(
    found: Sequence[tuple[str, dict[Place, float], dict[Place, float]]], seed: int = 0
) -> list[Placement]:
    """The placements from (problem, where the critical token lies, where a random one does) each.

    The two are shares over before, in and after that sum to 1. A problem counts once, as the mean of its
    solutions.
    """
    import numpy as np

    rng = np.random.default_rng(seed)
    names = list(dict.fromkeys(problem for problem, *_ in found))
    resamples = rng.integers(len(names), size=(ROUNDS, len(names)))
    result = []
    for place in get_args(Place):
        own = [
            [
                (critical[place], chance[place])
                for name, critical, chance in found
                if name == problem
            ]
            for problem in names
        ]
        values = np.array([np.mean(rows, axis=0) for rows in own])
        differences = values[:, 0] - values[:, 1]
        low, high = np.quantile(differences[resamples].mean(1), [0.025, 0.975])
        result.append(
            Placement(
                place=place,
                share=clustered(values[:, 0].tolist(), max(map(len, own))),
                chance=float(values[:, 1].mean()),
                difference=float(differences.mean()),
                low=float(low),
                high=float(high),
            )
        )
    return result


def places(offsets: Sequence[tuple[int, int]], span: tuple[int, int]) -> list[Place]:
    """Where each token lies, by its characters: before the span, in it or after it."""
    start, end = span
    return [
        "before" if stop <= start else "after" if begin >= end else "in" for begin, stop in offsets
    ]


def spelled(tokenizer: Any, text: str) -> tuple[list[int], list[tuple[int, int]]]:
    """Token ids of a text in the middle of a prompt, and each token's characters without the blanks
    at its beginning."""
    encoded = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    offsets = [
        (stop - len(text[start:stop].lstrip()), stop) if text[start:stop].strip() else (start, stop)
        for start, stop in encoded["offset_mapping"]
    ]
    return list(encoded["input_ids"]), offsets


def _wrong(marked: list[Marked], limit: int | None, set_aside: Counter[str]) -> list[Marked]:
    """Those with a wrong step and an answer to grade by."""
    wrong = [one for one in marked if one.span is not None][:limit]
    kept = [one for one in wrong if one.problem.answer.strip()]
    set_aside["the problem has no gold answer"] += len(wrong) - len(kept)
    if not kept:
        raise CtmError("there is no solution with a wrong step and a gold answer", usage=True)
    return kept


def _read_in(
    marked: Sequence[Marked],
    prompts: Prompts,
    tokenizer: Any,
    config: BuildConfig,
    set_aside: Counter[str],
) -> list[Solution]:
    """The marked solutions as solutions of the model, those that it can have written."""
    assert config.max_new_tokens is not None
    found = []
    for one in marked:
        ids = [*spelled(tokenizer, one.text)[0], tokenizer.eos_token_id]
        verdict = grade(one.problem.answer, one.text, one.problem.benchmark)
        if len(ids) > config.max_new_tokens:
            set_aside["longer than --max-new-tokens"] += 1
        elif verdict.correct:
            set_aside["its final answer is right"] += 1
        else:
            found.append(
                Solution(
                    solution_id=one.marked_id,
                    problem_id=one.problem.problem_id,
                    sample_index=int(one.marked_id[-3:]) if one.marked_id[-3:].isdigit() else 0,
                    model=config.models[0],
                    prompt_ids=prompts(one.problem),  # type: ignore[arg-type]  # not words
                    token_ids=ids,
                    text=one.text,
                    answer=verdict.answer,
                    correct=False,
                    verdict=verdict.reason,
                    finish_reason="stop",
                    temperature=config.temperature,
                    top_p=config.top_p,
                    seed=config.seed,
                )
            )
    if not found:
        reasons = "; ".join(f"{reason}: {count}" for reason, count in set_aside.items())
        raise CtmError(f"there is no solution to roll out ({reasons})", usage=True)
    return found


def _roll_out(
    run: Path,
    recipe: dict[str, Any],
    problems: Sequence[Problem],
    solutions: Sequence[Solution],
    settings: RolloutSettings,
    config: BuildConfig,
    progress: Progress | None,
) -> None:
    """Writes the run's tables, chunk by chunk; what is there already stays."""
    loaded: Engine | None = None
    counter = Steps(progress, "rolling out", len(solutions))
    with Store.open(run, recipe) as store:
        for chunk, start in enumerate(range(0, len(problems), CHUNK)):
            asked = problems[start : start + CHUNK]
            by_id = {problem.problem_id: problem for problem in asked}
            own = [one for one in solutions if one.problem_id in by_id]
            if not own:
                continue
            if store.done("rollouts", chunk) == {(one.solution_id,) for one in own}:
                counter.skip(len(own))
                continue
            counter(0)
            loaded = loaded or load_engine(config.engine, config.models[0], device=config.device)
            pairs = [(by_id[one.problem_id], one) for one in own]
            rows = roll_out(loaded, pairs, settings, counter.scaled(len(own)))
            store.write("problems", chunk, map(asdict, asked))
            store.write("solutions", chunk, map(asdict, own))
            store.write("rollouts", chunk, rows)
        counter(0)
        finish(store)


def _placed(
    store: Store,
    spans: dict[str, tuple[int, int] | None],
    tokenizer: Any,
    set_aside: Counter[str],
    seed: int,
) -> StepComparison:
    texts = {
        row["solution_id"]: row["text"]
        for part in store.each("solutions", ["solution_id", "text"])
        for row in part.to_pylist()
    }
    found = []
    columns = ["solution_id", "problem_id", "critical_index", "prompt_value"]
    for part in store.each("rollouts", columns):
        for row in part.to_pylist():
            span, at = spans[row["solution_id"]], row["critical_index"]
            assert span is not None
            offsets = spelled(tokenizer, texts[row["solution_id"]])[1]
            if at is None:
                set_aside["without a critical token"] += 1
            elif row["prompt_value"] is not None and row["prompt_value"] < 0.05:
                set_aside["hardly ever right from the start (value below 5%)"] += 1
            elif at >= len(offsets):
                set_aside["critical is only the end-of-sequence token"] += 1
            else:
                where = places(offsets, span)
                critical = {place: float(where[at] == place) for place in get_args(Place)}
                chance = {place: where.count(place) / len(where) for place in get_args(Place)}
                found.append((row["problem_id"], critical, chance))
    aside = {reason: count for reason, count in sorted(set_aside.items()) if count}
    if not found:
        reasons = "; ".join(f"{reason}: {count}" for reason, count in aside.items())
        raise CtmError(f"no solution has a critical token to place ({reasons})")
    problems = len({problem for problem, *_ in found})
    return StepComparison(placements(found, seed), len(found), problems, aside)
