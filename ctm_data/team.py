"""`team`: who makes the rows of a run, this process or a cluster of Ray."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ctm_data.config import BuildConfig, EvalConfig
from ctm_eval.engines import Engine, LazyEngine
from ctm_eval.workers import Here, Score, Workers


@contextmanager
def team(
    config: BuildConfig | EvalConfig,
) -> Iterator[Callable[[LazyEngine[Engine], Score], Workers]]:
    """Gives a function that makes workers of an engine and a way to score. Raises CtmError."""
    if config.ray is None:
        yield Here
        return
    from ctm_eval.ray_workers import Cluster

    with Cluster(config.ray, config.ray_actors) as cluster:
        gpus = 0 if config.device == "cpu" else config.tensor_parallel
        yield lambda engine, score: cluster.workers(engine.load, gpus=gpus, isolate=config.isolate)
