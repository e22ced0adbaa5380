"""`build_dataset`: problems in, annotated tables out. `merge_shards`: shards joined into one run."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from ctm_data.asking import ask, problems_of, prompts_sha256
from ctm_data.config import STAGES, BuildConfig, Stage
from ctm_data.pages.card import finish
from ctm_data.run.bucket import working_folder
from ctm_data.run.files import sha256
from ctm_data.run.mirror import Mirror, mirrored
from ctm_data.run.recipe import differences, with_versions
from ctm_data.run.records import chunked
from ctm_data.run.schema import SCHEMA_VERSION, SCHEMAS
from ctm_data.run.store import Store, is_run_folder
from ctm_data.stages import contrast, rollouts, solutions, verifier
from ctm_data.team import team
from ctm_eval.engines import Engine, LazyEngine, load_engine, load_sampler
from ctm_eval.engines.openai.answers import NAME, Answers
from ctm_eval.errors import CtmError
from ctm_eval.progress import Progress, Traffic, silent
from ctm_eval.scoring import Scorer


def build_dataset(config: BuildConfig, progress: Progress | None = None) -> Store:
    """Samples solutions of every problem, grades them, and then runs the stages that `config` names.

    `rollouts` rolls out wrong solutions at every token, `contrast` scores preference pairs by contrastive
    estimation, `verifier` labels the training data of a verifier. At most `config.trajectories` wrong
    solutions of a problem are used, one for each of its most frequent wrong answers. If `positive_model`
    and `negative_model` are not given, they are trained on the run's own solutions and kept in its
    folder; a shard leaves this to `merge_shards`. A call with the same options resumes a stopped run.
    Where `config.output_dir` is a URL, the parts are put there as they are written, see
    `ctm_data.run.mirror`. Raises CtmError.
    """
    config = config.check()
    with mirrored(config.place) as mirror:
        return _build(config, progress or silent, mirror)


def _build(config: BuildConfig, progress: Progress, mirror: Mirror | None) -> Store:
    problems = problems_of(config)
    chunks = chunked(problems, config.chunk_size, config.shard)
    config, prompts = ask(config, config.models, problems)
    recipe = {**with_versions(config.recipe()), "prompts_sha256": prompts_sha256(prompts)}
    answers, told = None, progress
    served: dict[str, object] = {}
    if config.engine == "openai":
        answers, told = Answers(config.folder / NAME), (traffic := Traffic(progress))
        served = {"answers": answers, "traffic": traffic}
    engines = {name: lazy_engine(config, name, **served) for name in config.models}
    with Scorer(isolate=config.isolate) as scorer, team(config) as hire:
        workers = {name: hire(engine, scorer.score) for name, engine in engines.items()}
        if not is_run_folder(config.folder):  # fail before a folder is created
            scorer.check(problems)
            for own in workers.values():
                own.start()
                if len(workers) > 1:
                    own.forget()
        with Store.open(config.folder, recipe, config.shard, mirror=mirror) as store:
            store.on_write = answers.written if answers else None
            solutions.write(store, chunks, workers, prompts, config, told)
            if "rollouts" in config.stages:
                repeated = rollouts.repeated(problems, config)
                rollouts.write(store, chunks, workers[config.models[0]], config, told, repeated)
            for own in workers.values():  # p+ and p- train in the memory that it leaves
                own.forget()
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
    """Joins all shards of a run or an evaluation into one folder, equal to an unsharded one.

    Of `stages`, `contrast` is done here if the shards left it. `output_dir` may be a URL, the shards are
    here. Raises CtmError if a shard is missing, unfinished or of another recipe, or a part of it is not
    what its manifest says: nothing is written then.
    """
    stores = [Store(folder) for folder in folders]
    for store in stores:
        if "shard" not in store.manifest or "parts" not in store.manifest:
            what = "a shard" if "shard" not in store.manifest else "finished"
            way_out = (
                "give folders made with --shard I/N" if what == "a shard" else "finish it first"
            )
            raise CtmError(
                f"{store.folder} is not {what}, so nothing was merged: {way_out}", usage=True
            )
        if store.manifest["schema_version"] != SCHEMA_VERSION:
            raise CtmError(
                f"{store.folder} has schema version {store.manifest['schema_version']}, not "
                f"{SCHEMA_VERSION}; nothing was merged",
                usage=True,
            )
        if differences(store.manifest["recipe"], stores[0].manifest["recipe"]):
            raise CtmError(
                f"{store.folder} and {stores[0].folder} have different recipes; nothing was merged",
                usage=True,
            )
    count = stores[0].manifest["shard"][1]
    have = sorted(store.manifest["shard"][0] for store in stores)
    if any(store.manifest["shard"][1] != count for store in stores) or have != list(range(count)):
        raise CtmError(
            f"merging needs each of the shards 0 to {count - 1} of {count} once; given: {have}",
            usage=True,
        )
    for store in stores:
        _refuse_altered(store)
    recipe = stores[0].manifest["recipe"]
    with (
        mirrored(output_dir) as mirror,
        Store.open(working_folder(output_dir), recipe, mirror=mirror) as merged,
    ):
        for store in stores:
            _copy_parts(store, merged)
        if "contrast" in stages and merged.manifest["recipe"].get("command") != "eval":
            contrast.write(merged, merged.manifest["recipe"], progress or silent, device)
        finish(merged)
    return merged


def _refuse_altered(shard: Store) -> None:
    """Raises CtmError naming the first part of a shard that is missing, altered, or of another run."""
    count, parts = shard.manifest["shard"], shard.manifest["parts"]
    unlisted = {part for table in SCHEMAS for part in map(str, shard.present(table))}
    unlisted -= {str(shard.folder / part) for part in parts}
    if unlisted:
        raise CtmError(f"{min(unlisted)} is not in the manifest of its shard; nothing was merged")
    for part in sorted(parts):
        path = shard.folder / part
        if path.parent.name not in SCHEMAS:
            raise CtmError(f"{path} is of no table that this ctm knows; nothing was merged")
        fault = "is missing" if not path.is_file() else shard.fault(path, path.parent.name)
        number = int(path.stem.removeprefix("part-"))
        if fault is None and number % count[1] != count[0]:
            fault = f"is no part of shard {count[0]}/{count[1]}"
        if fault:
            raise CtmError(
                f"{path} {fault}; nothing was merged: run the command that made the shard again"
            )


def _copy_parts(shard: Store, merged: Store) -> None:
    """Copies the parts of a shard that are not there already, each whole and as its manifest says."""
    for part, digest in sorted(shard.manifest["parts"].items()):
        target = merged.folder / part
        if target.exists() and sha256(target) == digest:
            continue
        if not merged.copy(shard.folder / part, part, digest):
            raise CtmError(f"{shard.folder / part} changed while it was merged; start again")


def lazy_engine(config: BuildConfig, name: str, **served: object) -> LazyEngine[Engine]:
    """The engine of one of a build's models, not loaded yet; `served` are further options of it. One that
    is asked in words only samples, and `BuildConfig.check` leaves it no stage that needs more."""
    options = config.placed | served
    if config.engine == "openai":
        options |= {"distributions": "rollouts" in config.stages}
    load = load_sampler if config.in_words else load_engine
    return LazyEngine(partial(load, config.engine, name, **options))  # type: ignore[arg-type]
