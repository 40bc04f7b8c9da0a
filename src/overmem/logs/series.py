"""The evaluations of a log as series: each figure of each evaluation set, over the steps."""

from __future__ import annotations

import math
import re
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import median
from typing import Any

from overmem.logs.after_training import after_training
from overmem.logs.history import LoggedHistory, logged_number
from overmem.logs.metrics import NO_METRIC, base_name, lower_is_better
from overmem.logs.noise import FEWEST, band, binomial, residuals_used, roughness, too_few

_PREFIX = "eval_"
_MARKS = ("_loss", "_runtime", "_samples_per_second")
"""Ends of keys that every evaluation set has."""
PACKED = ("packing", "sample_packing", "neat_packing")
"""Settings of TRL and ms-swift, Axolotl, and LLaMA-Factory: evaluations then count blocks of examples."""
_TRAINED_ON = re.compile(r"(?i:train|training|trn)(?:[_ -]|$)")
"""Of `eval_dataset={"val": ..., "train": ...}` the second."""
_PARTS_OF_A_LOSS = ("nll", "aux", "sft", "odds_ratio", "lm", "policy", "value", "router", "kl", "contrastive")
"""`eval_nll_loss` of ORPO and CPO is a part of the loss: no set of this name, unless it has a run time."""


@dataclass(frozen=True, kw_only=True)
class Noise:
    """How far one point of a series lies from the next by chance."""

    value: float
    """Standard deviation of a point; NaN where it cannot be told."""
    band: float
    """How far a point must lie from the best to differ from it; NaN likewise."""
    by: str
    """How it was found, or why it was not."""
    factor: float = 1.0
    """By which it may be too small, being estimated from few residuals."""


@dataclass(frozen=True, kw_only=True)
class Series:
    """One figure of one evaluation set."""

    key: str
    set_name: str
    measure: str
    lower: bool
    """Whether lower is better."""
    steps: tuple[int, ...]
    """Increasing; the last evaluation of a step counts."""
    values: tuple[float, ...]
    """Finite."""
    unreadable: Mapping[int, str]
    """Steps whose value was no finite number, and what stood there."""
    n: int | None = None
    """Problems of the evaluation set, as its run time and speed tell; None where rows were packed."""

    @property
    def is_loss(self) -> bool:
        """Whether it is the set's loss."""
        return self.measure == "loss"

    @property
    def of_training_rows(self) -> bool:
        """Whether its evaluation set is named as one of rows that were trained on."""
        return _TRAINED_ON.match(self.set_name) is not None

    def trained(self) -> range:
        """Positions of the points after training began; all where there are no others."""
        untrained = bisect_right(self.steps, 0)
        return range(untrained if untrained < len(self.steps) else 0, len(self.steps))

    def best(self) -> int:
        """Position of the best trained point, the first of equals."""
        return (min if self.lower else max)(self.trained(), key=self.values.__getitem__)

    @cached_property
    def noise(self) -> Noise:
        """How far one point lies from the next by chance."""
        places = self.trained()
        steps, values = [self.steps[i] for i in places], [self.values[i] for i in places]
        rough, n = roughness(steps, values, places.index(self.best())), len(values)
        if not math.isnan(rough):
            by = f"roughness of the curve near its best, {n} points"
            factor = too_few(residuals_used(n))
            return Noise(value=rough, band=band(rough, n) * factor, by=by, factor=factor)
        if self.n is not None and base_name(self.measure).endswith(("accuracy", "exact_match", "acc")):
            scale = 100.0 if max(values) > 1 else 1.0
            error = scale * binomial(min(max(self.values[self.best()] / scale, 0.0), 1.0), self.n)
            return Noise(value=error, band=band(error, n), by=f"binomial, {self.n:,} problems")
        few = f"{n} point{'s are' if n > 1 else ' is'} too few to tell the noise; it takes {FEWEST}"
        return Noise(value=math.nan, band=math.nan, by=few)

    def worse_by(self, i: int, j: int) -> float:
        """How much worse the point at i is than that at j; negative where it is better."""
        return (self.values[i] - self.values[j]) * (1 if self.lower else -1)

    def later_change(self, at: int) -> tuple[float, float]:
        """How much worse the end is than the points about one, and how much that must be to count.

        Means of a fifth of the points each, so that a slow drift in a noisy curve is seen.

        Args:
            at: position of a point.

        Returns:
            The difference, positive where the end is worse, and two of its standard errors; NaN where the
            noise is not known. The noise is that of the points after, where there are four: a curve bends
            at its best.
        """
        places = self.trained()
        m = max(1, min(len(places) // 5, len(self.steps) - 1 - at))
        first = min(max(at - m // 2, places[0]), places[-1] + 1 - m)
        near, late = range(first, first + m), places[-m:]
        means = [math.fsum(self.values[i] for i in some) / m for some in (near, late)]
        after = [i for i in places if i >= at]
        noise, few = self.noise.value, self.noise.factor
        if len(after) >= FEWEST:
            steps, values = [self.steps[i] for i in after], [self.values[i] for i in after]
            noise = roughness(steps, values, len(after) - 1)
            few = too_few(residuals_used(len(after)))
        change = (means[1] - means[0]) * (1 if self.lower else -1)
        return change, 2.0 * noise * few * math.sqrt(2 / m)

    def alike(self, at: int) -> list[int]:
        """Positions of the trained points that do not differ from one, itself left out."""
        near = 0.0 if math.isnan(self.noise.band) else self.noise.band
        values, value = self.values, self.values[at]
        return [i for i in self.trained() if abs(values[i] - value) <= near and i != at]


def read_series(history: LoggedHistory) -> tuple[Series, ...]:
    """The evaluations of a log, losses first, then by name.

    A metric whose name does not say which way it is better is left out, unless the settings say that it is
    the one to pick by.
    """
    columns: dict[str, dict[int, Any]] = defaultdict(dict)
    left_out = after_training(history)
    for place, row in enumerate(history.rows):
        if place in left_out:
            continue
        step = int(row["step"])
        for key, value in row.items():
            if key.startswith(_PREFIX):
                columns[key][step] = value
        if "reward" in row and "eval_loss" in row and "loss" not in row:  # TRL before 0.16
            columns[f"{_PREFIX}reward"][step] = row["reward"]
    names = set_names(columns)
    packed = any(history.settings.get(name) is True for name in PACKED)
    sizes = {name: None if packed else _problems(columns, name) for name in ("", *names)}
    picked = str(history.settings.get("metric_for_best_model") or "").removeprefix(_PREFIX)
    made = []
    for key, column in columns.items():
        set_name, measure = split_key(key, names)
        lower = lower_is_better(measure)
        if lower is None and measure == picked and "greater_is_better" in history.settings:
            lower = not history.settings["greater_is_better"]
        if lower is None or base_name(measure) in NO_METRIC:
            continue
        series = _series(key, set_name, measure, lower, column, sizes[set_name])
        if series is not None:
            made.append(series)
    return tuple(sorted(made, key=lambda one: (not one.is_loss, one.set_name, one.measure)))


def set_names(keys: Iterable[str]) -> tuple[str, ...]:
    """Names of evaluation sets, the longest first: `g0` where there is an `eval_g0_loss`."""
    keys, found = tuple(keys), set()
    for key in keys:
        for mark in _MARKS:
            if key.endswith(mark):
                found.add(key[len(_PREFIX) : -len(mark)])
    found -= {part for part in _PARTS_OF_A_LOSS if f"{_PREFIX}{part}_runtime" not in keys}
    return tuple(sorted(found - {""}, key=lambda name: (-len(name), name)))


def split_key(key: str, names: Sequence[str]) -> tuple[str, str]:
    """An evaluation's key as the name of its set, empty where it has none, and its measure."""
    rest = key.removeprefix(_PREFIX)
    name = next((name for name in names if rest.startswith(f"{name}_")), "")
    return name, rest[len(name) + 1 :] if name else rest


def _series(
    key: str, set_name: str, measure: str, lower: bool, column: Mapping[int, Any], n: int | None
) -> Series | None:
    read = {step: logged_number(value) for step, value in column.items()}
    good = sorted((step, value) for step, value in read.items() if value is not None)
    bad = {step: f"{column[step]!s:.40}" for step, value in read.items() if value is None}
    if not good and not bad:
        return None
    return Series(
        key=key,
        set_name=set_name,
        measure=measure,
        lower=lower,
        steps=tuple(step for step, _ in good),
        values=tuple(value for _, value in good),
        unreadable=bad,
        n=n,
    )


def _problems(columns: Mapping[str, Mapping[int, Any]], name: str) -> int | None:
    """How many problems an evaluation ran over: its seconds times its speed."""
    lead = f"{_PREFIX}{name}_" if name else _PREFIX
    seconds, speed = (columns.get(lead + end, {}) for end in ("runtime", "samples_per_second"))
    found = []
    for step in list(seconds)[:200]:
        one, other = logged_number(seconds[step]), logged_number(speed.get(step))
        if one and other and 0 < one * other < 1e12:
            found.append(one * other)
    return max(1, round(median(found))) if found else None
