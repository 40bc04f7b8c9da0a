"""Answers that are being written, kept on disk once a minute, so that a kill loses a minute of long ones.

An answer goes on from its tokens as if they had stood in its prompt. In fp32 it is the same answer; in 16
bits ties may flip where it was cut. Where rotations follow the longest text of a pass a kept answer would not
be read as it was written, so that those begin again; see `overmem.models.decoding.positions`.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from overmem.artifacts.files import whole_file
from overmem.models.decoding.rows import Row

SAVE_SECONDS = 60.0
"""After so long what was written is kept, and again each time as much has passed."""


@dataclass(eq=False)
class UnfinishedAnswers:
    """The file in which the answers of one batch are kept until they are saved as rows."""

    path: Path
    """Named by all that decides the answers: settings, prompts and how many answers to each."""
    _rows: Sequence[Row] = ()
    _next_save: float = field(default=0.0)

    def resume(self, rows: Sequence[Row]) -> None:
        """Give rows the tokens that were kept of them, and keep them from now on.

        Args:
            rows: all of the batch, in the same order each time; none has begun.
        """
        self._rows, self._next_save = rows, time.monotonic() + SAVE_SECONDS
        try:
            kept = load(self.path.read_bytes())
            lengths, tokens = kept["lengths"].tolist(), kept["tokens"].tolist()
            logprobs = kept["logprobs"].tolist()
        except (OSError, SafetensorError, KeyError):
            return  # Nothing was kept, or what was is damaged: they are written from their beginning.
        if not len(lengths) == len(logprobs) == len(rows) or sum(lengths) != len(tokens):
            return
        start = 0
        for row, length, logprob in zip(rows, lengths, logprobs, strict=True):
            row.tokens, row.logprob = tokens[start : start + length], logprob
            start += length

    def save_in_time(self) -> None:
        """Keep what is written, if it is time."""
        if time.monotonic() >= self._next_save:
            self.save()
            self._next_save = time.monotonic() + SAVE_SECONDS

    def save(self) -> None:
        """Keep what is written, whole or not at all.

        Raises:
            StorageError: the disk is full.
        """
        kept = {
            "lengths": torch.tensor([len(row.tokens) for row in self._rows]),
            "tokens": torch.tensor([token for row in self._rows for token in row.tokens], dtype=torch.int32),
            "logprobs": torch.tensor([row.logprob for row in self._rows], dtype=torch.float64),
        }
        with whole_file(self.path) as temporary:
            temporary.write_bytes(save(kept))

    def remove(self) -> None:
        """The answers are saved as rows."""
        self.path.unlink(missing_ok=True)
