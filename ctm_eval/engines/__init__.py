"""Engines turn token ids into sampled token ids."""

from ctm_eval.engines.base import (
    SAMPLER,
    Completion,
    Engine,
    FinishReason,
    LazyEngine,
    Nucleus,
    Request,
    Sampler,
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
    "Sampler",
    "Sampling",
    "load_engine",
    "load_sampler",
]


def load_engine(name: str, model: str, **options: object) -> Engine:
    """Loads `model` (a Hub id, a local folder or a built-in model) into the engine called `name`.

    `options` are the engine's own: `device`, `dtype` and `adapter` of transformers and vllm, `device_map`
    of transformers, `tensor_parallel` of vllm, `base_url` and what goes with it of openai, which then needs
    a `tokenizer`. Raises CtmError if the engine is unknown or the model cannot be used.
    """
    if name == "transformers":
        from ctm_eval.engines.transformers import TransformersEngine

        return TransformersEngine.load(model, **options)  # type: ignore[arg-type]
    if name == "vllm":
        from ctm_eval.engines.vllm import VllmEngine

        return VllmEngine.load(model, **options)  # type: ignore[arg-type]
    if name == "openai":
        from ctm_eval.engines.openai.ids import OpenAIEngine

        return OpenAIEngine.load(model, **options)  # type: ignore[arg-type]
    raise CtmError(f"unknown engine {name!r}; there are: transformers, vllm, openai", usage=True)


def load_sampler(name: str, model: str, **options: object) -> Sampler:
    """`load_engine`, also for what only samples: a server that is asked in words, without a `tokenizer`."""
    if name == "openai" and options.get("tokenizer") is None:
        from ctm_eval.engines.openai.words import OpenAISampler

        return OpenAISampler.load(model, **options)  # type: ignore[arg-type]
    return load_engine(name, model, **options)
