"""Checks on the arrays given to `judge`; each error names the value, what was expected and what to do.

Shape suffixes: S seeds, C checkpoints, N problems.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from overmem.errors import DataError, RunError
from overmem.stats.arrays import FloatArray, IntArray
from overmem.stats.groups import Groups


@dataclass(frozen=True, kw_only=True)
class Rows:
    """Measured rows that have passed every check."""

    steps_C: IntArray
    correct_S_C_N: FloatArray
    nll_nats_S_C_N: FloatArray
    n_tokens_N: FloatArray


def check_rows(
    steps: npt.ArrayLike, correct_C_N: npt.ArrayLike, nll_nats_C_N: npt.ArrayLike, n_tokens_N: npt.ArrayLike
) -> Rows:
    """Convert the arrays and refuse what no verdict can rest on.

    Args:
        steps: C optimizer steps.
        correct_C_N: correctness in [0, 1]; with a leading axis when there are several seeds.
        nll_nats_C_N: NLL summed over each completion, nats, not negative; likewise.
        n_tokens_N: completion tokens, at least 1.

    Returns:
        Rows with steps as integers and the rest as floats; one seed is S = 1.

    Raises:
        RunError: the steps are not those of two or more ordered checkpoints.
        DataError: shapes that do not match, or values that are not finite or out of range.
    """
    steps_C = _check_steps(steps)
    correct = _as_floats("correct_C_N", correct_C_N, 2, 3)
    nll = _as_floats("nll_nats_C_N", nll_nats_C_N, 2, 3)
    tokens = _as_floats("n_tokens_N", n_tokens_N, 1)
    seeds = correct.shape[:-2]
    expected = (*seeds, steps_C.size, tokens.size)
    for name, array in (("correct_C_N", correct), ("nll_nats_C_N", nll)):
        if array.shape != expected:
            raise DataError(
                f"{name} does not have one row a checkpoint and one column a problem",
                got=f"shape {array.shape}",
                expected=f"shape {expected}, from {steps_C.size} steps and {tokens.size} token counts",
                next_step="score the same problems, in the same order, on every checkpoint",
            )
    if tokens.size == 0:
        raise DataError(
            "there are no problems", got="0 columns", expected="at least 1", next_step="score some"
        )
    _check_range("correct_C_N", correct, 0.0, 1.0, "grade every answer between 0 (wrong) and 1 (right)")
    _check_range("nll_nats_C_N", nll, 0.0, np.inf, "pass sums of -log probability, which are never negative")
    _check_range("n_tokens_N", tokens, 1.0, np.inf, "leave out problems without completion tokens")
    shape = (-1, steps_C.size, tokens.size)
    return Rows(
        steps_C=steps_C,
        correct_S_C_N=correct.reshape(shape),
        nll_nats_S_C_N=nll.reshape(shape),
        n_tokens_N=tokens,
    )


def check_groups(labels: Sequence[Hashable] | npt.NDArray[np.generic] | None, n: int) -> Groups:
    """The groups that labels of problems make; without labels each problem is one of its own.

    Args:
        labels: one a problem, or None.
        n: problems.

    Raises:
        DataError: another number of labels, or a problem without one.
    """
    if labels is None:
        return Groups.of_one(n)
    known = np.asarray(labels).tolist() if isinstance(labels, np.ndarray) else list(labels)
    if len(known) != n or (isinstance(labels, np.ndarray) and labels.ndim != 1):
        raise DataError(
            "group does not have one label a problem",
            got=f"{len(known)} labels",
            expected=f"{n}, one for each column of correct_C_N",
            next_step="pass the labels in the order of the problems, or leave group out",
        )
    for position, label in enumerate(known):
        if label is None or label != label or not isinstance(label, Hashable):
            raise DataError(
                "a problem has no label of a group",
                got=f"{label!r} at {position}",
                expected="a text or a number, equal for the problems of one group",
                next_step="give a problem that stands alone a label of its own, such as its id",
            )
    return Groups.of(known)


def check_labels(
    names: Sequence[str] | None, epochs: Sequence[float | None] | None, steps_C: IntArray
) -> None:
    """Refuse names or epochs that cannot be matched with the checkpoints.

    Args:
        names: one name a checkpoint, all different, or None.
        epochs: one epoch a checkpoint (None where unknown), or None.
        steps_C: optimizer steps.

    Raises:
        RunError: a wrong count, or a name used twice.
    """
    for label, values in (("names", names), ("epochs", epochs)):
        if values is not None and len(values) != steps_C.size:
            raise RunError(
                f"{label} does not match the checkpoints",
                got=f"{len(values)} {label}",
                expected=f"{steps_C.size}, one for each step",
                next_step=f"pass one a checkpoint, or leave {label} out",
            )
    if names is not None and len(set(names)) != len(names):
        raise RunError(
            "two checkpoints have the same name",
            got=list(names),
            expected="unique names",
            next_step="rename one",
        )


def _check_steps(steps: npt.ArrayLike) -> IntArray:
    values = _as_floats("steps", steps, 1)
    if values.size < 2:
        raise RunError(
            "a run needs at least 2 checkpoints to be judged",
            got=f"{values.size} checkpoint(s)",
            expected="2 or more",
            next_step="save more often (save_strategy='epoch') and audit again",
        )
    if (values != np.round(values)).any() or (values < 0).any():
        raise RunError(
            "steps must be whole and not negative", got=values.tolist(), next_step="pass global_step"
        )
    wrong = np.flatnonzero(np.diff(values) <= 0)
    if wrong.size:
        first = int(wrong[0])
        raise RunError(
            "steps must increase from one checkpoint to the next",
            got=f"step {values[first]:.0f} followed by {values[first + 1]:.0f}",
            expected="sorted steps without duplicates",
            next_step="sort the checkpoints by step and keep one of each",
        )
    return values.astype(np.int64)


def _as_floats(name: str, values: npt.ArrayLike, *dimensions: int) -> FloatArray:
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(
            f"{name} is not a rectangular array of numbers", got=str(error), next_step="pass plain numbers"
        ) from error
    if array.ndim not in dimensions:
        raise DataError(
            f"{name} has the wrong number of dimensions",
            got=f"shape {array.shape}",
            expected=f"{' or '.join(map(str, dimensions))} dimension(s)",
            next_step="see the shape suffixes in the names",
        )
    if not np.isfinite(array).all():
        where = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
        raise DataError(
            f"{name} holds a value that is not finite",
            got=f"{array[where]} at {where}",
            expected="finite numbers",
            next_step="score that row again, or leave the problem out of every checkpoint",
        )
    return array


def _check_range(name: str, array: FloatArray, low: float, high: float, next_step: str) -> None:
    outside = (array < low) | (array > high)
    if outside.any():
        where = tuple(int(i) for i in np.argwhere(outside)[0])
        expected = f"at least {low:g}" if high == np.inf else f"between {low:g} and {high:g}"
        raise DataError(
            f"{name} holds a value out of range",
            got=f"{array[where]:g} at {where}",
            expected=expected,
            next_step=next_step,
        )
