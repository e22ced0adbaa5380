"""`evaluate`: a model on a benchmark, every sample kept, the figures made from what is kept.

An evaluation is a run folder like any other: `problems` and `solutions` in Parquet parts, resumable,
with `results.json` beside them.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from ctm_data import card
from ctm_data.solutions import sample_solutions
from ctm_data.store import Store, is_run_folder
from ctm_eval.benchmarks import BENCHMARKS, GENERATED, STOP, Problem, load_problems, revision_of
from ctm_eval.engines import Engine, Sampling, load_engine
from ctm_eval.errors import CtmError
from ctm_eval.pocket import MODELS
from ctm_eval.prompts import SHOTS, Prompting, exemplars
from ctm_eval.rows import fingerprint as fingerprint_of_file
from ctm_eval.scoring import Scorer

Report = Callable[[str, float, int, int], None]  # stage, units done, units in all, tokens generated
POCKET_PROBLEMS = 500
POCKET_TOKENS, OTHER_TOKENS = 192, 1024  # default --max-new-tokens
IN_FLIGHT = {"transformers": 512, "vllm": 4096}  # requests given to the engine, and lost by a kill


def evaluate(
    output_dir: str | Path = "runs/eval-pocket",
    *,
    model: str = "pocket",
    benchmark: str = "pocket",
    split: str = "test",
    data_file: str | Path | None = None,
    revision: str | None = None,
    limit: int | None = None,
    few_shot: int | None = None,
    few_shot_file: str | Path | None = None,
    chat: bool = False,
    n_samples: int = 1,
    temperature: float | None = None,
    top_p: float | None = None,
    max_new_tokens: int | None = None,
    engine: str = "transformers",
    device: str | None = None,
    tensor_parallel: int = 1,
    adapter: str | None = None,
    seed: int = 0,
    chunk_size: int | None = None,
    isolate: bool = True,
    report: Report | None = None,
) -> Store:
    """Samples `n_samples` solutions of every problem, scores them, and writes `results.json`.

    One sample is greedy unless `temperature` says otherwise; several are drawn at temperature 1, top-p
    0.95. `few_shot` exemplars precede the question (8 for GSM8K, 4 for MATH, 3 for programs; none for
    a chat or for `pocket`). `chunk_size` problems are a part of a table: what a kill may cost. Run again
    with the same arguments, it goes on where it was stopped. Raises CtmError.
    """
    numbers = {"--n-samples": n_samples, "--chunk-size": chunk_size, "--limit": limit,
               "--max-new-tokens": max_new_tokens, "--tensor-parallel": tensor_parallel}  # fmt: skip
    for option, number in numbers.items():
        if number is not None and number < 1:
            raise CtmError(f"{option} must be 1 or more, not {number}", usage=True)
    if temperature is None:
        temperature = 0.0 if n_samples == 1 else 1.0
    if temperature == 0 and n_samples > 1:
        raise CtmError("greedy samples are all the same: give --temperature above 0", usage=True)
    if tensor_parallel > 1 and engine != "vllm":
        raise CtmError("--tensor-parallel goes with --engine vllm", usage=True)
    if top_p is None:
        top_p = 1.0 if n_samples == 1 else 0.95
    if few_shot is None:
        few_shot = 0 if chat or model in MODELS else SHOTS.get(benchmark, 0)
    if max_new_tokens is None:
        max_new_tokens = POCKET_TOKENS if model in MODELS else OTHER_TOKENS
    if limit is None and benchmark in GENERATED:
        limit = POCKET_PROBLEMS
    sampling = Sampling(temperature, top_p, STOP if model not in MODELS and not chat else ())
    prompting = Prompting(exemplars(benchmark, few_shot, few_shot_file), chat)
    if data_file is None and revision is None and benchmark in BENCHMARKS:
        revision = _revision(output_dir, benchmark)
    problems = load_problems(
        benchmark, split=split, data_file=data_file, limit=limit, seed=seed, revision=revision
    )
    size = chunk_size or max(1, IN_FLIGHT.get(engine, 512) // n_samples)
    recipe = {
        "command": "eval",
        "model": model,
        "adapter": adapter,
        "benchmark": benchmark,
        "split": split,
        "data_file": fingerprint_of_file(data_file),
        "revision": revision,
        "limit": limit,
        "few_shot": few_shot,
        "few_shot_file": fingerprint_of_file(few_shot_file),
        "chat": chat,
        "n_samples": n_samples,
        "temperature": temperature,
        "top_p": top_p,
        "max_new_tokens": max_new_tokens,
        "engine": engine,
        "seed": seed,
        "chunk_size": size,
    }
    chunks = {i: problems[i * size : (i + 1) * size] for i in range(-(-len(problems) // size))}
    parallel = {"tensor_parallel": tensor_parallel} if tensor_parallel > 1 else {}

    def load() -> tuple[Engine, Mapping[str, Sequence[int]]]:
        loaded = load_engine(engine, model, device=device, adapter=adapter, **parallel)
        return loaded, _prompts(loaded, problems, prompting, max_new_tokens)

    with Scorer(isolate=isolate) as scorer:
        ready = None
        if not is_run_folder(output_dir):  # what cannot work must not leave a folder behind
            scorer.check(problems)
            ready = load()
        with Store.open(output_dir, recipe) as store:
            wanted = [
                chunk for chunk, own in chunks.items() if not _done(store, chunk, own, n_samples)
            ]
            if wanted and ready is None:
                scorer.check(problems)
                ready = load()
            progress = _Progress(report, len(problems) * n_samples)
            progress(n_samples * sum(len(own) for i, own in chunks.items() if i not in wanted), 0)
            for chunk in wanted:
                assert ready is not None
                solutions = sample_solutions(
                    ready[0],
                    chunks[chunk],
                    sampling,
                    n_samples=n_samples,
                    max_new_tokens=max_new_tokens,
                    seed=seed,
                    progress=progress,
                    prompts=ready[1],
                    score=scorer.score,
                )
                store.write("problems", chunk, map(asdict, chunks[chunk]))
                store.write("solutions", chunk, map(asdict, solutions))
            card.finish(store)
    return store


def _done(store: Store, chunk: int, problems: Sequence[Problem], n_samples: int) -> bool:
    keys = {(p.problem_id, i) for p in problems for i in range(n_samples)}
    return store.done("solutions", chunk) == keys and len(store.done("problems", chunk)) == len(
        problems
    )


def _prompts(
    engine: Engine, problems: Sequence[Problem], prompting: Prompting, max_new_tokens: int
) -> dict[str, list[int]]:
    """The prompts by problem id, all of which fit the model with their solutions."""
    prompts = {p.problem_id: prompting.encode(engine, p) for p in problems}
    longest = max(prompts, key=lambda problem: len(prompts[problem]))
    length = len(prompts[longest])
    if engine.max_length and length + max_new_tokens > engine.max_length:
        raise CtmError(
            f"{longest} has {length} prompt tokens; with --max-new-tokens {max_new_tokens} that is more "
            f"than the {engine.max_length} positions of {engine.name}: lower --max-new-tokens or "
            "--few-shot",
            usage=True,
        )
    return prompts


def _revision(output_dir: str | Path, benchmark: str) -> str | None:
    """The revision of a run that was begun, else the Hub's newest."""
    if is_run_folder(output_dir):
        recipe = Store(output_dir).manifest["recipe"]
        if recipe.get("benchmark") == benchmark and recipe.get("revision"):
            return str(recipe["revision"])
    return revision_of(benchmark)


class _Progress:
    """Sums up what engines report, for `Report`."""

    def __init__(self, report: Report | None, total: int) -> None:
        self._report, self._total, self._done, self._tokens = report, total, 0, 0

    def __call__(self, requests: int, drawn: int) -> None:
        self._done, self._tokens = self._done + requests, self._tokens + drawn
        if self._report:
            self._report("sampling", self._done, self._total, self._tokens)
