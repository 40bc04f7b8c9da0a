"""Which folder names say at which step, or after which epoch, a checkpoint was saved.

The names that frameworks give, without regard to case; anything else is found with `--checkpoints-glob`:

    checkpoint-300, ckpt-300      HF Trainer and what is built on it (TRL, Axolotl, LLaMA-Factory, ms-swift)
    step_300, step-000300         Accelerate's scripts, LitGPT, torchtitan, prime-rl
    checkpoint_3                  Accelerate's automatic naming: the fourth save
    global_step_300               verl, SkyRL; global_step300_hf: OpenRLHF
    iter_0000300                  Megatron
    epoch_2                       torchtune, Accelerate's scripts: counted from 0
    epoch_2_step_300              NeMo AutoModel; epoch=2-step=300: Lightning; ep2-ba300: Composer
    best, final, last, latest     no step: placed by their trainer state or their weights
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

Unit = Literal["step", "epoch"]
_PART = (
    r"(?P<{name}>checkpoint|ckpt|global_?steps?|steps?|iter(?:ation)?|update|ba|epoch|ep)"
    r"[-_=]?(?P<{n}>\d{{1,15}})"
)
_NUMBERED = re.compile(
    r"(?:(?:checkpoint|ckpt|model)[-_])?"
    + _PART.format(name="first", n="n_first")
    + r"(?:[-_]"
    + _PART.format(name="second", n="n_second")
    + r")?(?:[-_](?:hf|huggingface|unsharded|tokens\w+))?",
    re.IGNORECASE,
)
_NAMED = re.compile(
    r"(?:(?:checkpoint|ckpt|model)[-_])?(?:best|final|last|latest)(?:[-_](?:model|checkpoint|ckpt|adapter|hf))*",
    re.IGNORECASE,
)
_ALMOST = re.compile(r"(?:checkpoint|ckpt|global_?step|step|epoch|iter)s?[-_=]?\d", re.IGNORECASE)
_NUMBER = re.compile(r"\d{1,15}(?!\d)")


@dataclass(frozen=True)
class Numbered:
    """The number in a folder's name, and what it counts."""

    number: int
    unit: Unit


def read_number(name: str) -> Numbered | None:
    """The step that a folder's name says, else the epoch; None where it is no checkpoint's name."""
    match = _NUMBERED.fullmatch(name)
    if match is None:
        return None
    found = [
        Numbered(int(match[f"n_{part}"]), "epoch" if match[part].lower() in ("epoch", "ep") else "step")
        for part in ("first", "second")
        if match[part]
    ]
    return next((part for part in found if part.unit == "step"), found[0])


def is_named(name: str) -> bool:
    """Whether a folder's name says which checkpoint it is without a number: `best`, `final`, `last`."""
    return _NAMED.fullmatch(name) is not None


def looks_numbered(name: str) -> bool:
    """Whether a name begins as a checkpoint's and goes on otherwise, such as `checkpoint-10-merged`."""
    return _ALMOST.match(name) is not None


def numbers_in(name: str) -> list[int]:
    """All numbers of a name, the last first; that of `read_number` comes before them."""
    known = read_number(name)
    found = [int(digits) for digits in reversed(_NUMBER.findall(name))]
    return found if known is None else [known.number, *found]
