"""`build_dataset`: problems in, annotated tables out; and the merging of shards."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from ctm_data import stages as stage
from ctm_data.card import finish
from ctm_data.critical import RULES, Rule
from ctm_data.estimators import ESTIMATORS, Estimator, RolloutSettings
from ctm_data.stages import Report
from ctm_data.store import Store, is_run_folder
from ctm_eval.benchmarks import STOP, Problem, load_problems, prompt
from ctm_eval.engines import Engine, Sampling, load_engine
from ctm_eval.errors import CtmError
from ctm_eval.pocket import MODELS
from ctm_eval.rows import fingerprint
from ctm_eval.scoring import Scorer

STAGES = ("rollouts", "contrast")
ALL_STAGES = (*STAGES, "verifier")
POCKET_TOKENS, OTHER_TOKENS = 192, 1024  # default --max-new-tokens; 1024 is the paper's


def build_dataset(
    output_dir: str | Path = "runs/pocket",
    *,
    model: str | Sequence[str] = "pocket",
    benchmark: str = "pocket",
    split: str = "test",
    data_file: str | Path | None = None,
    limit: int | None = None,
    n_samples: int = 64,
    temperature: float = 1.0,
    top_p: float = 0.95,
    max_new_tokens: int | None = None,
    n_rollouts: int = 64,
    estimator: Estimator = "branch",
    label_only: bool = False,
    rule: Rule = "critical",
    trajectories: int = 1,
    stages: Sequence[str] = STAGES,
    positive_model: str | None = None,
    negative_model: str | None = None,
    ce_beta: float = 1.0,
    ce_plausibility: float = 0.0,
    balance: bool = False,
    describe: bool = False,
    engine: str = "transformers",
    device: str | None = None,
    seed: int = 0,
    chunk_size: int = 16,
    shard: tuple[int, int] | None = None,
    isolate: bool = True,
    report: Report | None = None,
) -> Store:
    """Samples `n_samples` solutions a problem and grades them; then, of `stages`, rolls out wrong ones
    at every token (`rollouts`), scores pairs by contrastive estimation (`contrast`), or labels what a
    verifier learns from (`verifier`).

    At most `trajectories` wrong solutions a problem are looked at: those of its most frequent wrong
    answers (`selection.negatives`). Pairs set them against right ones. Without `positive_model` and
    `negative_model` these are trained on the run's own solutions and kept in its folder; a shard
    leaves that to `merge_shards`. For a verifier there may be several models, each of which samples
    `n_samples` solutions, and programming tasks, whose solutions run in the sandbox (`isolate` says how);
    `balance` keeps as many right as wrong solutions of a problem, and `describe` has each program
    described by who wrote it. The work is done in chunks of
    `chunk_size` problems; `shard` (I, N) takes every N-th chunk from the I-th. Run again with the same
    arguments, it goes on where it was stopped. Raises CtmError.
    """
    _check(n_samples, n_rollouts, trajectories, chunk_size, max_new_tokens, limit, shard)
    if rule not in RULES:
        raise CtmError(f"unknown rule {rule!r}; there are: {', '.join(RULES)}", usage=True)
    if estimator not in ESTIMATORS:
        known = ", ".join(ESTIMATORS)
        raise CtmError(f"unknown estimator {estimator!r}; there are: {known}", usage=True)
    if label_only and (estimator != "branch" or rule != "critical"):
        raise CtmError(
            "--label-only finds the critical token alone: it goes with --estimator branch and "
            "--rule critical",
            usage=True,
        )
    if unknown := sorted(set(stages) - set(ALL_STAGES)):
        raise CtmError(
            f"unknown stages: {', '.join(unknown)}; there are: {', '.join(ALL_STAGES)}", usage=True
        )
    if describe and "verifier" not in stages:
        raise CtmError("--describe goes with --stages verifier", usage=True)
    models = [model] if isinstance(model, str) else list(model)
    if len(set(models)) < len(models):
        raise CtmError("a model is given twice", usage=True)
    if len(models) > 1 and set(stages) != {"verifier"}:
        raise CtmError(
            "several models go with --stages verifier alone: a solution is rolled out by the model that "
            "wrote it",
            usage=True,
        )
    if bool(positive_model) != bool(negative_model):
        raise CtmError("give both --positive-model and --negative-model, or neither", usage=True)
    builtin = all(name in MODELS for name in models)
    sampling = Sampling(temperature, top_p, () if builtin else STOP)
    problems = load_problems(benchmark, split=split, data_file=data_file, limit=limit, seed=seed)
    if problems[0].tests and set(stages) != {"verifier"}:
        raise CtmError(
            f"{benchmark} asks for programs, and rollouts are labelled by answers: it goes with `ctm "
            "eval`, and here with --stages verifier",
            usage=True,
        )
    if describe and not problems[0].tests:
        raise CtmError(f"--describe is of programs, and {benchmark} asks for answers", usage=True)
    if max_new_tokens is None:
        max_new_tokens = POCKET_TOKENS if builtin else OTHER_TOKENS
    recipe = {
        "model": models[0] if len(models) == 1 else models,
        "benchmark": benchmark,
        "split": split,
        "data_file": fingerprint(data_file),
        "limit": limit,
        "n_samples": n_samples,
        "temperature": temperature,
        "top_p": top_p,
        "max_new_tokens": max_new_tokens,
        "n_rollouts": n_rollouts,
        "estimator": estimator,
        "label_only": label_only,
        "rule": rule,
        "trajectories": trajectories,
        "positive_model": positive_model,
        "negative_model": negative_model,
        "ce_beta": ce_beta,
        "ce_plausibility": ce_plausibility,
        "balance": balance,
        "describe": describe,
        "engine": engine,
        "seed": seed,
        "chunk_size": chunk_size,
    }
    settings = RolloutSettings(
        sampling=sampling,
        n_rollouts=n_rollouts,
        max_new_tokens=max_new_tokens,
        estimator=estimator,
        label_only=label_only,
        rule=rule,
        seed=seed,
    )
    chunks = _chunks(problems, chunk_size, shard or (0, 1))

    def load(name: str) -> stage.Lazy:
        return stage.Lazy(
            lambda: _fitting(load_engine(engine, name, device=device), problems, max_new_tokens)
        )

    engines, report = [load(name) for name in models], report or _silent
    with Scorer(isolate=isolate) as scorer:
        if not is_run_folder(output_dir):  # what cannot work must not leave a folder behind
            scorer.check(problems)
            for loaded in engines:
                loaded()
                if len(engines) > 1:
                    loaded.forget()
        with Store.open(output_dir, recipe, shard) as store:
            stage.sample(store, chunks, engines, settings, n_samples, report, scorer.score)
            if "rollouts" in stages:
                stage.label(store, chunks, engines[0], settings, trajectories, report)
            if "contrast" in stages and (positive_model or not shard):
                stage.contrast(store, recipe, report, device)
            if "verifier" in stages:
                stage.label_solutions(
                    store, chunks, recipe, dict(zip(models, engines, strict=True)), report
                )
            finish(store)
    return store


def merge_shards(
    folders: Sequence[str | Path],
    output_dir: str | Path,
    *,
    stages: Sequence[str] = STAGES,
    device: str | None = None,
    report: Report | None = None,
) -> Store:
    """One run folder out of all shards of a run, equal to that of a run without shards.

    Of `stages`, `contrast` is done here if the shards left it. Raises CtmError if a shard is missing,
    unfinished or of another recipe.
    """
    stores = [Store(folder) for folder in folders]
    for store in stores:
        if "shard" not in store.manifest or "parts" not in store.manifest:
            what = "a shard" if "shard" not in store.manifest else "finished"
            raise CtmError(f"{store.folder} is not {what}; nothing was merged", usage=True)
        if store.manifest["recipe"] != stores[0].manifest["recipe"]:
            raise CtmError(
                f"{store.folder} and {stores[0].folder} have different recipes; nothing was merged",
                usage=True,
            )
    count = stores[0].manifest["shard"][1]
    have = sorted(store.manifest["shard"][0] for store in stores)
    if any(store.manifest["shard"][1] != count for store in stores) or have != list(range(count)):
        raise CtmError(
            f"merging takes the shards 0 to {count - 1} of {count}, each once; given: {have}",
            usage=True,
        )
    with Store.open(output_dir, stores[0].manifest["recipe"]) as merged:
        for store in stores:
            for part in store.manifest["parts"]:
                target = merged.folder / part
                target.parent.mkdir(exist_ok=True)
                partial = target.with_name(f".{target.name}.partial")
                shutil.copyfile(store.folder / part, partial)
                partial.replace(target)
        if "contrast" in stages:
            stage.contrast(merged, merged.manifest["recipe"], report or _silent, device)
        finish(merged)
    return merged


def _chunks(
    problems: Sequence[Problem], size: int, shard: tuple[int, int]
) -> dict[int, list[Problem]]:
    """The shard's chunks of problems by number."""
    numbers = range(shard[0], -(-len(problems) // size), shard[1])
    return {number: list(problems[number * size : (number + 1) * size]) for number in numbers}


def _fitting(engine: Engine, problems: Sequence[Problem], max_new_tokens: int) -> Engine:
    """The engine, if every prompt and its solution fit the model."""
    longest = max(problems, key=lambda problem: len(problem.question))
    length = len(engine.encode(prompt(longest)))
    if engine.max_length and length + max_new_tokens > engine.max_length:
        raise CtmError(
            f"{longest.problem_id} has {length} prompt tokens; with --max-new-tokens {max_new_tokens} "
            f"that is more than the {engine.max_length} positions of {engine.name}: lower "
            "--max-new-tokens",
            usage=True,
        )
    return engine


def _silent(stage: str, done: float, total: int, tokens: int) -> None:
    """Reports nothing."""


def _check(
    n_samples: int,
    n_rollouts: int,
    trajectories: int,
    chunk_size: int,
    max_new_tokens: int | None,
    limit: int | None,
    shard: tuple[int, int] | None,
) -> None:
    numbers = {
        "--n-samples": n_samples,
        "--n-rollouts": n_rollouts,
        "--trajectories": trajectories,
        "--chunk-size": chunk_size,
        "--max-new-tokens": max_new_tokens,
        "--limit": limit,
    }
    for option, number in numbers.items():
        if number is not None and number < 1:
            raise CtmError(f"{option} must be 1 or more, not {number}", usage=True)
    if shard and not 0 <= shard[0] < shard[1]:
        raise CtmError(
            f"--shard I/N takes I from 0 to N - 1, not {shard[0]}/{shard[1]}", usage=True
        )
