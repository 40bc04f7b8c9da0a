"""The sentences about a staircase: its steps, the gap, one more epoch, and what to log next time."""

from __future__ import annotations

import math
from typing import Literal

from overmem.formatting import epochs_text
from overmem.logs.train_loss.trouble import NEAR_ZERO
from overmem.records.logged import LoggedFinding
from overmem.stats.staircase import Staircase
from overmem.stats.unseen_gap import UnseenGap

LARGE = 0.1
"""Nats: a gap that is surely above it is a warning."""
_MOST_SAID = 10
"""Steps that a sentence lists."""
_NO_CLOSER = "The training loss alone cannot say more precisely; one evaluation on held-out rows can."
_LOG_NEXT_TIME = (
    "Next time hold out rows that are not trained on, 400 or more, and evaluate after each epoch: "
    '`eval_strategy="epoch"` with an `eval_dataset` (Transformers, TRL), `val_size: 0.05` and '
    "`eval_strategy: epoch` (LLaMA-Factory), `val_set_size: 0.05` and `evals_per_epoch: 1` (Axolotl). Set "
    "`logging_steps` such that an epoch has 20 rows or more, and save as often as you evaluate."
)


def unit_of(language_model: bool) -> str:
    """The unit of a gap; that of a language model is a token's."""
    return "nats a token" if language_model else "nats"


def say_steps(stairs: Staircase, clear: bool) -> LoggedFinding:
    """The falls at epoch boundaries.

    Args:
        stairs: the fit.
        clear: whether they stand out from the noise.
    """
    falls, total = stairs.steps, sum(stairs.steps)
    said = ", ".join(f"{fall:z.2f}" for fall in falls[:_MOST_SAID])
    said += ", ..." if len(falls) > _MOST_SAID else ""
    where = "epoch 2" if len(falls) == 1 else f"epochs 2 to {len(falls) + 1}"
    if not clear:
        text = (
            f"No staircase: at the start of {where} the training loss (now {stairs.level:.2f}) falls by "
            f"{said}, no more than its noise and its trend explain."
        )
        return _finding("no_staircase", text)
    whole = stairs.unseen_then - stairs.level
    within = "by next to nothing" if total > 0.8 * whole else f"by {whole - total:.2f} in all"
    text = (
        f"Staircase: the training loss falls by {said} at the start of {where}, where rows come back that "
        f"were seen before ({total:.2f} in all); within the epochs after the first it falls {within}. A "
        "fall at the boundary is memorization of the rows more than better prediction of new text."
    )
    return _finding("staircase", text, "warning")


def say_gap(stairs: Staircase, gap: UnseenGap, epochs: float, language_model: bool) -> LoggedFinding:
    """The gap to unseen text, as an interval first."""
    unit = unit_of(language_model)
    when = f"after {epochs_text(epochs)}"
    if not math.isfinite(gap.middle):
        text = (
            f"Gap to unseen text {when}: at most {gap.high:.2f} {unit} (95% confidence), and perhaps none. "
            f"{_NO_CLOSER}"
        )
        return _finding("train_gap", text)
    text = (
        f"Gap to unseen text {when}: between {gap.low:.2f} and {gap.high:.2f} {unit} (90% interval). "
        f"{_NO_CLOSER}"
    )
    if language_model:
        text += (
            f" So the perplexity on new text is about {math.exp(gap.low):.2f} to {math.exp(gap.high):.2f} "
            "times that on the training text."
        )
    if stairs.level < 4 * NEAR_ZERO:
        text += (
            " Where the training loss is so low, the loss on new text often rises: then the gap is larger."
        )
    return _finding("train_gap", text, "warning" if gap.low > LARGE else "note")


def say_next_epoch(gap: UnseenGap, clear: bool) -> LoggedFinding:
    """What one more epoch would buy.

    Args:
        gap: the estimate.
        clear: whether the falls at epoch boundaries stand out from the noise.
    """
    text = "One more epoch at the last one's learning rate would lower the training loss by "
    if gap.next_fall < 0.01:
        text += "less than 0.01."
    elif clear:
        text += f"about {gap.next_fall:.2f}, about {gap.next_memorized:.2f} of it by memorizing these rows."
    else:
        text += f"{gap.next_fall:.2f} or so; how much of it by memorizing these rows cannot be told."
    return _finding("next_epoch", text)


def say_cannot_tell(reason: str) -> LoggedFinding:
    """That the gap cannot be told, and why."""
    return _finding("train_gap", f"Gap to unseen text: cannot tell, since {reason}.")


def say_advice() -> LoggedFinding:
    """What to log next time."""
    return _finding("log_next_time", _LOG_NEXT_TIME)


def _finding(
    kind: str, sentence: str, severity: Literal["problem", "warning", "note"] = "note"
) -> LoggedFinding:
    return LoggedFinding(kind=kind, severity=severity, sentence=sentence)
