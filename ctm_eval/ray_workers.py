"""Actors of Ray as workers: an engine each, on this machine or anywhere in a cluster.

A unit whose actor is lost goes to another one, and the lost actor is started again by Ray, wherever there
is room. Only rows come back, so nothing is half done that a resumed run would have to know of.
"""

import socket
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from ctm_eval.engines import Engine
from ctm_eval.errors import CtmError, missing
from ctm_eval.progress import Advance
from ctm_eval.workers import Work

U = TypeVar("U")
LOSSES = 3  # so many actors may be lost over one unit
PATIENCE = 600.0  # seconds without any actor, after which the run is given up
CONNECT = 10.0  # seconds for a cluster to answer
MEMORY = 256 << 20  # bytes of the object store of a cluster of our own: it holds a few units


class RayWorkers:
    """A pool of actors. `Cluster.workers` makes one."""

    def __init__(self, load: Callable[[], Engine], count: int, gpus: int, isolate: bool) -> None:
        self._load, self._count, self._gpus, self._isolate = load, count, gpus, isolate
        self._actors: list[Any] = []

    def start(self) -> None:
        """Starts the actors, and waits until the first has its model."""
        import ray

        if self._actors:
            return
        kind = ray.remote(num_cpus=1, num_gpus=self._gpus, max_restarts=-1)(_Actor)
        self._actors = [kind.remote(self._load, self._isolate) for _ in range(self._count)]
        ready, _ = ray.wait([_ready(actor) for actor in self._actors], timeout=PATIENCE)
        if not ready:
            raise CtmError(
                f"no actor of Ray started within {PATIENCE:.0f} s: the cluster has no room for one (1 CPU, "
                f"{self._gpus} GPUs); see `ray status`"
            )
        _result(ready[0])

    def each(
        self, work: Work, units: Iterable[U], advance: Callable[[U], Advance]
    ) -> Iterator[tuple[U, Any]]:
        import ray

        waiting, again, losses = iter(units), list[U](), Counter[int]()
        unit = next(waiting, None)
        if unit is None:
            return
        again.append(unit)
        self.start()
        sent = ray.put(work)
        idle, busy = list(self._actors), dict[Any, tuple[Any, U | None]]()
        while True:
            while idle:
                unit = again.pop() if again else next(waiting, None)
                if unit is None:
                    break
                actor = idle.pop()
                busy[actor.do.remote(sent, unit)] = actor, unit
            if all(unit is None for _, unit in busy.values()) and not again:
                return
            done, _ = ray.wait(list(busy), timeout=None if _working(busy) else PATIENCE)
            if not done:
                raise CtmError(
                    f"Ray has had no actor for {PATIENCE:.0f} s; the same command goes on from here"
                )
            actor, unit = busy.pop(done[0])
            try:
                found = _result(done[0])
            except ray.exceptions.RayActorError as error:
                if unit is None and not busy and not idle:
                    raise CtmError(
                        f"no actor of Ray can be started again ({_line(error)}); the same command goes on "
                        "from here"
                    ) from error
                if unit is not None:
                    losses[id(unit)] += 1
                    if losses[id(unit)] == LOSSES:
                        raise CtmError(
                            f"{LOSSES} actors of Ray were lost over one unit ({_line(error)}): it may need "
                            "more memory than they have; the same command goes on from here"
                        ) from error
                    again.append(unit)
                    busy[_ready(actor)] = actor, None  # it works again once it is there again
                continue
            idle.append(actor)
            if unit is not None:
                losses.pop(id(unit), None)  # a later unit may have its id
                rows, told = found
                advance(unit)(*told)
                yield unit, rows

    def forget(self) -> None:
        """Ends the actors."""
        import ray

        for actor in self._actors:
            ray.kill(actor)
        self._actors = []


class Cluster:
    """A connection to Ray; use it in a `with`. `local` starts a cluster on this machine, which ends with
    it; any other address joins one: `auto`, HOST:PORT or ray://HOST:PORT."""

    def __init__(self, address: str, actors: int | None = None) -> None:
        """Raises CtmError if Ray is not installed, or there is no cluster at the address."""
        try:
            import ray
        except ImportError as error:
            raise CtmError(missing("ray"), usage=True) from error
        self._actors, self._pools = actors, list[RayWorkers]()
        self._ours = not ray.is_initialized()
        if not self._ours:
            return
        options: dict[str, Any] = {"address": address, "log_to_driver": False}
        options |= {"logging_level": "ERROR", "configure_logging": False}
        if address == "local":
            options |= {"num_cpus": actors or 1, "include_dashboard": False}
            options |= {"object_store_memory": MEMORY}
        else:
            _refuse_silent(address)
        try:
            ray.init(**options)
        except (ConnectionError, ValueError, RuntimeError, OSError, AssertionError) as error:
            raise CtmError(
                f"cannot join Ray at {address!r} ({_line(error)}); a cluster with a token wants "
                "RAY_AUTH_MODE=token in the environment",
                usage=True,
            ) from error

    def workers(self, load: Callable[[], Engine], *, gpus: int, isolate: bool) -> RayWorkers:
        """A pool of actors that each `load` an engine, on `gpus` GPUs if the cluster has any."""
        import ray

        there = int(ray.cluster_resources().get("GPU", 0))
        if there and there < gpus:
            raise CtmError(f"the cluster has {there} GPUs, and an engine needs {gpus}", usage=True)
        gpus = gpus if there else 0
        count = self._actors or (there // gpus if gpus else len(ray.nodes()))
        self._pools.append(RayWorkers(load, count, gpus, isolate))
        return self._pools[-1]

    def __enter__(self) -> "Cluster":
        return self

    def __exit__(self, *_: object) -> None:
        import ray

        if self._ours:
            ray.shutdown()
        else:
            for pool in self._pools:
                pool.forget()


class _Actor:
    """An engine and a scorer in a process of Ray's."""

    def __init__(self, load: Callable[[], Engine], isolate: bool) -> None:
        self._load, self._isolate = load, isolate
        self._engine: Engine | None = None
        self._scorer: Any = None

    def ready(self) -> None:
        """Loads what is not loaded. Here and not at the start, so that an error comes back as it is."""
        from ctm_eval.scoring import Scorer

        if self._engine is None:
            self._scorer = Scorer(isolate=self._isolate)
            self._engine = self._load()

    def do(self, work: Work, unit: Any) -> tuple[Any, list[float]]:
        """The rows of a unit, and how much was told of its progress."""
        self.ready()
        told = [(0.0, 0, 0)]
        rows = work(
            self._engine,
            unit,
            lambda units, tokens, cached=0: told.append((units, tokens, cached)),
        )
        return rows(self._scorer.score), list(map(sum, zip(*told, strict=True)))


def _refuse_silent(address: str) -> None:
    """Raises CtmError if nothing listens at HOST:PORT: Ray would try for a quarter of an hour."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdigit():
        return
    try:
        socket.create_connection((host, int(port)), CONNECT).close()
    except (OSError, OverflowError) as error:
        raise CtmError(
            f"no cluster of Ray answers at {address} ({error}): give the address that `ray start --head` "
            "printed",
            usage=True,
        ) from error


def _ready(actor: Any) -> Any:
    """What is there once an actor has its model, however often it has to be started for that."""
    return actor.ready.options(max_task_retries=-1).remote()


def _working(busy: dict[Any, tuple[Any, Any]]) -> bool:
    return any(unit is not None for _, unit in busy.values())


def _result(reference: Any) -> Any:
    """What a call gave; its own CtmError if it raised one."""
    import ray

    try:
        return ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, CtmError):
            raise error.cause from None
        raise


def _line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
