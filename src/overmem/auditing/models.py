"""Hold one model in memory and turn it into each checkpoint of a run in turn.

Adapters share their base model, which is loaded once. Weights are checked for NaN before anything
is measured with them.
"""

from __future__ import annotations

import json
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from overmem.auditing.checkpoints import ADAPTER_CONFIG
from overmem.errors import CheckpointError, RunError
from overmem.records import Checkpoint, Run
from overmem.tasks.template import check_vocab


def choose_device(name: str = "auto") -> torch.device:
    """`auto` takes CUDA, then MPS, then the CPU."""
    if name != "auto":
        return torch.device(name)
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def choose_dtype(name: str, device: torch.device) -> torch.dtype:
    """`auto` is bf16 on CUDA, where it is fast, and fp32 elsewhere, where batch shape changes nothing."""
    if name == "auto":
        return torch.bfloat16 if device.type == "cuda" else torch.float32
    dtypes = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
    if name not in dtypes:
        raise RunError("unknown dtype", got=name, expected="auto, " + ", ".join(dtypes))
    return dtypes[name]


class ModelHost:
    """Loads checkpoints one after another; `load` returns a model in eval mode."""

    def __init__(
        self,
        run: Run,
        *,
        device: torch.device,
        dtype: torch.dtype,
        base_model: str | None = None,
        trust_remote_code: bool = False,
        allow_pickle: bool = False,
    ) -> None:
        """Prepare to load the checkpoints of `run`.

        Args:
            run: the run whose checkpoints are loaded.
            device: where the model lives.
            dtype: the weights' dtype while measuring.
            base_model: overrides the base model that an adapter's configuration names.
            trust_remote_code: passed to transformers; off by default because it runs code of the repo.
            allow_pickle: accept pickled weights.
        """
        self.run, self.device, self.dtype, self.base_model = run, device, dtype, base_model
        self._trust = trust_remote_code
        self._allow_pickle = allow_pickle
        self._base: PreTrainedModel | None = None
        self._base_name: str | None = None
        self._adapted: Any = None
        self._adapter: str | None = None

    def load(self, checkpoint: Checkpoint) -> Any:
        """The model as it was at `checkpoint`.

        Raises:
            CheckpointError: the weights hold NaN or do not fit their configuration.
            RunError: the base model of an adapter cannot be found.
        """
        try:
            if checkpoint.kind == "adapter":
                model = self._load_adapter(checkpoint)
            else:
                model = self._from_pretrained(str(checkpoint.path))
        except (RuntimeError, OSError, ValueError, KeyError) as error:
            if isinstance(error, CheckpointError | RunError):
                raise
            raise CheckpointError(
                f"{checkpoint.name} cannot be loaded", got=str(error).splitlines()[0]
            ) from error
        _check_finite(model, checkpoint)
        return model.eval()

    def tokenizer(self) -> PreTrainedTokenizerBase:
        """The run's tokenizer: from a checkpoint, else the root, else the base model.

        Raises:
            RunError: none of them has one.
        """
        folders = [self.run.checkpoints[-1].path, self.run.path]
        for folder in folders:
            if (folder / "tokenizer_config.json").is_file() or (folder / "tokenizer.json").is_file():
                return AutoTokenizer.from_pretrained(folder, trust_remote_code=self._trust)
        names = [self.base_of(c) for c in self.run.checkpoints if c.kind == "adapter"]
        if self.base_model is not None:
            names.append(self.base_model)
        try:
            return AutoTokenizer.from_pretrained(names[0], trust_remote_code=self._trust)
        except (OSError, ValueError, IndexError):
            raise RunError(
                "no tokenizer for this run",
                got=f"none in {self.run.checkpoints[-1].name}, at the root or with the base model",
                expected="tokenizer.json beside the weights",
                next_step="save the tokenizer into the run folder, or pass --base-model",
            ) from None

    def _from_pretrained(self, name: str) -> PreTrainedModel:
        # Measured on this project's machines: in bf16 on a CPU eager attention beats sdpa (traps, 6).
        attention = "eager" if self.device.type == "cpu" and self.dtype == torch.bfloat16 else None
        return AutoModelForCausalLM.from_pretrained(
            name,
            dtype=self.dtype,
            attn_implementation=attention,
            trust_remote_code=self._trust,
            use_safetensors=None if self._allow_pickle else True,
        ).to(self.device)

    def base_of(self, checkpoint: Checkpoint) -> str:
        """Name or path of the base model under an adapter checkpoint."""
        if self.base_model is not None:
            return self.base_model
        config = json.loads((checkpoint.path / ADAPTER_CONFIG).read_text(encoding="utf-8"))
        return str(config.get("base_model_name_or_path"))

    def _load_adapter(self, checkpoint: Checkpoint) -> Any:
        from peft import PeftModel

        name = self.base_of(checkpoint)
        if self._base is None or name != self._base_name:
            self._base, self._base_name, self._adapted = self._load_base(name, checkpoint), name, None
        # A dot is not allowed in a module's name.
        adapter = checkpoint.name.replace(".", "_")
        if self._adapted is None:
            self._adapted = PeftModel.from_pretrained(self._base, str(checkpoint.path), adapter_name=adapter)
        elif adapter != self._adapter:
            self._adapted.load_adapter(str(checkpoint.path), adapter_name=adapter)
            self._adapted.set_adapter(adapter)
            self._adapted.delete_adapter(self._adapter)
        self._adapter = adapter
        return self._adapted

    def _load_base(self, name: str, checkpoint: Checkpoint) -> PreTrainedModel:
        try:
            return self._from_pretrained(name)
        except OSError as error:
            raise RunError(
                f"the base model of {checkpoint.name} cannot be found",
                got=f"{name} ({str(error).splitlines()[0]})",
                expected="a local folder or a hub id that can be reached",
                next_step="pass --base-model PATH to say where it is now",
            ) from None


def check_tokenizer(model: Any, tokenizer: PreTrainedTokenizerBase) -> None:
    """Refuse a tokenizer that can produce ids the model has no embedding for."""
    check_vocab(tokenizer, model.get_input_embeddings().weight.shape[0])


def context_length(model: Any) -> int | None:
    """Longest sequence the model was made for, in tokens, when its configuration says."""
    config = model.config.get_text_config() if hasattr(model.config, "get_text_config") else model.config
    return getattr(config, "max_position_embeddings", None)


def _check_finite(model: torch.nn.Module, checkpoint: Checkpoint) -> None:
    for name, tensor in model.named_parameters():
        if not torch.isfinite(tensor).all():
            raise CheckpointError(
                f"{checkpoint.name} holds NaN or infinite weights",
                got=name,
                next_step="the run diverged before this step; the other checkpoints are audited",
            )
