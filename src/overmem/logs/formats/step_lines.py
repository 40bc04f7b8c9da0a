"""Logs of a line a step: torchtune's files, Megatron-LM's and nanoGPT's output.

Source: torchtune 0.6 writes `Step 10 | loss:1.5 lr:2e-05`; Megatron-LM prints `iteration 10/ 300 | ... |
lm loss: 1.5E+00 |` and `validation loss at iteration 10 | lm loss value: 1.6E+00 |`; nanoGPT prints
`iter 10: loss 1.5, ...` and, evaluated on both splits, `step 10: train loss 1.5, val loss 1.6`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from overmem.errors import RunError
from overmem.logs.formats.files import decode, read_log_text
from overmem.logs.formats.rows import Row, histories, is_a_log, number_of, trainer_key
from overmem.logs.history import LoggedHistory
from overmem.logs.states import first_bytes

ENDINGS = (".log", ".txt", ".out", ".err", "")
_NUMBER = r"([-+]?(?:\d[\d.]*(?:[eE][-+]?\d+)?|nan|inf))"
_TORCHTUNE = re.compile(r"^Step (\d+) \| (\S.*)$")
_PAIR = re.compile(r"([\w/]+):" + _NUMBER)
_MEGATRON = re.compile(r"\biteration +(\d+)/ *(\d+) \|(.*)$")
_MEGATRON_VALID = re.compile(r"validation loss at iteration (\d+)\b.*?\| lm loss value: *" + _NUMBER)
_OF_MEGATRON = {"lm loss": "loss", "learning rate": "learning_rate", "grad norm": "grad_norm"}
_NANOGPT = re.compile(r"^iter (\d+): loss " + _NUMBER)
_NANOGPT_BOTH = re.compile(rf"^step (\d+): train loss {_NUMBER}, val loss {_NUMBER}")


def recognizes(path: Path) -> bool:
    """Whether a path is a text with such a line in its first megabyte."""
    if path.is_dir() or path.suffix not in ENDINGS:
        return False
    start = decode(first_bytes(path, 1 << 20))
    return "\0" not in start and any(is_a_log(row) for row, _ in _rows(start))


def read(path: Path) -> tuple[LoggedHistory, ...]:
    """The runs in a file, one after another.

    Raises:
        RunError: no line of a step is in it.
    """
    found = list(_rows(read_log_text(path)))
    if not any(is_a_log(row) for row, _ in found):
        raise RunError(f"{path} holds no log of a training", got="a text without a line of a step's loss")
    planned = max((total for _, total in found if total is not None), default=None)
    return tuple(histories([row for row, _ in found], source=str(path), kind="console", max_steps=planned))


def _rows(text: str) -> Iterator[tuple[Row, int | None]]:
    """Rows under the Trainer's keys, and the planned steps where the line has them."""
    for line in text.splitlines():
        if (match := _TORCHTUNE.match(line)) is not None:
            pairs = {trainer_key(key): number_of(value) for key, value in _PAIR.findall(match[2])}
            if pairs:
                yield {"step": int(match[1]), **pairs}, None
        elif (match := _MEGATRON_VALID.search(line)) is not None:
            yield {"step": int(match[1]), "eval_loss": number_of(match[2])}, None
        elif (match := _MEGATRON.search(line)) is not None:
            parts = (part.partition(":") for part in match[3].split("|"))
            named = {name.strip(): value.strip() for name, _, value in parts}
            row = {key: number_of(named[name]) for name, key in _OF_MEGATRON.items() if name in named}
            yield {"step": int(match[1]), **row}, int(match[2])
        elif (match := _NANOGPT.match(line)) is not None:
            yield {"step": int(match[1]), "loss": number_of(match[2])}, None
        elif (match := _NANOGPT_BOTH.match(line)) is not None:
            both = {"eval_train_loss": number_of(match[2]), "eval_val_loss": number_of(match[3])}
            yield {"step": int(match[1]), **both}, None
