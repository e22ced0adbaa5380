"""Engines turn token ids into sampled token ids."""

from ctm_eval.engines.base import (
    SAMPLER,
    Completion,
    Engine,
    FinishReason,
    LazyEngine,
    Nucleus,
    Request,
    Sampling,
)
from ctm_eval.errors import CtmError

__all__ = [
    "SAMPLER",
    "Completion",
    "Engine",
    "FinishReason",
    "LazyEngine",
    "Nucleus",
    "Request",
    "Sampling",
    "load_engine",
]


def load_engine(name: str, model: str, **options: object) -> Engine:
    """Loads `model` (a Hub id, a local folder or a built-in model) into the engine called `name`.

    `options` are the engine's own: `device`, `dtype` and `adapter` of both, `device_map` of transformers,
    `tensor_parallel` of vllm. Raises CtmError if the engine is unknown or the model cannot be used.
    """
    if name == "transformers":
        from ctm_eval.engines.transformers import TransformersEngine

        return TransformersEngine.load(model, **options)  # type: ignore[arg-type]
    if name == "vllm":
        from ctm_eval.engines.vllm import VllmEngine

        return VllmEngine.load(model, **options)  # type: ignore[arg-type]
    raise CtmError(f"unknown engine {name!r}; there are: transformers, vllm", usage=True)
