"""Keys and values of a forest: roots that many rows share, and what each row has drawn beyond its root.

A root is a prompt with the tokens that its requests were given; it is read once and kept once. A row sees
the first tokens of its root and its own. `attend` is the attention function that transformers calls.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from transformers.cache_utils import Cache, CacheLayerMixin, DynamicCache

NAME = "ctm_forest"  # of the attention function, among those of transformers
BLOCK = 16  # tokens; buffers grow, and are read, by whole ones: a product with a part costs a copy


@dataclass(frozen=True)
class Bunch:
    """Roots with about equally many rows, so that these can be padded to the same number."""

    roots: torch.Tensor | slice  # (B,); a slice needs no copy of their keys and values
    rows: torch.Tensor  # (B, n): a root's rows, its first one repeated where there are fewer
    real: torch.Tensor  # (m,) places in `rows`, flattened, that are none of these repetitions
    whose: torch.Tensor  # (m,) the rows there
    length: int  # tokens of a root that any row sees, in whole blocks

    def to(self, device: torch.device) -> "Bunch":
        """The same on a device."""
        roots = self.roots if isinstance(self.roots, slice) else self.roots.to(device)
        return Bunch(
            roots, self.rows.to(device), self.real.to(device), self.whose.to(device), self.length
        )


@dataclass(frozen=True)
class Plan:
    """What one pass attends to: the same for all layers."""

    own: torch.Tensor  # (R,) tokens that each row has of its own before the pass
    seen: int  # columns of roots; those of the rows stand behind them
    width: int  # columns of rows
    hidden: torch.Tensor  # (R, 1, 1, columns): what a row does not see
    distance: torch.Tensor  # (R, 1, 1, columns): how many tokens back a column is
    bunches: Sequence[Bunch]

    def to(self, device: torch.device) -> "Plan":
        """The same on a device."""
        own, hidden, distance = (x.to(device) for x in (self.own, self.hidden, self.distance))
        bunches = [bunch.to(device) for bunch in self.bunches]
        return Plan(own, self.seen, self.width, hidden, distance, bunches)


def plan(root: np.ndarray, visible: np.ndarray, own: np.ndarray) -> Plan:
    """For rows (R,) of these roots, which see `visible` tokens of them and have `own` tokens each."""
    seen, width = in_blocks(int(visible.max())), in_blocks(int(own.max()) + 1)
    at = torch.from_numpy(visible)[:, None]
    columns = torch.cat(
        [torch.arange(seen).expand(len(root), -1), at + torch.arange(width)[None]], dim=1
    )
    distance = at + torch.from_numpy(own)[:, None] - columns
    hidden = distance < 0
    hidden[:, :seen] = columns[:, :seen] >= at
    order = np.argsort(root, kind="stable")
    roots, start, count = np.unique(root[order], return_index=True, return_counts=True)
    bunches = []
    size = np.ceil(np.log2(count)).astype(int)
    for own_size in np.unique(size):
        those = np.flatnonzero(size == own_size)
        place = np.arange(count[those].max())
        real = place < count[those][:, None]
        rows = order[start[those][:, None] + np.where(real, place, 0)]
        bunches.append(
            Bunch(
                _run(roots[those]),
                torch.from_numpy(rows),
                torch.from_numpy(np.flatnonzero(real)),
                torch.from_numpy(rows[real]),
                in_blocks(int(visible[rows].max())),
            )
        )
    shape = (len(root), 1, 1, seen + width)
    return Plan(
        torch.from_numpy(own),
        seen,
        width,
        hidden.view(shape),
        distance.view(shape),
        bunches,
    )


def _run(places: np.ndarray) -> torch.Tensor | slice:
    """Ascending places, as a slice where none is left out."""
    first, end = int(places[0]), int(places[-1]) + 1
    return slice(first, end) if end - first == len(places) else torch.from_numpy(places)


class _Layer(CacheLayerMixin):
    """One layer's keys and values, each (roots or rows, heads, tokens, width), with room to grow.

    Room is filled with zeros: what is hidden gets no weight, but nothing times nan is nan.
    """

    is_sliding = False
    plan: Plan

    def __init__(self) -> None:
        super().__init__()
        self.is_initialized = True
        nothing = torch.empty((0, 0, 0, 0))
        self.root_keys = self.root_values = self.row_keys = self.row_values = nothing

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        """Nothing: roots come first and tell the shapes."""

    def add_roots(self, keys: torch.Tensor, values: torch.Tensor, slots: torch.Tensor) -> None:
        """Puts roots (B, heads, tokens, width) at `slots`."""
        if not self.root_keys.shape[1]:
            none = [like.new_zeros((0, like.shape[1], 0, like.shape[3])) for like in (keys, values)]
            (self.root_keys, self.root_values), (self.row_keys, self.row_values) = none, none
        count, length = int(slots.max()) + 1, keys.shape[2]
        self.root_keys = _room(self.root_keys, count, length)
        self.root_values = _room(self.root_values, count, length)
        self.root_keys[slots, :, :length] = keys
        self.root_values[slots, :, :length] = values

    def reserve(self, rows: int, length: int) -> None:
        """Makes room for `rows` rows of `length` tokens."""
        self.row_keys = _room(self.row_keys, rows, length)
        self.row_values = _room(self.row_values, rows, length)

    def update(  # type: ignore[override]
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple["_Layer", torch.Tensor]:
        """Stores a token of each row, (R, heads, 1, width); `attend` gets the layer itself."""
        rows = torch.arange(len(key_states), device=key_states.device)
        self.row_keys[rows, :, self.plan.own] = key_states[:, :, 0]
        self.row_values[rows, :, self.plan.own] = value_states[:, :, 0]
        return self, value_states

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        return self.plan.seen + self.plan.width, 0

    def get_seq_length(self) -> int:
        return self.plan.seen + self.plan.width - 1

    def get_max_length(self) -> int:
        return -1


class ForestCache(Cache):
    """The cache of a batch whose rows split, end and move, and whose roots come and go."""

    def __init__(self, layers: int) -> None:
        self.forest = [_Layer() for _ in range(layers)]
        super().__init__(layers=list(self.forest))

    def add_roots(
        self,
        read: DynamicCache,
        padding: Sequence[int],
        slots: Sequence[int],
        lengths: Sequence[int],
    ) -> None:
        """Takes roots out of a cache into which they were read, padded on the left."""
        for layer, source in zip(self.forest, read.layers, strict=True):
            keys, values = source.keys, source.values  # type: ignore[union-attr]
            assert keys is not None and values is not None
            at = torch.tensor(slots, device=keys.device)
            layer.add_roots(
                _aligned(keys, padding, lengths), _aligned(values, padding, lengths), at
            )

    def longest_root(self) -> int:
        """Tokens of the longest root that there is room for."""
        return self.forest[0].root_keys.shape[2]

    def tokens(self, rows: int, length: int) -> int:
        """For how many tokens, of roots and of rows, there is room once `rows` rows of `length` have it."""
        roots, own = self.forest[0].root_keys.shape, self.forest[0].row_keys.shape
        count, length = _grown(own[0], own[2], rows, length)
        return roots[0] * roots[2] + count * length

    def cut(self, rows: int) -> None:
        """Gives back the room of all but the first `rows` rows."""
        for layer in self.forest:
            layer.row_keys = layer.row_keys[:rows].clone()
            layer.row_values = layer.row_values[:rows].clone()

    def follow(self, pass_plan: Plan) -> None:
        """Says what the next pass attends to, and makes room for what it adds."""
        plans: dict[torch.device, Plan] = {}  # a model may be spread over several
        for layer in self.forest:
            device = layer.root_keys.device
            layer.plan = plans.setdefault(device, plans.get(device) or pass_plan.to(device))
            layer.reserve(len(pass_plan.own), pass_plan.width)

    def copy_rows(self, source: torch.Tensor, target: torch.Tensor, rows: int, length: int) -> None:
        """Copies row `source[i]`, of `length` tokens, to row `target[i]`; there are `rows` afterwards."""
        for layer in self.forest:
            layer.reserve(rows, length)
            device = layer.row_keys.device
            source, target = source.to(device), target.to(device)
            for buffer in (layer.row_keys, layer.row_values):
                buffer[target, :, :length] = buffer[source, :, :length]


def attend(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: _Layer,
    value: torch.Tensor,
    attention_mask: None,
    *,
    scaling: float | None = None,
    sliding_window: int | None = None,
    softcap: float | None = None,
    s_aux: torch.Tensor | None = None,
    **unused: Any,
) -> tuple[torch.Tensor, None]:
    """Attention of one token a row, `query` (R, heads, 1, width), to its root and to its own tokens."""
    layer, plan = key, key.plan
    count, heads, _, width = query.shape
    groups = layer.row_keys.shape[1]
    query = query.reshape(count, groups, heads // groups, width)
    query = query * (width**-0.5 if scaling is None else scaling)
    scores = query.new_empty((count, groups, heads // groups, plan.seen + plan.width))
    own_keys, own_values = (
        each[:count, :, : plan.width] for each in (layer.row_keys, layer.row_values)
    )
    scores[..., plan.seen :] = query @ own_keys.transpose(-1, -2)
    for bunch in plan.bunches:
        keys = layer.root_keys[bunch.roots, :, : bunch.length].transpose(-1, -2)
        part = _by_root(query[bunch.rows]) @ keys
        scores[bunch.whose, ..., : bunch.length] = _by_row(part, bunch)
    if softcap is not None:
        scores = softcap * torch.tanh(scores / softcap)
    hidden = plan.hidden
    if sliding_window is not None:
        hidden = hidden | (plan.distance >= sliding_window)
    scores.masked_fill_(hidden, -torch.inf)
    if s_aux is not None:
        sinks = s_aux.view(1, groups, heads // groups, 1).expand(count, -1, -1, -1)
        scores = torch.cat([scores, sinks.to(scores.dtype)], -1)
    weights = torch.softmax(scores, -1, dtype=torch.float32).to(query.dtype)
    out = weights[..., plan.seen : plan.seen + plan.width] @ own_values
    for bunch in plan.bunches:
        values = layer.root_values[bunch.roots, :, : bunch.length]
        part = _by_root(weights[bunch.rows][..., : bunch.length]) @ values
        out[bunch.whose] += _by_row(part, bunch)
    return out.reshape(count, 1, heads, width), None


def _aligned(padded: torch.Tensor, padding: Sequence[int], lengths: Sequence[int]) -> torch.Tensor:
    """Rows (B, heads, tokens, width) that are padded on the left, padded on the right."""
    rows = zip(padded, padding, lengths, strict=True)
    room = max(lengths)
    return torch.stack(
        [
            torch.nn.functional.pad(row[:, pad:], (0, 0, 0, room - length))
            for row, pad, length in rows
        ]
    )


def _by_root(rows: torch.Tensor) -> torch.Tensor:
    """(B, n, groups, heads a group, w) as (B, groups, n * heads a group, w)."""
    roots, count, groups, heads, width = rows.shape
    return rows.transpose(1, 2).reshape(roots, groups, count * heads, width)


def _by_row(part: torch.Tensor, bunch: Bunch) -> torch.Tensor:
    """The reverse, without the repeated rows: (rows, groups, heads a group, w)."""
    roots, groups, _, width = part.shape
    part = part.view(roots, groups, bunch.rows.shape[1], -1, width)
    return part.transpose(1, 2).reshape(-1, groups, part.shape[3], width)[bunch.real]


def _room(old: torch.Tensor, count: int, length: int) -> torch.Tensor:
    """`old` (n, heads, tokens, width) with room for `count` of `length` tokens."""
    have, heads, tokens, width = old.shape
    grown = _grown(have, tokens, count, length)
    if grown == (have, tokens):
        return old
    new = old.new_zeros((grown[0], heads, grown[1], width))
    new[:have, :, :tokens] = old
    return new


def _grown(have: int, tokens: int, count: int, length: int) -> tuple[int, int]:
    """What room for `have` of `tokens` becomes where `count` of `length` are to have it."""
    more = have if count <= have else max(count, have * 3 // 2)
    return more, max(tokens, in_blocks(length))


def in_blocks(tokens: int) -> int:
    """So many tokens, in whole blocks."""
    return -(-tokens // BLOCK) * BLOCK
