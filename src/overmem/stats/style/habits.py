"""Habits of a writer: what nearly all training texts have or hardly any, and references that break them.

How far may references of one writer be from a habit? Parts of the training texts tell: each is compared with
what all others let expect, by topic, by length, and the shorter against the longer half. To the furthest of
them is added what training texts do against the habit themselves, if that is over 1%. References break it
when they are off by 1.5 times that, and besides by more than sampling may bring and than a least difference.
Lengths are allowed for: the share that is expected is a line over their logarithms, both as it is and held at
the ends of the training lengths, and only what lies outside of both counts.

Shares are compared as 2 arcsin(sqrt(p)), whose standard error is 1 / sqrt(n) at any p (Cohen 1988, h).

Shape suffixes: N training texts, M references, F features.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from overmem.stats.arrays import FloatArray, IntArray

RARE = 0.10
"""A habit is what at most this share of the training texts has, or what at most this share lacks."""
SLIPS = 0.01
"""Up to this share of training texts may break a habit at no cost."""
YARDSTICK = 1.5
"""Times the furthest part of training that references must be off."""
ERRORS = 4.0
"""Standard errors that references must be off besides; some thousand features are looked at."""
LEAST = 0.4
"""Least difference besides, as 2 arcsin(sqrt(p)): never against 4%; twice that at lengths training lacks."""
FEWEST_IN_PART = 15
_ENDS = (0.02, 0.98)


def broken_habits(
    trained_N_F: FloatArray,
    length_N: IntArray,
    asked_M_F: FloatArray,
    asked_length_M: IntArray,
    groupings: Sequence[IntArray],
) -> FloatArray:
    """By how much the references break each habit, beyond all that is allowed for.

    Args:
        trained_N_F: 1 where a training text has a feature, else 0.
        length_N: their lengths, at least 1.
        asked_M_F: the same of the references.
        asked_length_M: their lengths.
        groupings: groups of the training texts (N,), by topic and by length.

    Returns:
        Per feature: positive where training hardly has it and the references do, negative where training
        nearly always has it and references lack it, 0 where it is no habit or is not broken.
    """
    off_F = _off(trained_N_F, length_N, asked_M_F, asked_length_M)
    far_F = np.zeros(off_F.size)
    for group_N in groupings:
        for k in np.unique(group_N).tolist():
            part_N = group_N == k
            if min(part_N.sum(), (~part_N).sum()) < FEWEST_IN_PART:
                continue
            part_F = _off(trained_N_F[~part_N], length_N[~part_N], trained_N_F[part_N], length_N[part_N])
            far_F = np.maximum(far_F, np.abs(part_F) - part_N.sum() ** -0.5)
    unknown = outside(length_N, asked_length_M)
    share_F = trained_N_F.mean(axis=0)
    except_F = np.minimum(share_F, 1 - share_F)
    far_F += np.where(except_F > SLIPS, 2 * np.arcsin(np.sqrt(except_F)), 0.0)
    allowed_F = YARDSTICK * (1 + unknown) * far_F + _least(len(trained_N_F), len(asked_M_F), unknown)
    is_habit_F = np.where(off_F > 0, share_F <= RARE, share_F >= 1 - RARE)
    return np.asarray(np.where(is_habit_F, np.sign(off_F) * np.maximum(np.abs(off_F) - allowed_F, 0), 0.0))


def least_share(length_N: IntArray, asked_length_M: IntArray) -> float:
    """The least share of references that is seen when they have what no training text has, in [0, 1]."""
    m = asked_length_M.size
    least = _least(length_N.size, m, outside(length_N, asked_length_M)) + float(_arcsine(np.zeros(1), m)[0])
    return float(np.sin(min(least, np.pi) / 2) ** 2)


def outside(length_N: IntArray, asked_length_M: IntArray) -> float:
    """Share of the references that are shorter or longer than 98% of the training texts."""
    low, high = np.quantile(length_N, (0.01, 0.99))
    return float(((asked_length_M < low) | (asked_length_M > high)).mean())


def _least(n: int, m: int, unknown: float) -> float:
    return LEAST * (1 + unknown) + ERRORS * float(np.sqrt(1 / n + 1 / m))


def _off(
    known_N_F: FloatArray, length_N: IntArray, new_M_F: FloatArray, new_length_M: IntArray
) -> FloatArray:
    """How far the shares of new texts lie outside of what known ones let expect at these lengths (F,)."""
    low, high = np.quantile(length_N, _ENDS)
    held_N, held_M = (np.log(np.clip(length, low, high)) for length in (length_N, new_length_M))
    centre = held_N.mean()
    line_2_F = np.linalg.pinv(_line(held_N - centre)) @ known_N_F
    expected = [
        np.clip(_line(at_M - centre) @ line_2_F, 0, 1).mean(axis=0) for at_M in (held_M, np.log(new_length_M))
    ]
    m = len(new_M_F)
    shares = [_arcsine(share_F, m) for share_F in (*expected, new_M_F.mean(axis=0))]
    above_F, below_F = shares[2] - np.maximum(*shares[:2]), np.minimum(*shares[:2]) - shares[2]
    return np.asarray(np.maximum(above_F, 0) - np.maximum(below_F, 0))


def _line(at_M: FloatArray) -> FloatArray:
    return np.column_stack((np.ones(at_M.size), at_M))


def _arcsine(share_F: FloatArray, m: int) -> FloatArray:
    return np.asarray(2 * np.arcsin(np.sqrt((share_F * m + 0.25) / (m + 0.5))))
