"""The `transformers` engine: any causal language model, on a CPU or a GPU.

A batch is walked as a trie. Requests that have drawn the same tokens so far are one row of the
forward pass, whatever their number; a row splits when they part, and ends when they end. Rollouts
from every prefix of a trajectory, and samples of one problem, share most of their tokens, so this
costs a fraction of decoding them one by one and gives the same tokens: each request draws with
random numbers of its own.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ctm_eval.engines import Completion, FinishReason, Nucleus, Progress, Request, Sampling
from ctm_eval.engines.nucleus import nucleus
from ctm_eval.engines.rows import RowCache
from ctm_eval.errors import CtmError

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

CACHE_BYTES = 2 << 30  # bound on a batch's key-value cache if no two of its requests shared a token
LOGIT_BYTES = 1 << 28  # bound on the logits of one batch of `next_token_distributions`
ATTENTION = {"full_attention", "sliding_attention", "chunked_attention"}
STOP_TAIL = 32  # tokens decoded to look for a stop string


class TransformersEngine:
    """A causal language model of transformers and its tokenizer, ready to sample."""

    def __init__(
        self, model: "PreTrainedModel", tokenizer: "PreTrainedTokenizerBase", name: str
    ) -> None:
        self.model, self.tokenizer, self.name = model.eval(), tokenizer, name
        self.eos_ids = _eos_ids(model, tokenizer, name)
        config = model.config.get_text_config()
        kinds = set(getattr(config, "layer_types", None) or ["full_attention"])
        if kinds - ATTENTION or not hasattr(config, "num_attention_heads"):
            raise CtmError(
                f"{name!r} has recurrent layers, whose state cannot be split between rollouts; the "
                "transformers engine takes attention models only",
                usage=True,
            )
        self.max_length = getattr(config, "max_position_embeddings", None)
        heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
        width = (
            getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        )
        self._layers = config.num_hidden_layers
        self._bytes_per_token = 2 * self._layers * heads * width * model.dtype.itemsize

    @classmethod
    def load(
        cls,
        model: str,
        *,
        device: str | None = None,
        dtype: str = "auto",
        trust_remote_code: bool = False,
    ) -> "TransformersEngine":
        """Loads a Hub id, a local folder or `pocket`; float32 on a CPU unless `dtype` says otherwise.

        Raises CtmError if there is no such model or its tokenizer has no end-of-sequence token.
        """
        from transformers import AutoModelForCausalLM, AutoTokenizer

        from ctm_eval.pocket import MODEL_DIR

        path = str(MODEL_DIR) if model == "pocket" else model
        is_hub_id = path.count("/") <= 1 and not path.startswith((".", "/", "~"))
        if not is_hub_id and not Path(path).is_dir():
            raise CtmError(f"there is no model folder {path}", usage=True)
        device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        try:
            torch.empty(0, device=device)
        except (RuntimeError, AssertionError) as error:
            raise CtmError(
                f"this machine has no device {device!r} that torch can use: leave out --device",
                usage=True,
            ) from error
        if dtype == "auto" and device == "cpu":
            dtype = "float32"
        try:
            tokenizer = AutoTokenizer.from_pretrained(path, trust_remote_code=trust_remote_code)
            loaded = AutoModelForCausalLM.from_pretrained(
                path, dtype=dtype, trust_remote_code=trust_remote_code
            )
        except (OSError, ValueError) as error:
            raise CtmError(
                f"cannot load the model {model!r}: it is neither a folder with a model nor a Hub "
                f"model that can be reached ({str(error).strip().splitlines()[0]})",
                usage=True,
            ) from error
        return cls(loaded.to(device), tokenizer, model)  # type: ignore[arg-type]

    def encode(self, text: str) -> list[int]:
        return list(self.tokenizer(text).input_ids)

    def decode(self, token_ids: Sequence[int]) -> str:
        return str(
            self.tokenizer.decode(
                list(token_ids), skip_special_tokens=True, clean_up_tokenization_spaces=False
            )
        )

    def pieces(self, token_ids: Sequence[int]) -> list[str]:
        # A tokenizer may drop the space before a token that stands alone, so each is read as what it
        # adds to its predecessor.
        pieces = []
        for i in range(len(token_ids)):
            before = str(self.tokenizer.decode(list(token_ids[max(0, i - 1) : i])))
            both = str(self.tokenizer.decode(list(token_ids[max(0, i - 1) : i + 1])))
            pieces.append(both.removeprefix(before))
        return pieces

    def sample(
        self, requests: Sequence[Request], sampling: Sampling, progress: Progress | None = None
    ) -> list[Completion]:
        completions: list[Completion | None] = [None] * len(requests)
        for batch in self._batches(requests):
            walk = _Walk(self, [requests[i] for i in batch], sampling)
            with torch.inference_mode():
                for finished, drawn in walk.steps():
                    if progress:
                        progress(finished, drawn)
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
        """Indices of requests that fit the cache together: prompts of like length, equal ones adjacent."""
        order = sorted(
            range(len(requests)),
            key=lambda i: (len(requests[i].prompt_ids), tuple(requests[i].prompt_ids)),
        )
        batch: list[int] = []
        longest = 0
        for i in order:
            request = requests[i]
            length = len(request.prompt_ids) + len(request.prefix_ids) + request.max_new_tokens
            longest = max(longest, length)
            if batch and (len(batch) + 1) * longest * self._bytes_per_token > CACHE_BYTES:
                yield batch
                batch, longest = [], length
            batch.append(i)
        if batch:
            yield batch


class _Walk:
    """One batch, walked token by token. Rows are distinct token sequences; requests ride on them."""

    def __init__(self, engine: TransformersEngine, requests: list[Request], sampling: Sampling):
        self.engine, self.requests, self.sampling = engine, requests, sampling
        self.roots, self.row_of, rests = _roots(requests)
        self.given = np.array([len(rest) for rest in rests])
        self.forced = np.zeros((len(requests), int(self.given.max())), dtype=np.int64)
        for i, rest in enumerate(rests):
            self.forced[i, : len(rest)] = rest
        self.limits = np.array([request.max_new_tokens for request in requests])
        self.uniforms = np.stack(
            [_uniforms(request.seed, int(self.limits.max())) for request in requests]
        )
        self.drawn = np.zeros(len(requests), dtype=np.int64)
        self.tokens = np.zeros((len(requests), int(self.limits.max())), dtype=np.int64)
        self.reasons: list[FinishReason] = ["length"] * len(requests)
        self.cache = RowCache(engine._layers)

    def completions(self) -> Iterator[Completion]:
        for i, reason in enumerate(self.reasons):
            yield Completion(tuple(self.tokens[i, : self.drawn[i]].tolist()), reason)

    def steps(self) -> Iterator[tuple[int, int]]:
        """Walks to the end; yields (requests finished, tokens drawn) after every token."""
        live = np.flatnonzero(self.limits > 0)
        yield len(self.requests) - len(live), 0
        if not len(live):
            return
        logits, padding = self._prefill()
        rows, step = self.row_of[live], 0
        while True:
            next_tokens, sampled = self._next_tokens(live, rows, step, logits)
            self.tokens[live[sampled], self.drawn[live[sampled]]] = next_tokens[sampled]
            self.drawn[live[sampled]] += 1
            ended = sampled & self._ended(live, next_tokens)
            done = ended | (self.drawn[live] >= self.limits[live])
            for i in live[ended]:
                self.reasons[i] = "stop"
            yield int(done.sum()), int(sampled.sum())
            live, rows, next_tokens = live[~done], rows[~done], next_tokens[~done]
            if not len(live):
                return
            rows, row_tokens, padding = self._split(rows, next_tokens, padding)
            logits = self._forward(row_tokens[:, None], padding)
            step += 1

    def _prefill(self) -> tuple[torch.Tensor, torch.Tensor]:
        """The roots in one pass, padded on the left: logits (R, V) and each row's padding (R,)."""
        width = max(map(len, self.roots))
        ids = torch.zeros((len(self.roots), width), dtype=torch.long)
        padding = torch.tensor([width - len(root) for root in self.roots])
        for row, root in enumerate(self.roots):
            ids[row, width - len(root) :] = torch.tensor(root)
        return self._forward(ids, padding), padding

    def _forward(self, ids: torch.Tensor, padding: torch.Tensor) -> torch.Tensor:
        """Logits (R, V) after the last of `ids` (R, T), which extend the cache's rows."""
        past = self.cache.get_seq_length()
        columns = torch.arange(past + ids.shape[1])
        device = self.engine.model.device
        positions = (columns[None, past:] - padding[:, None]).clamp_min(0)
        mask = (columns[None] >= padding[:, None]).long() if bool(padding.any()) else None
        output = self.engine.model(
            input_ids=ids.to(device),
            attention_mask=mask.to(device) if mask is not None else None,
            position_ids=positions.to(device),
            past_key_values=self.cache,
            use_cache=True,
            logits_to_keep=1,
        )
        return output.logits[:, -1]

    def _next_tokens(
        self, live: np.ndarray, rows: np.ndarray, step: int, logits: torch.Tensor
    ) -> tuple[np.ndarray, np.ndarray]:
        """Each live request's next token, and whether it was drawn (rather than given)."""
        sampled = step >= self.given[live]
        tokens = np.zeros(len(live), dtype=np.int64)
        if not sampled.all():
            tokens[~sampled] = self.forced[live[~sampled], step]
        if sampled.any():
            used, local = np.unique(rows[sampled], return_inverse=True)
            ids, probs = nucleus(
                logits[torch.from_numpy(used).to(logits.device)],
                self.sampling.temperature,
                self.sampling.top_p,
            )
            # Row r's cumulative distribution is shifted to r .. r + 1, so that one search does all.
            ends = probs.cumsum(-1).cpu().numpy()
            ends /= ends[:, -1:]
            shifted = (ends + np.arange(len(used))[:, None]).ravel()
            draws = self.uniforms[live[sampled], self.drawn[live[sampled]]]
            found = np.searchsorted(shifted, draws + local, side="right")
            width = ends.shape[1]
            column = np.minimum(found - local * width, (probs > 0).sum(-1).cpu().numpy()[local] - 1)
            tokens[sampled] = ids.cpu().numpy()[local, column]
        return tokens, sampled

    def _ended(self, live: np.ndarray, next_tokens: np.ndarray) -> np.ndarray:
        ended = np.isin(next_tokens, list(self.engine.eos_ids))
        if self.sampling.stop:
            for j in np.flatnonzero(~ended):
                i = live[j]
                tail = self.tokens[i, max(0, self.drawn[i] - STOP_TAIL) : self.drawn[i]]
                text = self.engine.decode(tail.tolist())
                ended[j] = any(stop in text for stop in self.sampling.stop)
        return ended

    def _split(
        self, rows: np.ndarray, next_tokens: np.ndarray, padding: torch.Tensor
    ) -> tuple[np.ndarray, torch.Tensor, torch.Tensor]:
        """Gives every distinct (row, next token) a row of its own, rows 0 .. R-1 without a gap.

        Returns each request's new row, the new rows' tokens (R,) and their padding (R,).
        """
        base = int(next_tokens.max()) + 1
        pairs, request_pair = np.unique(rows * base + next_tokens, return_inverse=True)
        parents, count = pairs // base, len(pairs)
        slots = np.full(count, -1)
        # The first child of a row stays where it is, if that is below the new number of rows.
        first = np.flatnonzero(np.r_[True, parents[1:] != parents[:-1]] & (parents < count))
        slots[first] = parents[first]
        moved = np.flatnonzero(slots < 0)
        slots[moved] = np.setdiff1d(np.arange(count), slots[first])
        if len(moved):
            source, target = torch.from_numpy(parents[moved]), torch.from_numpy(slots[moved])
            device = self.engine.model.device
            self.cache.copy_rows(source.to(device), target.to(device), count)
        by_slot = np.argsort(slots)
        row_tokens = torch.from_numpy(pairs[by_slot] % base)
        return slots[request_pair], row_tokens, padding[torch.from_numpy(parents[by_slot])]


def _roots(
    requests: list[Request],
) -> tuple[list[list[int]], np.ndarray, list[tuple[int, ...]]]:
    """What equal prompts have in common: roots to prefill, each request's root, and its own rest."""
    groups: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for i, request in enumerate(requests):
        groups[tuple(request.prompt_ids)].append(i)
    roots, row_of = [], np.zeros(len(requests), dtype=np.int64)
    forced: list[tuple[int, ...]] = [()] * len(requests)
    for row, (prompt, members) in enumerate(groups.items()):
        common = _common_prefix([tuple(requests[i].prefix_ids) for i in members])
        roots.append([*prompt, *common])
        for i in members:
            row_of[i] = row
            forced[i] = tuple(requests[i].prefix_ids[len(common) :])
    return roots, row_of, forced


def _common_prefix(sequences: list[tuple[int, ...]]) -> tuple[int, ...]:
    """What all sequences begin with: what the least and the greatest of them share."""
    first, last = min(sequences), max(sequences)
    same = (i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b)
    return first[: next(same, min(len(first), len(last)))]


def _uniforms(seed: int, count: int) -> np.ndarray:
    """The request's own random numbers: a counter-based generator keyed by its seed."""
    return np.random.Generator(np.random.Philox(key=seed)).random(count)


def _nuclei(ids: torch.Tensor, probs: torch.Tensor) -> list[Nucleus]:
    """Rows (R, K) as R distributions without the trailing zeros."""
    widths = (probs > 0).sum(-1).tolist()
    all_ids, all_probs = ids.cpu().numpy(), probs.cpu().numpy()
    return [Nucleus(all_ids[r, :w], all_probs[r, :w]) for r, w in enumerate(widths)]


def _eos_ids(model: Any, tokenizer: Any, name: str) -> frozenset[int]:
    """Every token that ends a text, after the tokenizer and the model's generation settings."""
    configured = getattr(model.generation_config, "eos_token_id", None)
    ids = {tokenizer.eos_token_id}
    ids |= set(configured) if isinstance(configured, list | tuple) else {configured}
    ids.discard(None)
    if tokenizer.eos_token_id is None:
        raise CtmError(
            f"the tokenizer of {name!r} has no end-of-sequence token, so that no completion could "
            "end; set eos_token in its tokenizer_config.json",
            usage=True,
        )
    return frozenset(ids)
