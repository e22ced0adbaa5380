"""A key-value cache whose rows can be copied one by one, for sequences that part ways."""

from typing import Any

import torch
from transformers.cache_utils import Cache, CacheLayerMixin

BLOCK = 64  # tokens by which a row grows


class _Layer(CacheLayerMixin):
    """Keys and values of one attention layer, (rows, heads, tokens, width), with room to grow."""

    is_sliding = False
    keys: torch.Tensor
    values: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.length = 0

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        self.keys = key_states.new_empty((0, key_states.shape[1], 0, key_states.shape[3]))
        self.values = value_states.new_empty((0, value_states.shape[1], 0, value_states.shape[3]))
        self.is_initialized = True

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        rows, start, end = len(key_states), self.length, self.length + key_states.shape[2]
        self.reserve(rows, end)
        self.keys[:rows, :, start:end] = key_states
        self.values[:rows, :, start:end] = value_states
        self.length = end
        return self.keys[:rows, :, :end], self.values[:rows, :, :end]

    def reserve(self, rows: int, length: int) -> None:
        """Makes room for `rows` rows of `length` tokens."""
        have_rows, heads, have_length, _ = self.keys.shape
        if rows <= have_rows and length <= have_length:
            return
        rows = have_rows if rows <= have_rows else max(rows, have_rows * 3 // 2)
        if length > have_length:
            length = -(-length // BLOCK) * BLOCK
        else:
            length = have_length
        for name in ("keys", "values"):
            old = getattr(self, name)
            new = old.new_empty((rows, heads, length, old.shape[3]))
            new[:have_rows, :, : self.length] = old[:, :, : self.length]
            setattr(self, name, new)

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        return self.length + query_length, 0

    def get_seq_length(self) -> int:
        return self.length

    def get_max_length(self) -> int:
        return -1


class RowCache(Cache):
    """The cache of a batch whose rows split, end and move."""

    def __init__(self, layers: int) -> None:
        self.rows = [_Layer() for _ in range(layers)]
        super().__init__(layers=list(self.rows))

    def copy_rows(self, source: torch.Tensor, target: torch.Tensor, rows: int) -> None:
        """Row `source[i]` is copied to row `target[i]`; afterwards the batch has `rows` rows."""
        for layer in self.rows:
            layer.reserve(rows, layer.length)
            for buffer in (layer.keys, layer.values):
                buffer[target, :, : layer.length] = buffer[source, :, : layer.length]
