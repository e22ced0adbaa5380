"""Requests walked token by token as a trie, with rows that end and others that take their place.

Requests that have drawn the same tokens so far are one row of the forward pass, whatever their number; a
row splits when they part, and ends when they end. A request whose draws follow the tokens of its root
costs nothing until it leaves it: the pass that read the root has told what comes next everywhere.
"""

from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from transformers.cache_utils import DynamicCache

from ctm_eval.engines.base import Completion, FinishReason, Request, Sampling
from ctm_eval.engines.draw import draw
from ctm_eval.engines.kv_cache import NAME, ForestCache, in_blocks, plan
from ctm_eval.engines.roots import Root, roots_of
from ctm_eval.engines.stop_strings import STOP_TAIL, StopStrings, has_stop
from ctm_eval.errors import CtmError
from ctm_eval.models import out_of_memory

if TYPE_CHECKING:
    from transformers import PreTrainedModel

MAX_ROWS = 512  # rows of a pass before new ones are let in; more make no pass more efficient
READ_AT_ONCE = 4096  # tokens of roots read in one pass
LOGIT_BYTES = 1 << 28  # of what is told of the roots that are read in one pass


class Walk:
    """Rows are distinct token sequences; requests ride on them. `memory` bounds what is held of them: the
    key-value cache, and what a pass makes that is large."""

    def __init__(
        self,
        model: "PreTrainedModel",
        decode: Callable[[Sequence[int]], str],
        eos_ids: frozenset[int],
        requests: Sequence[Request],
        sampling: Sampling,
        memory: int,
    ) -> None:
        self.model, self.eos_ids = model, list(eos_ids)
        self.requests, self.sampling, self.memory = requests, sampling, memory
        self.stop = StopStrings(decode, sampling.stop)
        self.limits = np.array([request.max_new_tokens for request in requests])
        most = int(self.limits.max(initial=0))
        self.uniforms = np.stack([_uniforms(request.seed, most) for request in requests])
        self.drawn = np.zeros(len(requests), dtype=np.int64)
        self.tokens = np.zeros((len(requests), most), dtype=np.int64)
        self.reasons: list[FinishReason] = ["length"] * len(requests)
        self.finished = self.limits <= 0
        for i, request in enumerate(requests):
            if has_stop(decode, request.prefix_ids, sampling.stop):
                self.reasons[i], self.finished[i] = "stop", True
        self.rests: list[tuple[int, ...]] = [()] * len(requests)  # given, beside the root
        self.left = np.zeros(len(requests), dtype=np.int64)  # how many of these are to come
        self._news = [int(self.finished.sum()), 0, 0]
        self._begin(np.flatnonzero(~self.finished))

    def completions(self) -> Iterator[Completion]:
        for i, reason in enumerate(self.reasons):
            yield Completion(tuple(self.tokens[i, : self.drawn[i]].tolist()), reason)

    def steps(self) -> Iterator[tuple[int, int, int]]:
        """Walks to the end; yields what an `Advance` is told of requests, after every pass.

        Where memory runs out, half of it is tried, and all requests go on from what they have drawn.
        Raises CtmError where not even one row has room.
        """
        while not self.finished.all():
            try:
                self._admit()
                if len(self.live):
                    self._step()
            except (RuntimeError, MemoryError) as error:
                if not out_of_memory(error):
                    raise
                if self.memory < self._bytes(1, 1):
                    raise CtmError(
                        "there is not enough memory for this model and a single completion: use a "
                        "smaller --max-new-tokens, --dtype bfloat16, or another --device"
                    ) from error
            else:
                yield self._take_news()
                continue
            # Here, the error holds no tensors any more.
            self.memory //= 2
            self._begin(np.flatnonzero(~self.finished))
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
        yield self._take_news()

    def _take_news(self) -> tuple[int, int, int]:
        finished, drawn, cached = self._news
        self._news = [0, 0, 0]
        return finished, drawn, cached

    # What waits, what is let in, what is put back.

    def _begin(self, requests: np.ndarray) -> None:
        """Nothing is in memory; `requests` wait."""
        self.cache = self._cache()
        self.waiting: deque[Root] = deque()
        self.ready: deque[tuple[int, int, int, np.ndarray]] = deque()  # root, seen, token, requests
        self.live, self.row_of = np.zeros((2, 0), dtype=np.int64)  # requests on rows, and which
        # Rows: slot of the root, tokens seen of it, own tokens in the cache, the token to read next.
        self.root, self.seen, self.own, self.token = np.zeros((4, 0), dtype=np.int64)
        self._wait(requests)

    def _cache(self) -> ForestCache:
        return ForestCache(self.model.config.get_text_config().num_hidden_layers)

    def _wait(self, requests: np.ndarray) -> None:
        sequences = []
        for i in requests.tolist():
            request = self.requests[i]
            given = (*request.prefix_ids, *self.tokens[i, : self.drawn[i]].tolist())
            sequences.append((i, tuple(request.prompt_ids), given))
        self.waiting.extend(roots_of(sequences))

    def _bytes(self, rows: int, length: int) -> int:
        """What is held in a pass of so many rows, which then have at most `length` tokens of their own."""
        config, size = self.model.config.get_text_config(), self.model.dtype.itemsize
        columns = self.cache.longest_root() + in_blocks(length)
        scores = columns * config.num_attention_heads * (2 * size + 4)  # these, and softmax twice
        logits = 2 * config.vocab_size * size  # those of rows that draw are a copy
        return self._cached(self.cache.tokens(rows, length)) + rows * (scores + logits)

    def _cached(self, tokens: int) -> int:
        """What keys and values of so many tokens hold."""
        config = self.model.config.get_text_config()
        groups = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
        width = (
            getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        )
        # One layer more, as the old buffers of a layer stand beside the new ones while they grow.
        layers = config.num_hidden_layers + 1
        return 2 * tokens * layers * groups * width * self.model.dtype.itemsize

    def _fits(self, rows: int) -> bool:
        """Whether there is memory for the next pass with so many rows."""
        return self._bytes(rows, int(self.own.max(initial=0)) + 1) <= self.memory

    def _admit(self) -> None:
        """Lets in what there is room for; puts rows back where there is not enough for those there."""
        if not len(self.root) and not self.ready:
            self.cache = self._cache()
        while len(self.root) > 1 and not self._fits(len(self.root)):
            self._put_back(self.row_of < len(self.root) // 2)
            self._keep(len(self.root) // 2)
        new: list[tuple[int, int, int, np.ndarray]] = []
        while len(self.root) + len(new) < MAX_ROWS:
            rows = len(self.root) + len(new)
            if rows and not self._fits(rows + 1):
                break
            if self.ready:
                new.append(self.ready.popleft())
            elif not self._read_roots([row[0] for row in new], MAX_ROWS - rows):
                break
        if new:
            count = len(self.root)
            numbers = np.array([row[:3] for row in new]).T
            self.root, self.seen, self.token = (
                np.concatenate([old, more])
                for old, more in zip((self.root, self.seen, self.token), numbers, strict=True)
            )
            self.own = np.concatenate([self.own, np.zeros(len(new), dtype=np.int64)])
            self.live = np.concatenate([self.live, *(row[3] for row in new)])
            of = [np.full(len(row[3]), count + i) for i, row in enumerate(new)]
            self.row_of = np.concatenate([self.row_of, *of])

    def _put_back(self, stay: np.ndarray) -> None:
        """Of the requests on rows, those that do not `stay` (a mask) wait, with what they have drawn."""
        self._wait(self.live[~stay])
        self.live, self.row_of = self.live[stay], self.row_of[stay]

    def _keep(self, rows: int) -> None:
        """Keeps the first `rows`, and gives back what the others hold."""
        self.root, self.seen, self.own, self.token = (
            each[:rows] for each in (self.root, self.seen, self.own, self.token)
        )
        self.cache.cut(rows)

    def _read_roots(self, taken: Sequence[int], most: int) -> bool:
        """Reads the next roots, if there are any and there is room; their requests draw until they leave
        them, and are then ready. Whether it has read any."""
        batch: list[Root] = []
        keep, vocabulary = 1, self.model.config.get_text_config().vocab_size
        there = len(self.root) + len(taken)
        room = self.memory - self._bytes(there, int(self.own.max(initial=0)) + 1)
        while self.waiting and len(batch) < most:
            root = self.waiting[0]
            further = max(keep, len(root.tokens) - root.first_read + 1)
            count = len(batch) + 1
            width = max(len(root.tokens), *(len(other.tokens) for other in batch), 0)
            told = count * further * vocabulary * self.model.dtype.itemsize
            # Roots are read into a cache of their own, and then copied.
            if there and self._cached(2 * count * width) + told > room:
                break
            if batch and (count * width > READ_AT_ONCE or told > LOGIT_BYTES):
                break
            batch.append(self.waiting.popleft())
            keep = further
        if not batch:
            return False
        in_use = {*self.root.tolist(), *taken, *(row[0] for row in self.ready)}
        free = (slot for slot in range(len(in_use) + len(batch)) if slot not in in_use)
        slots = [next(free) for _ in batch]
        logits = self._read(batch, slots, keep)
        own = np.concatenate([root.requests for root in batch])
        of = np.repeat(np.arange(len(batch)), [len(root.requests) for root in batch])
        at = np.concatenate([root.at for root in batch])
        lengths = np.array([len(root.tokens) for root in batch])
        spines = np.full((len(batch), lengths.max() + 1), -1)
        for row, root in enumerate(batch):
            spines[row, : len(root.tokens)] = root.tokens
            for i, rest in zip(root.requests, root.rests, strict=True):
                self.rests[i], self.left[i] = rest, len(rest)
        leaving: dict[tuple[int, int, int], list[int]] = {}
        self._news[2] += int(at.sum() - lengths.sum())
        while len(own):
            # Of every root, the requests that are furthest behind: they may meet others on their way.
            first = np.full(len(batch), lengths.max() + 1)
            np.minimum.at(first, of, at)
            now = np.flatnonzero(at == first[of])
            here, rows = np.unique(of[now], return_inverse=True)
            column = keep - 1 - (lengths[here] - first[here])
            told = logits[torch.from_numpy(here), torch.from_numpy(column).clamp_min(0)]
            next_tokens, done = self._next(own[now], rows, told)
            follows = ~done & (spines[of[now], at[now]] == next_tokens)
            at[now[follows]] += 1
            self._news[2] += int(follows.sum())
            for j, token in zip(now[~follows & ~done], next_tokens[~follows & ~done], strict=True):
                key = (slots[of[j]], int(at[j]), int(token))
                leaving.setdefault(key, []).append(int(own[j]))
            stays = np.ones(len(own), dtype=bool)
            stays[now[~follows]] = False
            own, of, at = own[stays], of[stays], at[stays]
        self.ready.extend((*key, np.array(requests)) for key, requests in leaving.items())
        return True

    # Passes through the model.

    def _read(self, batch: Sequence[Root], slots: Sequence[int], keep: int) -> torch.Tensor:
        """The roots in one pass, padded on the left: logits (B, keep, V) after their last tokens."""
        lengths = [len(root.tokens) for root in batch]
        width, device = max(lengths), self.model.device
        ids = torch.zeros((len(batch), width), dtype=torch.long)
        padding = torch.tensor([width - length for length in lengths])
        for row, root in enumerate(batch):
            ids[row, width - len(root.tokens) :] = torch.tensor(root.tokens)
        columns = torch.arange(width)
        mask = (columns[None] >= padding[:, None]).long() if bool(padding.any()) else None
        read = DynamicCache()
        output = self.model(
            input_ids=ids.to(device),
            attention_mask=None if mask is None else mask.to(device),
            position_ids=(columns[None] - padding[:, None]).clamp_min(0).to(device),
            past_key_values=read,
            use_cache=True,
            logits_to_keep=keep,
        )
        self.cache.add_roots(read, padding.tolist(), slots, lengths)
        return output.logits

    def _step(self) -> None:
        """One token further, for every row."""
        device = self.model.device
        self.cache.follow(plan(self.root, self.seen, self.own))
        config: Any = self.model.config
        usual, config._attn_implementation = config._attn_implementation, NAME
        try:
            output = self.model(
                input_ids=torch.from_numpy(self.token)[:, None].to(device),
                position_ids=torch.from_numpy(self.seen + self.own)[:, None].to(device),
                past_key_values=self.cache,
                use_cache=True,
            )
        finally:
            config._attn_implementation = usual
        self.own = self.own + 1
        self._news[2] += len(self.live) - len(self.root)
        next_tokens, done = self._next(self.live, self.row_of, output.logits[:, -1])
        self.live, self.row_of = self.live[~done], self.row_of[~done]
        self._split(next_tokens[~done])

    def _next(
        self, requests: np.ndarray, rows: np.ndarray, logits: torch.Tensor
    ) -> tuple[np.ndarray, np.ndarray]:
        """Each request's next token, given or drawn from its row of `logits`, and whether it ends it."""
        sampled = self.left[requests] == 0
        tokens = np.zeros(len(requests), dtype=np.int64)
        for j in np.flatnonzero(~sampled):
            i = requests[j]
            tokens[j] = self.rests[i][-self.left[i]]
            self.left[i] -= 1
        done = np.zeros(len(requests), dtype=bool)
        if sampled.any():
            those = requests[sampled]
            used, local = np.unique(rows[sampled], return_inverse=True)
            if len(used) < len(logits):
                logits = logits[torch.from_numpy(used).to(logits.device)]
            numbers = self.uniforms[those, self.drawn[those]]
            policy = self.sampling
            drawn = draw(logits, policy.temperature, policy.top_p, local, numbers)
            tokens[sampled] = self.tokens[those, self.drawn[those]] = drawn
            self.drawn[those] += 1
            ended = self._ended(those, drawn)
            for i in those[ended]:
                self.reasons[i] = "stop"
            done[sampled] = ended | (self.drawn[those] >= self.limits[those])
            self.finished[requests[done]] = True
            self._news[0] += int(done.sum())
            self._news[1] += len(those)
        return tokens, done

    def _ended(self, requests: np.ndarray, tokens: np.ndarray) -> np.ndarray:
        ended = np.isin(tokens, self.eos_ids)
        if self.sampling.stop:
            for j, (i, token) in enumerate(zip(requests.tolist(), tokens.tolist(), strict=True)):
                if not ended[j] and self.stop.near(token):
                    # A stop string may begin in the prefix, which is part of the completion.
                    drawn = self.tokens[i, max(0, self.drawn[i] - STOP_TAIL) : self.drawn[i]]
                    tail = [*self.requests[i].prefix_ids[-STOP_TAIL:], *drawn.tolist()]
                    ended[j] = self.stop.has_stop(tail)
        return ended

    def _split(self, next_tokens: np.ndarray) -> None:
        """Gives every distinct (row, next token) a row of its own, rows 0 .. R-1 without a gap; those that
        there is no memory for are put back."""
        base = int(next_tokens.max(initial=0)) + 1
        pairs, request_pair = np.unique(self.row_of * base + next_tokens, return_inverse=True)
        held = partial(self._bytes, length=int(self.own.max(initial=0)))
        most = 1 + bisect_right(range(2, len(pairs) + 1), self.memory, key=held)
        if most < len(pairs):
            stay = request_pair < most
            self._put_back(stay)
            pairs, request_pair = pairs[:most], request_pair[stay]
        parents, count = pairs // base, len(pairs)
        slots = np.full(count, -1)
        # The first child of a row stays where it is, if that is below the new number of rows.
        first = np.flatnonzero(np.diff(parents, prepend=-1).astype(bool) & (parents < count))
        slots[first] = parents[first]
        moved = np.flatnonzero(slots < 0)
        slots[moved] = np.setdiff1d(np.arange(count), slots[first])
        if len(moved):
            source, target = torch.from_numpy(parents[moved]), torch.from_numpy(slots[moved])
            length = int(self.own[parents[moved]].max())
            self.cache.copy_rows(source, target, count, length)
        by_slot = np.argsort(slots)
        self.row_of, self.token = slots[request_pair], pairs[by_slot] % base
        self.root, self.seen, self.own = (
            each[parents[by_slot]] for each in (self.root, self.seen, self.own)
        )


def _uniforms(seed: int, count: int) -> np.ndarray:
    """The request's own random numbers: a counter-based generator keyed by its seed."""
    return np.random.Generator(np.random.Philox(key=seed)).random(count)
