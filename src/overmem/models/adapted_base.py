"""The base model of a run's adapters, which is loaded once, and on which each adapter takes its turn.

What one adapter changes in the base model itself must not stay for the next: where PEFT would leave
something, the next one gets a base model as it is on disk.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel

from overmem.boundary import clear_frames, library_call
from overmem.checkpoints import read_adapter_config, weight_files, wrapped_names
from overmem.models.adapter_loading import check_adapted, check_placed, embedding_rows_of, put_on
from overmem.models.adapter_names import moved_modules, write_moved
from overmem.models.adapters import InitialFactors, changed_base, make_plain, rename_tensors
from overmem.models.placement import check_adapter_goes_on
from overmem.models.pretrained import check_adapter_config, embedding_rows
from overmem.models.quantization import IN_FLOATS, Quantize, is_quantized, named_quantization
from overmem.models.trials import log
from overmem.records import Checkpoint


class AdaptedBase:
    """A base model with at most one of a run's adapters on it."""

    def __init__(
        self,
        load_base: Callable[[str, Checkpoint], PreTrainedModel],
        base_of: Callable[[Checkpoint], str],
        quantize: Quantize | None,
    ) -> None:
        """Nothing is loaded yet.

        Args:
            load_base: loads the base model of this name, which is that of the checkpoint.
            base_of: the name of a checkpoint's base model.
            quantize: the precision that was asked for.
        """
        self._load_base, self._base_of, self._quantize = load_base, base_of, quantize
        self._base: PreTrainedModel | None = None
        self._base_name: str | None = None
        self._rows: int | None = None
        """Rows of the embeddings that the adapter on the base model brought along."""
        self._starts: InitialFactors | None = None
        self._adapted: Any = None
        self._adapter: str | None = None
        self._moved = self._said_precision = False

    def base(self, checkpoint: Checkpoint) -> PreTrainedModel:
        """The base model under an adapter checkpoint; it may hold the adapter loaded last, and its tokens.

        Raises:
            RunError: it cannot be found.
        """
        name = self._base_of(checkpoint)
        if self._base is None or name != self._base_name:
            self.release()
            self._base, self._base_name = self._load_base(name, checkpoint), name
            self._starts = InitialFactors(self._base)
            self._say_other_precision(checkpoint, name)
        return self._base

    def load(self, checkpoint: Checkpoint) -> Any:
        """The base model with the adapter of a checkpoint, and no other.

        Raises:
            OvermemError: the base model cannot be found, or the adapter does not go on it.
        """
        with tempfile.TemporaryDirectory(prefix="overmem-") as plain:
            folder = self.plain_folder(checkpoint, Path(plain))
            try:
                moves = moved_modules(self.base(checkpoint), folder)
                if moves is not None:
                    self._say_moved(checkpoint, moves)
                    write_moved(folder, Path(plain) / "moved", moves)
                    folder = Path(plain) / "moved"
                return self._adapt(checkpoint, folder)
            except Exception as error:
                # Half of an adapter may be on the base model, which the error's frames would keep in memory.
                clear_frames(error)
                self.release()
                raise

    def _say_moved(self, checkpoint: Checkpoint, moves: Mapping[str, str]) -> None:
        if not self._moved:
            old, new = next(iter(moves.items()))
            log.warning(
                "%s: its base model has the adapter's modules under other names (%s for %s); they are moved",
                checkpoint.name, new, old,
            )  # fmt: skip
        self._moved = True

    def plain_folder(self, checkpoint: Checkpoint, out: Path) -> Path:
        """A folder with the adapter as PEFT reads it over the base model as it is on disk: its own, or `out`.

        Raises:
            OvermemError: its start cannot be taken again, or its base model cannot be found.
        """
        config = read_adapter_config(checkpoint.path)
        if changed_base(config) is None:
            if not (names := wrapped_names(weight_files(checkpoint.path))):
                return checkpoint.path
            rename_tensors(checkpoint.path, out, names, config)
            return out
        # PEFT would change the base model, and the next checkpoint would be measured over what is left.
        check_adapter_goes_on(self.base(checkpoint), checkpoint.path, checkpoint.name)
        assert self._starts is not None
        make_plain(checkpoint.path, out, self._starts.of(checkpoint.path))
        return out

    def _adapt(self, checkpoint: Checkpoint, folder: Path) -> Any:
        """The base model with the plain adapter in `folder`."""
        check_adapter_config(read_adapter_config(folder), checkpoint.name)
        check_adapted(folder, checkpoint.name)
        # A dot is not allowed in a module's name.
        adapter = checkpoint.name.replace(".", "_")
        rows = embedding_rows_of(folder)
        if self._adapted is not None and self._needs_fresh_base(adapter, folder, rows):
            self.release()
        base = self.base(checkpoint)
        check_adapter_goes_on(base, folder, checkpoint.name)
        if self._adapted is None and rows not in (None, embedding_rows(base)):
            base.resize_token_embeddings(rows, mean_resizing=False)
        with library_call(
            f"{checkpoint.name} cannot be loaded", next_step=IN_FLOATS if is_quantized(base) else ""
        ):
            self._adapted, misfits = put_on(self._adapted or base, folder, adapter)
        if self._adapter not in (None, adapter):
            self._adapted.set_adapter(adapter)
            self._adapted.delete_adapter(self._adapter)
        self._adapter, self._rows = adapter, rows
        check_placed(self._adapted, adapter, checkpoint.name, misfits)
        return self._adapted

    def _needs_fresh_base(self, adapter: str, folder: Path, rows: int | None) -> bool:
        """Whether the base model has to be as on disk again before the adapter in `folder` takes its turn.

        PEFT writes biases, and the embeddings of a model that has other tokens, into the base model itself;
        where one adapter has single tokens of its own, it asks for those of the next. bitsandbytes packs
        4-bit weights anew for the CPU in the first forward pass and rounds their scales; PEFT, which reads
        the model's state before it puts an adapter on, has them unpacked to other weights.
        """
        if is_quantized(self._base):
            return True
        if adapter == self._adapter:
            return False
        after = read_adapter_config(folder)
        before = self._adapted.peft_config[self._adapter]
        biases = {getattr(before, "bias", "none"), after.get("bias", "none")}
        tokens = getattr(before, "trainable_token_indices", None)
        return rows != self._rows or biases != {"none"} or tokens != after.get("trainable_token_indices")

    def _say_other_precision(self, checkpoint: Checkpoint, name: str) -> None:
        """Say it where an adapter names a quantized base model, and stands on one in floats unasked."""
        named = read_adapter_config(checkpoint.path).get("base_model_name_or_path") or ""
        bits = named_quantization(str(named))
        if bits is None or self._quantize is not None or is_quantized(self._base) or self._said_precision:
            return
        self._said_precision = True
        log.warning(
            "%s was trained on %s, and is measured on %s, whose weights are floats: pass --quantize %s "
            "to measure it as it was trained",
            checkpoint.name, named, name, bits,
        )  # fmt: skip

    def release(self) -> None:
        """Keep neither the base model nor the adapter on it."""
        self._base, self._base_name, self._rows = None, None, None
        self._starts, self._adapted, self._adapter = None, None, None
