"""Keys and values of the answers being written: rows leave and join without copying the others.

All rows share one write column. A row that joins has its prompt's keys placed so that they end at that
column, as left padding would; a row that leaves is overwritten by the next one, or by the last.

Shape suffixes: R rows in use, H key-value heads, C columns of the buffer, D head size.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import torch
from transformers import Cache, DynamicCache
from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

from overmem.models.pretrained import unwrap_adapter


def can_batch_continuously(config: Any) -> bool:
    """Whether a model's cache is plain keys and values, one column a token, so that rows can come and go.

    Not so for recurrent states, and for attention in chunks, whose borders are counted in columns.
    """
    text = config.get_text_config(decoder=True)
    try:
        kinds = {type(layer) for layer in DynamicCache(config=config).layers}
    except (AttributeError, TypeError, ValueError):
        return False  # Not a configuration that transformers makes a cache from.
    return (
        bool(kinds)
        and kinds <= {DynamicLayer, DynamicSlidingWindowLayer}
        and "chunked_attention" not in (getattr(text, "layer_types", None) or ())
    )


def cache_keyword(model: Any) -> str:
    """What a model calls its cache: `cache` from transformers 5.24 on, `past_key_values` before it."""
    forward = type(unwrap_adapter(model)).forward
    return "cache" if "cache" in inspect.signature(forward).parameters else "past_key_values"


def pair_scores(config: Any) -> int:
    """Attention scores of a query and a key that are held at once: of every head, or only their mask."""
    text = config.get_text_config(decoder=True)
    eager = getattr(config, "_attn_implementation", None) == "eager"
    return int(getattr(text, "num_attention_heads", None) or 1) if eager else 1


class RowLayer(DynamicLayer):
    """One layer's keys and values in buffers of a fixed size, (rows, H, C, D)."""

    def __init__(self, rows: int, columns: int) -> None:
        super().__init__()
        self.rows, self.columns = rows, columns
        self.used = 0
        """Rows in use, the first ones."""
        self.first = self.column = 0
        """The columns in use: `first` up to `column`, where the next token is written."""

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        """Make the buffers for keys and values like these."""
        super().lazy_initialization(key_states, value_states)
        # Zeros: what a row does not see is multiplied by 0, which must not meet a NaN.
        self._keys, self._values = (
            like.new_zeros(self.rows, like.shape[1], self.columns, like.shape[3])
            for like in (key_states, value_states)
        )

    def join(self, copies: torch.Tensor, prefilled: Any) -> None:
        """Take in copies of rows that were prefilled apart, after the rows in use; see `RowCache.join`."""
        if not self.is_initialized:
            self.lazy_initialization(prefilled.keys, prefilled.values)
            self.column = prefilled.keys.shape[2]
        rows = slice(self.used, self.used + len(copies))
        columns = slice(self.column - prefilled.keys.shape[2], self.column)
        for buffer, read in ((self._keys, prefilled.keys), (self._values, prefilled.values)):
            buffer[rows, :, columns] = read[copies.to(read.device)]
        self._use(rows.stop, self.first)

    def move(self, sources: torch.Tensor, slots: torch.Tensor, used: int) -> None:
        """Copy rows over others; `used` rows are in use after it."""
        if len(sources):
            columns = slice(self.first, self.column)
            for buffer in (self._keys, self._values):
                here, there = (index.to(buffer.device) for index in (sources, slots))
                buffer[there, :, columns] = buffer[here, :, columns]
        self._use(used, self.first)

    def forget_before(self, first: int) -> None:
        """No row attends to the columns before `first` any more."""
        self._use(self.used, first)

    def move_to_front(self) -> None:
        """Make room in a full buffer: the columns in use move to its beginning."""
        length = self.column - self.first
        for buffer in (self._keys, self._values):
            buffer[: self.used, :, :length] = buffer[: self.used, :, self.first : self.column].clone()
        self.column = length
        self._use(self.used, 0)

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Write the next tokens of every row; keys and values of all columns in use, (R, H, columns, D)."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
            self.used = len(key_states)
        columns = slice(self.column, self.column + key_states.shape[2])
        self._keys[: self.used, :, columns] = key_states
        self._values[: self.used, :, columns] = value_states
        self.column = columns.stop
        self._use(self.used, self.first)
        return self.keys, self.values

    def _use(self, rows: int, first: int) -> None:
        self.used, self.first = rows, first
        self.keys = self._keys[: self.used, :, self.first : self.column]
        self.values = self._values[: self.used, :, self.first : self.column]


def piece_cache(config: Any, rows: int, columns: int) -> Cache:
    """A cache behind which texts are read in pieces, in buffers made once; layers with windows keep theirs.

    Args:
        config: of a model for which `can_batch_continuously` holds.
        rows: of the batch, all of them read together.
        columns: tokens of the longest.
    """
    made = DynamicCache(config=config).layers
    return Cache(layers=[RowLayer(rows, columns) if type(x) is DynamicLayer else x for x in made])


class RowCache(Cache):
    """The layers of a model in step with each other."""

    layers: Sequence[RowLayer]

    def __init__(self, layers: int, rows: int, columns: int) -> None:
        """Prepare for a model.

        Args:
            layers: of the cache that the model makes.
            rows: most rows at once.
            columns: most columns between the first one that a row sees and the last.
        """
        super().__init__(layers=[RowLayer(rows, columns) for _ in range(layers)])

    @property
    def column(self) -> int:
        """Where the next token is written."""
        return self.layers[0].column

    @property
    def first(self) -> int:
        """The first column that any row attends to."""
        return self.layers[0].first

    def join(self, copies: torch.Tensor, prefilled: DynamicCache) -> None:
        """Take in copies of rows that were prefilled apart, no longer than the columns in use.

        Args:
            copies: which of the prefilled rows, in the order in which they join.
            prefilled: rows whose tokens end at the last column.
        """
        for layer, other in zip(self.layers, prefilled.layers, strict=True):
            layer.join(copies, other)

    def move(self, sources: torch.Tensor, slots: torch.Tensor, used: int) -> None:
        """Copy rows over others, and use so many."""
        for layer in self.layers:
            layer.move(sources, slots, used)

    def forget_before(self, first: int) -> None:
        """Leave out the columns before `first`."""
        for layer in self.layers:
            layer.forget_before(first)

    def move_to_front(self) -> None:
        """Make room: the columns in use become the first ones."""
        for layer in self.layers:
            layer.move_to_front()
