"""The `transformers` engine: any causal language model, on a CPU or a GPU.

A batch is walked as a trie. Requests that have drawn the same tokens so far are one row of the
forward pass, whatever their number; a row splits when they part, and ends when they end. Rollouts
from every prefix of a trajectory, and samples of one problem, share most of their tokens, so this
costs a fraction of decoding them one by one and gives the same tokens: each request draws with
random numbers of its own.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import torch

from ctm_eval.engines.base import Completion, Nucleus, Request, Sampling
from ctm_eval.engines.kv_cache import NAME, attend
from ctm_eval.engines.nucleus import nucleus
from ctm_eval.engines.tokenizer import WithTokenizer, eos_ids
from ctm_eval.engines.trie import Walk
from ctm_eval.errors import CtmError
from ctm_eval.models import adapter_folder, default_device, load_model, load_tokenizer, loading
from ctm_eval.progress import Advance

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

# Bound on the tokens that requests walked together may draw, 16 bytes each.
TOKENS_AT_ONCE = 1 << 24
OF_FREE_MEMORY = {"cpu": 0.25, "cuda": 0.8}  # the share that a key-value cache may take
LOGIT_BYTES = 1 << 28  # bound on the logits of one batch of `next_token_distributions`
ATTENTION = {"full_attention", "sliding_attention", "chunked_attention"}


class TransformersEngine(WithTokenizer):
    """A causal language model of transformers and its tokenizer, ready to sample."""

    def __init__(
        self, model: "PreTrainedModel", tokenizer: "PreTrainedTokenizerBase", name: str
    ) -> None:
        from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

        self.model, self.tokenizer, self.name = model.eval(), tokenizer, name
        self.eos_ids = eos_ids(model.generation_config, tokenizer, name)
        config = model.config.get_text_config()
        kinds = set(getattr(config, "layer_types", None) or ["full_attention"])
        if kinds - ATTENTION or not hasattr(config, "num_attention_heads"):
            raise CtmError(
                f"{name!r} has recurrent layers, whose state cannot be split between rollouts; the "
                "transformers engine takes attention models only",
                usage=True,
            )
        if not getattr(model, "_supports_attention_backend", False):
            raise CtmError(
                f"{name!r} computes its attention in a way of its own, which the transformers engine "
                "cannot share between rollouts: use --engine vllm",
                usage=True,
            )
        ALL_ATTENTION_FUNCTIONS.register(NAME, attend)
        self.max_length = getattr(config, "max_position_embeddings", None)

    @classmethod
    def load(
        cls,
        model: str,
        *,
        device: str | None = None,
        device_map: str | None = None,
        dtype: str = "auto",
        adapter: str | None = None,
    ) -> "TransformersEngine":
        """Loads a Hub id, a local folder or a built-in one; float32 on a CPU unless `dtype` says otherwise.

        `device_map` spreads it over several devices, as transformers does (`auto`, `balanced`, …).
        `adapter` is the folder of a LoRA adapter of peft, applied without merging. Raises CtmError if
        there is no such model or adapter, or its tokenizer has no end-of-sequence token.
        """
        device = default_device(device)
        if dtype == "auto" and device == "cpu":
            dtype = "float32"
        loaded = load_model(model, dtype, device_map=device_map)
        if device_map is None:
            with loading(model):
                loaded = loaded.to(device)
        tokenizer = load_tokenizer(model)
        if adapter is not None:
            from peft import PeftModel

            with loading(adapter):
                loaded = PeftModel.from_pretrained(loaded, str(adapter_folder(adapter)))
        return cls(loaded, tokenizer, model)

    def sample(
        self, requests: Sequence[Request], sampling: Sampling, progress: Advance | None = None
    ) -> list[Completion]:
        completions: list[Completion | None] = [None] * len(requests)
        for batch in self._batches(requests):
            own = [requests[i] for i in batch]
            memory = int(_free_memory(self.model.device))
            walk = Walk(self.model, self.decode, self.eos_ids, own, sampling, memory)
            with torch.inference_mode():
                for news in walk.steps():
                    if progress:
                        progress(*news)
            for i, completion in zip(batch, walk.completions(), strict=True):
                completions[i] = completion
        return [completion for completion in completions if completion is not None]

    def next_token_distributions(
        self, sequences: Sequence[tuple[Sequence[int], Sequence[int]]], sampling: Sampling
    ) -> list[list[Nucleus]]:
        result: list[list[Nucleus]] = [[] for _ in sequences]
        order = sorted(range(len(sequences)), key=lambda i: sum(map(len, sequences[i])))
        bytes_per_token = 4 * self.model.config.get_text_config().vocab_size
        while order:
            # Take as many of the longest as fit; padding stands right of what is read, so that a
            # causal model needs no mask.
            length = sum(map(len, sequences[order[-1]]))
            rows = max(1, LOGIT_BYTES // (length * bytes_per_token))
            order, batch = order[:-rows], order[-rows:]
            ids = torch.zeros((len(batch), length), dtype=torch.long)
            for row, i in enumerate(batch):
                prompt, completion = sequences[i]
                ids[row, : len(prompt) + len(completion)] = torch.tensor([*prompt, *completion])
            with torch.inference_mode():
                logits = self.model(input_ids=ids.to(self.model.device), use_cache=False).logits
                for row, i in enumerate(batch):
                    prompt, completion = sequences[i]
                    start = len(prompt) - 1
                    read = logits[row, start : start + len(completion)]
                    result[i] = _nuclei(*nucleus(read, sampling.temperature, sampling.top_p))
        return result

    def _batches(self, requests: Sequence[Request]) -> Iterator[list[int]]:
        """Indices of requests to be walked together: prompts of like length, equal ones adjacent."""
        order = sorted(
            range(len(requests)),
            key=lambda i: (len(requests[i].prompt_ids), tuple(requests[i].prompt_ids)),
        )
        batch: list[int] = []
        longest = 0
        for i in order:
            longest = max(longest, requests[i].max_new_tokens)
            if batch and (len(batch) + 1) * longest > TOKENS_AT_ONCE:
                yield batch
                batch, longest = [], requests[i].max_new_tokens
            batch.append(i)
        if batch:
            yield batch


def _free_memory(device: torch.device) -> float:
    """Bytes that a key-value cache may take."""
    if device.type == "cuda":
        return OF_FREE_MEMORY["cuda"] * torch.cuda.mem_get_info(device)[0]
    import psutil

    return OF_FREE_MEMORY["cpu"] * psutil.virtual_memory().available


def _nuclei(ids: torch.Tensor, probs: torch.Tensor) -> list[Nucleus]:
    """Rows (R, K) as R distributions without the trailing zeros."""
    widths = (probs > 0).sum(-1).tolist()
    all_ids, all_probs = ids.cpu().numpy(), probs.cpu().numpy()
    return [Nucleus(all_ids[r, :w], all_probs[r, :w]) for r, w in enumerate(widths)]
