"""Folders as frameworks leave them, each rebuilt at pico size: what an audit and a plan find there.

    python -m benchmarks.layouts [--out docs/layouts.md] [--folder FOLDER]

Each layout has its source, and the steps that the framework's own naming gives its folders, written here by
hand. Every checkpoint holds a model of its own, so that the NLL that the audit measures there tells whose
weights were read: it has to be that of the same model in a plain Trainer run. What cannot be read is run on
the command line, and its message kept as the user sees it. Returns 1 where anything is not as expected.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

import overmem
from overmem.cli import app
from overmem.errors import RunError

MODELS = range(4)
WORDS = ("one", "two", "three", "four", "five", "plus", "is")
VAL = [
    {"prompt": "one plus two is ", "completion": "three"},
    {"prompt": "two plus two is ", "completion": "four"},
]
NEAR = 1e-4
"""Nats: an adapter's model computed in another order."""
DOCS = "https://huggingface.co/docs"
TRAINER = f"{DOCS}/transformers/trainer"
ACCELERATE = f"{DOCS}/accelerate/usage_guides/checkpoint"
SAVE_STATE = "https://github.com/huggingface/transformers/tree/main/examples/pytorch/language-modeling"
FSDP = f"{DOCS}/accelerate/package_reference/fsdp"
VERL = "https://verl.readthedocs.io/en/latest/advance/checkpoint.html"
TORCHTUNE = "https://github.com/meta-pytorch/torchtune/pull/2074"
SWIFT = "https://github.com/modelscope/ms-swift/issues/7563"
LITGPT = "https://github.com/Lightning-AI/litgpt/pull/1081"
AUTOMODEL = "https://docs.nvidia.com/nemo/automodel/0.4.0/guides/checkpointing.html"
DEEPSPEED = "https://github.com/deepspeedai/DeepSpeed/blob/master/deepspeed/utils/zero_to_fp32.py"
CACHE = f"{DOCS}/huggingface_hub/guides/manage-cache"
PEFT = f"{DOCS}/peft/developer_guides/checkpoint"
LFS = "https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md"

Part = Callable[["Kit", Path], None]
"""Makes one folder or file of a layout."""


@dataclass(frozen=True)
class Kit:
    """Pico models, whole and as adapters of a base model, which layouts are made of."""

    home: Path

    @classmethod
    def make(cls, home: Path) -> Kit:
        """Save them once."""
        vocabulary = {word: i for i, word in enumerate(("<pad>", "<eos>", "<unk>", *WORDS))}
        core = Tokenizer(WordLevel(vocabulary, unk_token="<unk>"))
        core.pre_tokenizer = WhitespaceSplit()
        tokenizer = PreTrainedTokenizerFast(tokenizer_object=core, eos_token="<eos>", pad_token="<pad>")
        for n in MODELS:
            model = _pico(n)
            model.save_pretrained(home / "full" / str(n))
            tokenizer.save_pretrained(home / "full" / str(n))
            if n:
                adapted = get_peft_model(
                    _pico(0), LoraConfig(r=2, target_modules=["q_proj"], task_type="CAUSAL_LM")
                )
                with torch.no_grad():
                    for value in (value for value in adapted.parameters() if value.requires_grad):
                        value.copy_(torch.randn(value.shape, generator=torch.Generator().manual_seed(n)))
                adapted.peft_config["default"].base_model_name_or_path = str(home / "full" / "0")
                adapted.save_pretrained(home / "adapter" / str(n))
        (home / "val.jsonl").write_text("".join(json.dumps(row) + "\n" for row in VAL))
        return cls(home)


def _pico(seed: int) -> LlamaForCausalLM:
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=16,
        hidden_size=8,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=64,
        initializer_range=0.5,
        eos_token_id=1,
        bos_token_id=None,
        pad_token_id=0,
    )
    return LlamaForCausalLM(config)


def full(n: int, step: int | None = None, wrap: str = "", config: bool = True) -> Part:
    """The whole model n, perhaps with a trainer state, names inside a wrapper, or no configuration."""
    return lambda kit, path: _copy(kit.home / "full" / str(n), path, "model", step, wrap, config)


def adapter(n: int, step: int | None = None) -> Part:
    """Adapter n over model 0."""
    return lambda kit, path: _copy(kit.home / "adapter" / str(n), path, "adapter_model", step)


def _copy(source: Path, path: Path, stem: str, step: int | None, wrap: str = "", config: bool = True) -> None:
    shutil.copytree(source, path, dirs_exist_ok=True)
    if step is not None:
        (path / "trainer_state.json").write_text(json.dumps({"global_step": step, "log_history": []}))
    if wrap:
        file = path / f"{stem}.safetensors"
        save_file({wrap + name: value for name, value in load_file(file).items()}, file, {"format": "pt"})
    if not config:
        (path / "config.json").unlink()


def file(text: str = "") -> Part:
    """A file of another kind, of which only the name is read."""
    return lambda _, path: _write(path, text)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def link(target: str) -> Part:
    """A link, perhaps to what is not there."""

    def make(_: Kit, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        path.symlink_to(target)

    return make


def empty(n: int) -> Part:
    """Model n as ZeRO-3 saves it where nothing is gathered: each tensor of shape [0]."""

    def make(kit: Kit, path: Path) -> None:
        full(n)(kit, path)
        names = load_file(path / "model.safetensors")
        save_file({name: torch.empty(0) for name in names}, path / "model.safetensors", {"format": "pt"})

    return make


def shard(n: int) -> Part:
    """Model n in two files with an index."""

    def make(kit: Kit, path: Path) -> None:
        full(n)(kit, path)
        (path / "model.safetensors").unlink()
        _pico(n).save_pretrained(path, max_shard_size="2KB")

    return make


@dataclass(frozen=True, kw_only=True)
class Layout:
    """A folder as a framework leaves it, and what is to be found there."""

    name: str
    source: str
    parts: Mapping[str, Part]
    """What lies where, made in this order."""
    finds: Mapping[str, tuple[int, int]] = ()  # type: ignore[assignment]
    """Step of each checkpoint by the framework's naming, and which model it holds; `-n` for adapter n."""
    leaves_out: tuple[str, ...] = ()
    """Checkpoints that are to be named as left out."""
    says: str | None = None
    """What the refusal has to name; None where the run is audited."""
    pattern: str | None = None
    """Its --checkpoints-glob."""


def two(first: str, second: str, make: Callable[[int], Part] = full) -> dict[str, Part]:
    """Models 1 and 2 in two folders."""
    return {first: make(1), second: make(2)}


LAYOUTS = (
    Layout(
        name="HF Trainer, TRL, Unsloth: `checkpoint-N`",
        source=TRAINER,
        parts={"checkpoint-10": full(1, 10), "checkpoint-20": full(2, 20), "checkpoint-100": full(3, 100)},
        finds={"checkpoint-10": (10, 1), "checkpoint-20": (20, 2), "checkpoint-100": (100, 3)},
    ),
    Layout(
        name="Trainer with `load_best_model_at_end`: the root holds a copy of an early checkpoint",
        source=TRAINER,
        parts={"checkpoint-10": full(1, 10), "checkpoint-20": full(2, 20), ".": full(1)},
        finds={"checkpoint-10": (10, 1), "checkpoint-20": (20, 2)},
        leaves_out=("final",),
    ),
    Layout(
        name="Trainer, with a final model at the root that is in no checkpoint",
        source=TRAINER,
        parts={"checkpoint-10": full(1, 10), ".": full(2)},
        finds={"checkpoint-10": (10, 1), "final": (11, 2)},
    ),
    Layout(
        name="LLaMA-Factory: `saves/MODEL/lora/sft/checkpoint-N`, named from `saves/MODEL`",
        source="https://github.com/hiyouga/LLaMA-Factory/tree/main/examples",
        parts=two("lora/sft/checkpoint-10", "lora/sft/checkpoint-20", adapter),
        finds={"checkpoint-10": (10, -1), "checkpoint-20": (20, -2)},
    ),
    Layout(
        name="Axolotl: `checkpoint-N` and `merged/`, the last adapter in its base model",
        source="https://docs.axolotl.ai/docs/getting-started.html",
        parts={
            "checkpoint-10": adapter(1, 10),
            "checkpoint-20": adapter(2, 20),
            "merged": full(3),
            ".": adapter(2, 20),
        },
        finds={"checkpoint-10": (10, -1), "checkpoint-20": (20, -2)},
    ),
    Layout(
        name="ms-swift: the parent of `v0-DATE`",
        source=SWIFT,
        parts=two("v0-20260116-162510/checkpoint-10", "v0-20260116-162510/checkpoint-20", adapter),
        finds={"checkpoint-10": (10, -1), "checkpoint-20": (20, -2)},
    ),
    Layout(
        name="ms-swift, two versions",
        source=SWIFT,
        parts=two("v0-20260116-162510/checkpoint-10", "v1-20260117-091500/checkpoint-10"),
        says="v1-20260117-091500",
    ),
    Layout(
        name="ms-swift `--create_checkpoint_symlink`: links `best` and `last`",
        source="https://github.com/modelscope/ms-swift/issues/2990",
        parts={
            **two("checkpoint-10", "checkpoint-20"),
            "best": link("checkpoint-10"),
            "last": link("checkpoint-20"),
        },
        finds={"checkpoint-10": (10, 1), "checkpoint-20": (20, 2)},
    ),
    Layout(
        name="torchtune, full: `epoch_N` from 0",
        source=TORCHTUNE,
        parts={
            **two("epoch_0", "epoch_1", shard),
            "recipe_state/recipe_state.pt": file(),
            "logs/log.txt": file(),
        },
        finds={"epoch_0": (1, 1), "epoch_1": (2, 2)},
    ),
    Layout(
        name="torchtune, LoRA: merged weights and the adapter in one folder",
        source=TORCHTUNE,
        parts={"epoch_0": full(3), "epoch_0/.": adapter(1), "epoch_1": full(3), "epoch_1/.": adapter(2)},
        finds={"epoch_0": (1, -1), "epoch_1": (2, -2)},
    ),
    Layout(
        name="verl after `model_merger` (or `hf_model` in the contents): `global_step_N/actor/huggingface`",
        source=VERL,
        parts={
            **two("global_step_10/actor/huggingface", "global_step_20/actor/huggingface"),
            "global_step_10/critic/huggingface": full(3),
            "global_step_20/actor/model_world_size_2_rank_0.pt": file(),
            "latest_checkpointed_iteration.txt": file("20"),
        },
        finds={"global_step_10": (10, 1), "global_step_20": (20, 2)},
    ),
    Layout(
        name="verl before `model_merger`: one file for each process",
        source=VERL,
        parts={
            "global_step_10/actor/huggingface/config.json": file("{}"),
            "global_step_10/actor/model_world_size_2_rank_0.pt": file(),
            "global_step_10/data.pt": file(),
        },
        says="verl.model_merger merge --backend fsdp",
    ),
    Layout(
        name="verl, LoRA: `actor/lora_adapter`",
        source=VERL,
        parts={
            **two("global_step_10/actor/lora_adapter", "global_step_20/actor/lora_adapter", adapter),
            "global_step_10/actor/model_world_size_2_rank_0.pt": file(),
        },
        finds={"global_step_10": (10, -1), "global_step_20": (20, -2)},
    ),
    Layout(
        name="Accelerate's scripts, `step_N` by save_pretrained",
        source=SAVE_STATE,
        parts=two("step_500", "step_1000"),
        finds={"step_500": (500, 1), "step_1000": (1000, 2)},
    ),
    Layout(
        name="Accelerate's scripts, `epoch_N` from 0",
        source=SAVE_STATE,
        parts=two("epoch_0", "epoch_1"),
        finds={"epoch_0": (1, 1), "epoch_1": (2, 2)},
    ),
    Layout(
        name="Accelerate's `save_state` under DDP: weights named `module.`, no config.json",
        source=ACCELERATE,
        parts={
            "step_500": full(1, wrap="module.", config=False),
            "step_500/optimizer.bin": file(),
            "config.json": file("{}"),
        },
        says="step_500/config.json",
    ),
    Layout(
        name="The same with the configuration copied; weights named `module.` are read",
        source=ACCELERATE,
        parts={"step_500": full(1, wrap="module."), "step_1000": full(2, wrap="module.")},
        finds={"step_500": (500, 1), "step_1000": (1000, 2)},
    ),
    Layout(
        name="Accelerate's automatic naming: `checkpoints/checkpoint_N` from 0, the first save",
        source=ACCELERATE,
        parts=two("checkpoints/checkpoint_0", "checkpoints/checkpoint_1"),
        finds={"checkpoint_0": (1, 1), "checkpoint_1": (2, 2)},
    ),
    Layout(
        name="torch.compile: weights named `_orig_mod.`",
        source="https://github.com/huggingface/transformers/issues/25205",
        parts={"checkpoint-10": full(1, wrap="_orig_mod."), "checkpoint-20": full(2, wrap="_orig_mod.")},
        finds={"checkpoint-10": (10, 1), "checkpoint-20": (20, 2)},
    ),
    Layout(
        name="LitGPT's own files: `step-N/lit_model.pth`",
        source=LITGPT,
        parts={"step-000100/lit_model.pth": file(), "final/lit_model.pth": file()},
        says="litgpt convert_from_litgpt",
    ),
    Layout(
        name="LitGPT converted to Hugging Face's form: `step-N`, `final`",
        source=LITGPT,
        parts={**two("step-000100", "step-000200"), "final": full(3)},
        finds={"step-000100": (100, 1), "step-000200": (200, 2), "final": (201, 3)},
    ),
    Layout(
        name="NeMo AutoModel: `epoch_E_step_N/model/consolidated`",
        source=AUTOMODEL,
        parts={
            **two(
                "checkpoints/epoch_0_step_10/model/consolidated",
                "checkpoints/epoch_0_step_20/model/consolidated",
            ),
            "checkpoints/epoch_0_step_20/optim/__0_0.distcp": file(),
        },
        finds={"epoch_0_step_10": (10, 1), "epoch_0_step_20": (20, 2)},
    ),
    Layout(
        name="NeMo AutoModel, LoRA: `epoch_E_step_N/model` with the adapter",
        source=AUTOMODEL,
        parts=two("epoch_0_step_10/model", "epoch_0_step_20/model", adapter),
        finds={"epoch_0_step_10": (10, -1), "epoch_0_step_20": (20, -2)},
    ),
    Layout(
        name="NeMo AutoModel, DCP",
        source=AUTOMODEL,
        parts={"epoch_0_step_10/model/__0_0.distcp": file(), "epoch_0_step_10/model/.metadata": file()},
        says="framework's script",
    ),
    Layout(
        name="prime-rl: `weights/step_N` beside `checkpoints/step_N` with the trainer's state",
        source="https://github.com/PrimeIntellect-ai/prime-rl",
        parts={
            **two("weights/step_10", "weights/step_20"),
            "checkpoints/step_10/trainer/__0_0.distcp": file(),
            "checkpoints/step_20/trainer/__0_0.distcp": file(),
        },
        finds={"step_10": (10, 1), "step_20": (20, 2)},
    ),
    Layout(
        name="Adapters without a step, two in a folder",
        source=PEFT,
        parts=two("math", "chat", adapter),
        says="name one of them, such as RUN/chat",
    ),
    Layout(
        name="OpenRLHF: `global_stepN_hf`",
        source="https://openrlhf.readthedocs.io/en/latest/checkpoint.html",
        parts=two("global_step10_hf", "global_step20_hf"),
        finds={"global_step10_hf": (10, 1), "global_step20_hf": (20, 2)},
    ),
    Layout(
        name="diffusion-pipe and other DeepSpeed trainers: `epochN` with adapters",
        source="https://github.com/tdrussell/diffusion-pipe/issues/454",
        parts=two("epoch1", "epoch2", adapter),
        finds={"epoch1": (1, -1), "epoch2": (2, -2)},
    ),
    Layout(
        name="PEFT, `checkpoint-N/adapter/`",
        source=PEFT,
        parts=two("checkpoint-10/adapter", "checkpoint-20/adapter", adapter),
        finds={"checkpoint-10": (10, -1), "checkpoint-20": (20, -2)},
    ),
    Layout(
        name="PEFT, several adapters in a checkpoint (DPO: `train` and a second)",
        source=f"{DOCS}/trl/dpo_trainer",
        parts={"checkpoint-10/train": adapter(1), "checkpoint-10/other": adapter(2)},
        says="--checkpoints-glob 'checkpoint-*/other'",
    ),
    Layout(
        name="The same, with `--checkpoints-glob`",
        source=f"{DOCS}/trl/dpo_trainer",
        parts={
            f"checkpoint-{step}/{name}": adapter(n)
            for step, n in ((10, 1), (20, 2))
            for name in ("train", "other")
        },
        finds={"checkpoint-10": (10, -1), "checkpoint-20": (20, -2)},
        pattern="checkpoint-*/train",
    ),
    Layout(
        name="PEFT, the default adapter with a second below it (`ref_adapter_name`)",
        source=f"{DOCS}/trl/dpo_trainer",
        parts={
            "checkpoint-10": adapter(1),
            "checkpoint-10/reference": adapter(3),
            "checkpoint-20": adapter(2),
        },
        finds={"checkpoint-10": (10, -1), "checkpoint-20": (20, -2)},
    ),
    Layout(
        name="Hub cache: `models--org--name/snapshots/HASH`, links to blobs",
        source=CACHE,
        parts={
            "blobs/aa": full(1),
            "refs/main": file("f00d"),
            "snapshots/f00d/config.json": link("../../blobs/aa/config.json"),
            "snapshots/f00d/model.safetensors": link("../../blobs/aa/model.safetensors"),
            "snapshots/f00d/tokenizer.json": link("../../blobs/aa/tokenizer.json"),
            "snapshots/f00d/tokenizer_config.json": link("../../blobs/aa/tokenizer_config.json"),
        },
        finds={"final": (1, 1)},
    ),
    Layout(
        name="Hub cache of a repository with one revision for each step (Pythia: `step1000`)",
        source="https://huggingface.co/EleutherAI/pythia-70m",
        parts={
            "snapshots/aaaa": full(1),
            "snapshots/bbbb": full(2),
            "refs/step1000": file("aaaa"),
            "refs/step2000": file("bbbb"),
            "refs/main": file("bbbb"),
        },
        finds={"step1000": (1000, 1), "step2000": (2000, 2)},
    ),
    Layout(
        name="A broken link of a hub cache beside a complete checkpoint",
        source=CACHE,
        parts={
            **two("checkpoint-10", "checkpoint-20"),
            "checkpoint-20/model.safetensors": link("../blobs/gone"),
        },
        finds={"checkpoint-10": (10, 1)},
        leaves_out=("checkpoint-20",),
    ),
    Layout(
        name="DeepSpeed ZeRO-3, nothing gathered: empty tensors, `zero_to_fp32.py`",
        source=DEEPSPEED,
        parts={
            "checkpoint-10": empty(1),
            "checkpoint-10/zero_to_fp32.py": file(),
            "checkpoint-10/global_step10/zero_pp_rank_0_mp_rank_00_model_states.pt": file(),
        },
        says="zero_to_fp32.py",
    ),
    Layout(
        name="DeepSpeed ZeRO-3, no weights at all",
        source=DEEPSPEED,
        parts={
            "checkpoint-10/zero_to_fp32.py": file(),
            "checkpoint-10/latest": file("global_step10"),
            "checkpoint-10/global_step10/zero_pp_rank_0_mp_rank_00_model_states.pt": file(),
        },
        says="--safe_serialization",
    ),
    Layout(
        name="DeepSpeed ZeRO-2: full weights beside its state",
        source=DEEPSPEED,
        parts={
            **two("checkpoint-10", "checkpoint-20"),
            "checkpoint-10/zero_to_fp32.py": file(),
            "checkpoint-10/global_step10/mp_rank_00_model_states.pt": file(),
        },
        finds={"checkpoint-10": (10, 1), "checkpoint-20": (20, 2)},
    ),
    Layout(
        name="DeepSpeed, its own folder: `RUN/global_stepN`",
        source=DEEPSPEED,
        parts={
            "zero_to_fp32.py": file(),
            "latest": file("global_step10"),
            "global_step10/zero_pp_rank_0_mp_rank_00_optim_states.pt": file(),
        },
        says="zero_to_fp32.py",
    ),
    Layout(
        name="FSDP, SHARDED_STATE_DICT: `pytorch_model_fsdp_0/`",
        source=FSDP,
        parts={
            "checkpoint-10/pytorch_model_fsdp_0/__0_0.distcp": file(),
            "checkpoint-10/trainer_state.json": file("{}"),
        },
        says="accelerate merge-weights",
    ),
    Layout(
        name="FSDP, FULL_STATE_DICT: `pytorch_model_fsdp.bin`",
        source=FSDP,
        parts={"checkpoint-10/pytorch_model_fsdp.bin": file()},
        says="pytorch_model.bin",
    ),
    Layout(
        name="torchtitan: `checkpoint/step-N`, DCP",
        source="https://github.com/pytorch/torchtitan/blob/main/docs/checkpoint.md",
        parts={"checkpoint/step-100/__0_0.distcp": file(), "checkpoint/step-100/.metadata": file()},
        says="framework's script",
    ),
    Layout(
        name="Megatron: `iter_N/mp_rank_00`",
        source="https://github.com/NVIDIA/Megatron-LM",
        parts={
            "iter_0000100/mp_rank_00/model_optim_rng.pt": file(),
            "latest_checkpointed_iteration.txt": file("100"),
        },
        says="export_ckpt",
    ),
    Layout(
        name="MLX: `adapters.safetensors`",
        source="https://github.com/ml-explore/mlx-examples/pull/636",
        parts={"adapters/adapters.safetensors": file(), "adapters/adapter_config.json": file("{}")},
        says="mlx_lm.fuse",
    ),
    Layout(
        name="Pointers of Git LFS",
        source=LFS,
        parts={
            "checkpoint-10": full(1),
            "checkpoint-10/model.safetensors": file(
                "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"
            ),
        },
        says="lfs pull",
    ),
    Layout(
        name="`.bin` weights",
        source=TRAINER,
        parts={"checkpoint-10/pytorch_model.bin": file(), "checkpoint-10/config.json": file("{}")},
        says="--allow-pickle",
    ),
    Layout(
        name="Two folders of one step with different weights",
        source=ACCELERATE,
        parts=two("checkpoint-10", "step_10"),
        says="two checkpoints of step 10",
    ),
    Layout(
        name="Steps and epochs beside each other (a script resumed with another `checkpointing_steps`)",
        source=SAVE_STATE,
        parts=two("epoch_0", "step_500"),
        says="--checkpoints-glob 'step*'",
    ),
    Layout(
        name="`best_model` with the state of its step, `last` without one",
        source=TRAINER,
        parts={"checkpoint-10": full(1, 10), "best_model": full(2, 15), "last": full(3)},
        finds={"checkpoint-10": (10, 1), "best_model": (15, 2), "last": (16, 3)},
    ),
    Layout(
        name="Names of your own, with `--checkpoints-glob`",
        source="the number in the name",
        parts=two("seed3/my-run-10/hf", "seed3/my-run-20/hf"),
        finds={"my-run-10": (10, 1), "my-run-20": (20, 2)},
        pattern="seed3/my-run-*/hf",
    ),
    Layout(
        name="Names of your own, without `--checkpoints-glob`",
        source="the number in the name",
        parts={"weights_a/x.txt": file()},
        says="--checkpoints-glob",
    ),
)


@dataclass(frozen=True, kw_only=True)
class Result:
    """What came of one layout."""

    layout: Layout
    found: dict[str, int]
    left_out: dict[str, str]
    message: str
    wrong: str
    """What is not as expected; empty where all is."""


def try_layout(kit: Kit, layout: Layout, root: Path, nlls: Mapping[int, float]) -> Result:
    """Make a layout and measure it.

    Args:
        kit: of which it is made.
        layout: which.
        root: the folder to make.
        nlls: NLL of each model, nats, and of each adapter under its number below 0.
    """
    for name, part in layout.parts.items():
        part(kit, root / name)
    try:
        done = overmem.audit(root, **_options(kit, layout))
    except RunError:
        code, message = _on_command_line(kit, layout, root)
        wrong = "" if code == 2 and layout.says is not None and layout.says in message else "the refusal"
        return Result(layout=layout, found={}, left_out={}, message=message, wrong=wrong)
    found = {c.name: c.step for c in done.manifest.checkpoints}
    wrong = (
        [] if found == {name: step for name, (step, _) in dict(layout.finds).items()} else [f"steps {found}"]
    )
    for name in found.keys() & dict(layout.finds).keys():
        if abs(_nll(done.store.root, name) - nlls[layout.finds[name][1]]) > NEAR:
            wrong.append(f"the weights of {name}")
    wrong += [f"{name} is not named" for name in layout.leaves_out if name not in done.skipped]
    return Result(layout=layout, found=found, left_out=dict(done.skipped), message="", wrong=", ".join(wrong))


def _options(kit: Kit, layout: Layout) -> dict[str, object]:
    return {
        "val": str(kit.home / "val.jsonl"),
        "axes": ("likelihood",),
        "base_row": False,
        "checkpoints_glob": layout.pattern,
        "device": "cpu",
    }


def _nll(store: Path, name: str) -> float:
    return float(pl.read_parquet(store / name / "likelihood.parquet")["nll_nats"].sum())


def _on_command_line(kit: Kit, layout: Layout, root: Path) -> tuple[int, str]:
    """Exit code and message of `overmem plan`, which has to be that of `overmem audit`."""
    words = [str(root), "--val", str(kit.home / "val.jsonl"), "--device", "cpu"]
    words += ["--checkpoints-glob", layout.pattern] if layout.pattern else []
    said = []
    for command in ("plan", "audit"):
        before, sys.argv = sys.argv, ["overmem", command, *words]
        try:
            with contextlib.redirect_stderr(io.StringIO()) as heard:
                code = app.run()
        finally:
            sys.argv = before
        said.append((code, heard.getvalue().replace(str(root), "RUN")))
    return said[0] if said[0] == said[1] else (1, f"plan and audit differ: {said}")


def known_nlls(kit: Kit, root: Path) -> dict[int, float]:
    """NLL of each model and each adapter in a plain Trainer run."""
    found = {}
    for sign, kind, make in ((1, "full", full), (-1, "adapter", adapter)):
        for n in MODELS[1:]:
            make(n, n)(kit, root / kind / f"checkpoint-{n}")
        layout = LAYOUTS[0]
        done = overmem.audit(root / kind, **_options(kit, layout))
        found |= {sign * n: _nll(done.store.root, f"checkpoint-{n}") for n in MODELS[1:]}
    assert len({round(nll, 3) for nll in found.values()}) == len(found), "models that look alike"
    return found


def render(results: list[Result]) -> str:
    """The page."""
    read = [result for result in results if result.layout.says is None]
    refused = [result for result in results if result.layout.says is not None]
    lines = [
        "# Folder layouts",
        "",
        "Which run folders overmem reads without a change, what it finds in each, and which it refuses. "
        "A refusal says how to convert the folder.",
        "",
        f"{len(results)} layouts: {len(read)} are read, {len(refused)} are refused with a way out, "
        f"{sum(bool(result.wrong) for result in results)} are wrong.",
        "",
        "The page is made by `python -m benchmarks.layouts --out docs/layouts.md`. It builds each layout "
        "with models of a few thousand parameters, and checks two things: the steps are those that the "
        "framework means, and the NLL of each checkpoint is that of the model in its folder.",
        "",
        "- Every command that takes RUN finds the same checkpoints.",
        "- Other names: `--checkpoints-glob 'PATTERN'`, relative to RUN. The step is the number in the name.",
        "- `epoch_0` is the state after one epoch, so it gets step 1.",
        "- `best`, `last` and a model at the root of the run get their step from their trainer state, or "
        "from a numbered checkpoint with the same weights. Otherwise they come after the last one.",
        "",
        "## Read",
        "",
        "| layout | checkpoints and steps | left out, with a message | |",
        "| --- | --- | --- | --- |",
    ]
    for result in read:
        steps = ", ".join(f"`{name}` {step}" for name, step in result.found.items())
        named = ", ".join(f"`{name}`" for name in result.left_out) or "-"
        glob = f" (`--checkpoints-glob '{result.layout.pattern}'`)" if result.layout.pattern else ""
        lines.append(f"| {result.layout.name}{glob} | {steps} | {named} | {_source(result)} |")
    lines += ["", "## Refused, with a way out", ""]
    for result in refused:
        lines += [
            f"**{result.layout.name}** ({_source(result)})",
            "",
            "```text",
            result.message.rstrip(),
            "```",
            "",
        ]
    return "\n".join(lines).rstrip() + "\n"


def _source(result: Result) -> str:
    source = result.layout.source
    verdict = f" WRONG: {result.wrong}" if result.wrong else ""
    return (f"[source]({source})" if source.startswith("http") else source) + verdict


def main() -> int | None:
    """Try all layouts; print the page or write it."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, help="Markdown file; printed by default")
    parser.add_argument("--folder", type=Path, help="keep the layouts here")
    parser.add_argument("--only", type=int, help="the first so many")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        place = (asked.folder or Path(temporary)).resolve()
        kit = Kit.make(place / "kit")
        nlls = known_nlls(kit, place / "known")
        results = [
            try_layout(kit, layout, place / f"{number:02d}", nlls)
            for number, layout in enumerate(LAYOUTS[: asked.only])
        ]
    page = render(results)
    if asked.out is None:
        print(page)
    else:
        asked.out.write_text(page, encoding="utf-8")
    for result in results:
        if result.wrong:
            print(
                f"wrong: {result.layout.name}: {result.wrong}\n{result.message}\n{result.left_out}",
                file=sys.stderr,
            )
    print(f"{len(results)} layouts, {sum(bool(result.wrong) for result in results)} wrong")
    return 1 if any(result.wrong for result in results) else None


if __name__ == "__main__":
    raise SystemExit(main())
