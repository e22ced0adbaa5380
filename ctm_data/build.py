"""`build_dataset`: problems in, annotated tables out; and the merging of shards."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from ctm_data.asking import ask, prompts_sha256
from ctm_data.config import STAGES, BuildConfig, Stage
from ctm_data.pages.card import finish
from ctm_data.run.store import Store, is_run_folder
from ctm_data.stages import contrast, rollouts, solutions, verifier
from ctm_eval.benchmarks import load_problems
from ctm_eval.engines import LazyEngine, load_engine
from ctm_eval.errors import CtmError
from ctm_eval.progress import Progress, silent
from ctm_eval.scoring import Scorer
from ctm_eval.types import Problem


def build_dataset(config: BuildConfig, progress: Progress | None = None) -> Store:
    """Samples solutions of every problem and grades them; then does the stages of `config`.

    `rollouts` rolls out wrong solutions at every token, `contrast` scores preference pairs by contrastive
    estimation, `verifier` labels what a verifier learns from. At most `config.trajectories` wrong solutions
    of a problem are looked at: those of its most frequent wrong answers. Without `positive_model` and
    `negative_model` these are trained on the run's own solutions and kept in its folder; a shard leaves
    that to `merge_shards`. Run again with the same options, it goes on where it was stopped.
    Raises CtmError.
    """
    config, progress = config.check(), progress or silent
    problems = load_problems(
        config.benchmark,
        split=config.split,
        data_file=config.data_file,
        limit=config.limit,
        seed=config.seed,
    )
    chunks = _chunks(problems, config.chunk_size, config.shard or (0, 1))
    config, prompts = ask(config, config.models, problems)
    recipe = {**config.recipe(), "prompts_sha256": prompts_sha256(prompts)}
    engines = {name: _engine(config, name) for name in config.models}
    loaders = list(engines.values())
    with Scorer(isolate=config.isolate) as scorer:
        if not is_run_folder(config.folder):  # what cannot work must not leave a folder behind
            scorer.check(problems)
            for engine in loaders:
                engine()
                if len(loaders) > 1:
                    engine.forget()
        with Store.open(config.folder, recipe, config.shard) as store:
            solutions.write(store, chunks, engines, prompts, config, progress, scorer.score)
            if "rollouts" in config.stages:
                rollouts.write(store, chunks, loaders[0], config, progress)
            if "contrast" in config.stages and (config.positive_model or not config.shard):
                contrast.write(store, recipe, progress, config.device)
            if "verifier" in config.stages:
                verifier.write(store, chunks, config, engines, progress)
            finish(store)
    return store


def merge_shards(
    folders: Sequence[str | Path],
    output_dir: str | Path,
    *,
    stages: Sequence[Stage] = STAGES,
    device: str | None = None,
    progress: Progress | None = None,
) -> Store:
    """Joins all shards of a run into one run folder, equal to that of a run without shards.

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
            contrast.write(merged, merged.manifest["recipe"], progress or silent, device)
        finish(merged)
    return merged


def _chunks(
    problems: Sequence[Problem], size: int, shard: tuple[int, int]
) -> dict[int, list[Problem]]:
    """The shard's chunks of problems by number."""
    numbers = range(shard[0], -(-len(problems) // size), shard[1])
    return {number: list(problems[number * size : (number + 1) * size]) for number in numbers}


def _engine(config: BuildConfig, name: str) -> LazyEngine:
    return LazyEngine(lambda: load_engine(config.engine, name, device=config.device))
