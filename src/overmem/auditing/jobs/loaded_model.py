"""The model in memory: one at a time, and of the very weights that were fingerprinted."""

from __future__ import annotations

from typing import Any

from overmem.auditing.measured_weights import MeasuredWeights
from overmem.models.loading import ModelHost
from overmem.records import Checkpoint


class LoadedModel:
    """Loads checkpoints, each in the place of the last."""

    def __init__(self, host: ModelHost, weights: MeasuredWeights) -> None:
        """Nothing is loaded yet.

        Args:
            host: loads them.
            weights: knows what each held when it was first read.
        """
        self._host, self._weights = host, weights
        self._model: Any = None
        self._checkpoint: Checkpoint | None = None

    def at(self, checkpoint: Checkpoint) -> Any:
        """The model of a checkpoint.

        Raises:
            CheckpointError: it cannot be loaded.
            WeightsChangedError: its files are no longer those that were fingerprinted.
        """
        if self._checkpoint != checkpoint:
            # Let go of the last model before the next is loaded, or both are in memory.
            self.release()
            self._weights.fingerprint(checkpoint)
            self._model = self._host.load(checkpoint)
            self._weights.check_unchanged(checkpoint)
            self._checkpoint = checkpoint
        return self._model

    def release(self) -> None:
        """Let go of the model in memory."""
        self._model, self._checkpoint = None, None
