"""One batch of requests, walked token by token as a trie.

Requests that have drawn the same tokens so far are one row of the forward pass, whatever their number; a
row splits when they part, and ends when they end.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from ctm_eval.engines.base import Completion, FinishReason, Request, Sampling
from ctm_eval.engines.kv_cache import RowCache
from ctm_eval.engines.nucleus import nucleus
from ctm_eval.engines.stop_strings import STOP_TAIL, has_stop

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class Walk:
    """One batch, walked token by token. Rows are distinct token sequences; requests ride on them."""

    def __init__(
        self,
        model: "PreTrainedModel",
        decode: Callable[[Sequence[int]], str],
        eos_ids: frozenset[int],
        requests: Sequence[Request],
        sampling: Sampling,
    ) -> None:
        self.model, self.decode, self.eos_ids = model, decode, list(eos_ids)
        self.requests, self.sampling = requests, sampling
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
        self.cache = RowCache(model.config.get_text_config().num_hidden_layers)

    def completions(self) -> Iterator[Completion]:
        for i, reason in enumerate(self.reasons):
            yield Completion(tuple(self.tokens[i, : self.drawn[i]].tolist()), reason)

    def steps(self) -> Iterator[tuple[int, int]]:
        """Walks to the end; yields (requests finished, tokens drawn) after every token."""
        live = np.flatnonzero((self.limits > 0) & ~self._ended_before())
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
        device = self.model.device
        positions = (columns[None, past:] - padding[:, None]).clamp_min(0)
        mask = (columns[None] >= padding[:, None]).long() if bool(padding.any()) else None
        output = self.model(
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
        ended = np.isin(next_tokens, self.eos_ids)
        for j in np.flatnonzero(~ended) if self.sampling.stop else ():
            i = live[j]
            # A stop string may begin in the prefix, which is part of the completion.
            drawn = self.tokens[i, max(0, self.drawn[i] - STOP_TAIL) : self.drawn[i]].tolist()
            tail = [*self.requests[i].prefix_ids[-STOP_TAIL:], *drawn]
            ended[j] = has_stop(self.decode, tail, self.sampling.stop)
        return ended

    def _ended_before(self) -> np.ndarray:
        """Which requests have a prefix that a stop string has ended already."""
        stop = self.sampling.stop
        ended = np.array([has_stop(self.decode, r.prefix_ids, stop) for r in self.requests])
        for i in np.flatnonzero(ended):
            self.reasons[i] = "stop"
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
            device = self.model.device
            self.cache.copy_rows(source.to(device), target.to(device), count)
        by_slot = np.argsort(slots)
        row_tokens = torch.from_numpy(pairs[by_slot] % base)
        return slots[request_pair], row_tokens, padding[torch.from_numpy(parents[by_slot])]


def _roots(
    requests: Sequence[Request],
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
