"""`evaluate`: evaluates a model on a benchmark, keeps every sample, and computes all figures from them.

An evaluation is a run folder like any other: `problems` and `solutions` in Parquet parts, resumable,
with `results_ctm.json` beside them.
"""

from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import partial
from typing import TYPE_CHECKING

from ctm_data.asking import ask, problems_of
from ctm_data.config import PROCESSBENCH, EvalConfig
from ctm_data.pages.card import finish
from ctm_data.pages.evaluation import check_comparable
from ctm_data.programs import check_run
from ctm_data.run.mirror import Mirror, mirrored
from ctm_data.run.recipe import with_versions
from ctm_data.run.records import chunked
from ctm_data.run.store import Store, is_run_folder
from ctm_data.score import score_run
from ctm_data.stages.solutions import sample_unit, units_of
from ctm_data.team import team
from ctm_eval.benchmarks import benchmark_called, revision_of
from ctm_eval.engines import Engine, LazyEngine, load_sampler
from ctm_eval.engines.openai.answers import NAME, Answers
from ctm_eval.errors import CtmError
from ctm_eval.progress import Counter, Progress, Traffic
from ctm_eval.scoring import Scorer
from ctm_eval.types import Problem
from ctm_eval.verifiers import training_record

if TYPE_CHECKING:
    from ctm_eval.step_errors import Subset


def evaluate(config: EvalConfig, progress: Progress | None = None) -> Store:
    """Samples solutions of every problem, grades them, writes `results_ctm.json`, and chooses among them.

    Unless `config` says otherwise, a single sample is greedy, and several are drawn at temperature 1 and
    top-p 0.95. With `cotnpot`, each sample is checked by a program that `coder` writes; with `verifier`,
    each is scored. A `shard` does every N-th chunk of problems, and `build.merge_shards` joins them.
    A call with the same options resumes a stopped run. `config.output_dir` may be a URL, as for
    `build_dataset`. Raises CtmError.
    """
    config = config.check()
    if config.verifier is not None:
        training_record(config.verifier)
    if config.compare is not None:
        check_comparable(config.compare, config.benchmark)
    with mirrored(config.place) as mirror:
        return _evaluate(config, progress, mirror)


def _evaluate(config: EvalConfig, progress: Progress | None, mirror: Mirror | None) -> Store:
    set_aside = _sample(config, progress, mirror)
    if config.cotnpot:
        check_run(
            config.folder,
            config.coder,
            engine="transformers" if config.engine == "openai" else config.engine,
            device=config.device,
            isolate=config.isolate,
            progress=progress,
            mirror=mirror,
        )
    if config.verifier is not None:
        score_run(
            config.folder,
            config.verifier,
            pool=config.pool,
            device=config.device,
            progress=progress,
            mirror=mirror,
        )
    store = Store(config.folder, mirror)
    store.set_aside = set_aside
    return store


def evaluate_steps(config: EvalConfig, progress: Progress | None = None) -> "list[Subset]":
    """How well `config.verifier` finds the first wrong step of solutions that humans marked, by subset.

    They are those of `config.data_file`, in ProcessBench's shape, or CHAMP's; nothing is sampled and
    nothing written. See `ctm_eval.step_errors`. Raises CtmError.
    """
    from ctm_eval.marked import marked_solutions
    from ctm_eval.step_errors import find_errors
    from ctm_eval.verifiers import Verifier

    if config.verifier is None:
        raise CtmError(f"{PROCESSBENCH} is for verifiers: give one with --verifier", usage=True)
    if not 0 <= config.step_threshold <= 1:
        raise CtmError(f"--step-threshold must be 0 to 1, not {config.step_threshold}", usage=True)
    marked = marked_solutions(config.data_file, limit=config.limit)
    verifier = Verifier(config.verifier, device=config.device)
    counter = Counter(progress, "reading steps", len(marked))
    return find_errors(
        verifier, marked, config.step_threshold, config.seed, counter, config.tune_threshold
    )


def _sample(config: EvalConfig, progress: Progress | None, mirror: Mirror | None) -> list[str]:
    """Samples and grades what is missing. Returns the damaged parts that were computed again."""
    benchmark = benchmark_called(config.benchmark)
    if config.data_file is None and config.revision is None and benchmark.repo:
        config = replace(config, revision=_revision(config))
    problems = problems_of(config)
    answers = traffic = None
    if config.engine == "openai":
        answers, progress = Answers(config.folder / NAME), (traffic := Traffic(progress))
    with Scorer(isolate=config.isolate) as scorer:
        new = not is_run_folder(config.folder)
        if new:  # fail before anything is loaded, and before a folder is created
            scorer.check(problems)
        config, prompts = ask(config, [config.model], problems)
        size = config.chunk_size
        assert size is not None
        chunks = chunked(problems, size, config.shard)
        if not chunks:
            raise CtmError(
                f"shard {'/'.join(map(str, config.shard or ()))} has no problems: there are "
                f"{len(problems)}, {size} in a chunk; give a lower --chunk-size to every shard, or make "
                "fewer shards",
                usage=True,
            )
        with team(config) as hire:
            workers = hire(LazyEngine(partial(_load, config, answers, traffic)), scorer.score)
            if new:
                workers.start()
            recipe = with_versions(config.recipe())
            with Store.open(config.folder, recipe, config.shard, mirror=mirror) as store:
                store.on_write = answers.written if answers else None
                n = config.n_samples
                todo = [chunk for chunk, own in chunks.items() if not _done(store, chunk, own, n)]
                if todo and not new:
                    scorer.check(problems)
                counter = Counter(progress, "sampling", sum(map(len, chunks.values())) * n)
                counter(n * sum(len(own) for i, own in chunks.items() if i not in todo))
                work = partial(sample_unit, config=config)
                units = units_of(chunks, todo, prompts[config.model])
                for unit, solutions in workers.each(work, units, lambda unit: counter):
                    store.write("problems", unit.chunk, map(asdict, unit.problems))
                    store.write("solutions", unit.chunk, map(asdict, solutions))
                finish(store)
    return store.set_aside


def _load(config: EvalConfig, answers: Answers | None, traffic: Traffic | None) -> Engine:
    own = {"adapter": config.adapter}
    if config.engine == "openai":
        own = {"answers": answers, "traffic": traffic, "distributions": False}  # type: ignore[dict-item]
    return load_sampler(config.engine, config.model, **own, **config.placed)  # type: ignore[return-value]


def _done(store: Store, chunk: int, problems: Sequence[Problem], n_samples: int) -> bool:
    keys = {(p.problem_id, i) for p in problems for i in range(n_samples)}
    return store.done("solutions", chunk) == keys and len(store.done("problems", chunk)) == len(
        problems
    )


def _revision(config: EvalConfig) -> str | None:
    """The revision that an existing run uses, or else the latest on the Hub."""
    if is_run_folder(config.folder):
        recipe = Store(config.folder).manifest["recipe"]
        if recipe.get("benchmark") == config.benchmark and recipe.get("revision"):
            return str(recipe["revision"])
    return revision_of(config.benchmark)
