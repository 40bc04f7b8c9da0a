"""Do intervals of NLL hold where few problems carry much of it? Coverage and false claims, before and after.

Problems are drawn from a law whose mean is known. Three things are counted: how often the 95% interval of a
checkpoint's NLL, and of the NLL difference of two checkpoints of equal true NLL, hold the truth; how often
that interval, and the bootstrap of `costs`, call one of the two falsely better; and how often Holm's method
over eight such differences errs. Before is Student's interval (of log NLL for one checkpoint) and the plain
percentile bootstrap. The laws of `FROZEN_ON` were at hand when the method was chosen, those of `AFTER` when
its factor was raised; those of `LATER` were written after that, and nothing was changed for them.
Where a law has a rare kind of problem, the last columns say which share of samples holds none, how often a
checkpoint is falsely called better in those and in the others, and how often that is undone by leaving out
the problem that speaks most for it.

    python -m benchmarks.tails --runs 1000 --bootstraps 200 --n 50 100 400
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from overmem.stats.arrays import FloatArray
from overmem.stats.intervals import critical_value, nll_estimate
from overmem.stats.measures import ratio_measure
from overmem.stats.moments import measure_curves
from overmem.stats.paired import bootstrap, difference, holm
from overmem.stats.tails.skewness import mean_skewness, skewed_interval, skewed_p

HEADLINES = 8
DRAWS = 2000


@dataclass(frozen=True)
class Law:
    """A law of nats per token over problems, with its mean."""

    draw: Callable[[np.random.Generator, int], FloatArray]
    mean: float
    signed: bool = False
    """Whether it may be negative, so that only a difference can follow it."""
    rare_above: float = math.inf
    """Values above it are of the rare kind."""


def lognormal(sigma: float) -> Law:
    """Log-normal with median 1."""
    return Law(lambda rng, n: rng.lognormal(0, sigma, n), math.exp(sigma**2 / 2))


def outliers(share: float, times: float) -> Law:
    """Log-normal of sigma 0.5, a share of the problems so many times as large."""
    mean = math.exp(0.125) * (1 + share * (times - 1))
    return Law(
        lambda rng, n: rng.lognormal(0, 0.5, n) * np.where(rng.random(n) < share, times, 1.0),
        mean,
        rare_above=times / 2 if times > 12 else math.inf,
    )


def shifted(share: float, by: float) -> Law:
    """Standard normal, a share of the problems shifted by some standard deviations."""
    return Law(
        lambda rng, n: rng.normal(0, 1, n) + by * (rng.random(n) < share),
        share * by,
        signed=True,
        rare_above=by / 2 if by > 0 else math.inf,
    )


FROZEN_ON = {
    "normal": Law(lambda rng, n: rng.normal(0, 1, n), 0.0, signed=True),
    "log-normal, sigma 0.5": lognormal(0.5),
    "log-normal, sigma 1": lognormal(1.0),
    "Student, 3 degrees": Law(lambda rng, n: rng.standard_t(3, n), 0.0, signed=True),
    "1% times 20": outliers(0.01, 20),
    "1% shifted by 20 sd": shifted(0.01, 20),
    "10% log-normal among normal": Law(
        lambda rng, n: np.where(rng.random(n) < 0.1, rng.lognormal(1.5, 1, n), rng.normal(0, 0.5, n)),
        0.1 * math.exp(2),
        signed=True,
    ),
}
AFTER = {
    "gamma, shape 0.3": Law(lambda rng, n: rng.gamma(0.3, 1, n), 0.3),
    "Pareto, tail 2.5": Law(lambda rng, n: rng.pareto(2.5, n), 1 / 1.5),
    "Weibull, shape 0.6": Law(lambda rng, n: rng.weibull(0.6, n), math.gamma(1 + 1 / 0.6)),
    "3% times 10": outliers(0.03, 10),
    "5% shifted by -8 sd": shifted(0.05, -8),
    "half log-normal 0.2, half exponential": Law(
        lambda rng, n: np.where(rng.random(n) < 0.5, rng.lognormal(0, 0.2, n), rng.exponential(3, n)),
        0.5 * math.exp(0.02) + 1.5,
    ),
    "uniform": Law(lambda rng, n: rng.random(n), 0.5),
}
LATER = {
    "inverse Gaussian, shape 0.5": Law(lambda rng, n: rng.wald(1, 0.5, n), 1.0),
    "log-logistic, shape 3": Law(
        lambda rng, n: (1 / rng.random(n) - 1) ** (-1 / 3), math.pi / 3 / math.sin(math.pi / 3)
    ),
    "2% times 15": outliers(0.02, 15),
    "20% exponential among normal": Law(
        lambda rng, n: rng.normal(0, 0.3, n) + np.where(rng.random(n) < 0.2, rng.exponential(3, n), 0),
        0.6,
        signed=True,
    ),
}


@dataclass
class Tally:
    """How often a method held, in the runs of one law and size."""

    level: list[bool] = field(default_factory=list)
    covered: list[bool] = field(default_factory=list)
    better: list[bool] = field(default_factory=list)
    drawn: list[bool] = field(default_factory=list)
    errs: list[bool] = field(default_factory=list)
    width: list[float] = field(default_factory=list)
    without: list[bool] = field(default_factory=list)
    """Of each difference, whether its sample holds no problem of the rare kind."""
    undone: list[bool] = field(default_factory=list)
    """Of each falsely better one, whether it is not without the problem that speaks most for it."""


def rows(law: Law, n: int, rng: np.random.Generator) -> tuple[FloatArray, FloatArray, bool]:
    """NLL (2, N) of two checkpoints whose true NLL is equal, tokens (N,), and whether none is of a rare kind.

    The second differs from the first by the law around its mean, so it looks better while the long tail of a
    law is not in the sample.
    """
    tokens_N = rng.integers(20, 80, n).astype(np.float64)
    level_N = 100.0 + rng.gamma(4, 0.25, n)
    drawn_N = law.draw(rng, n)
    moved_N = 0.1 * (drawn_N - law.mean)
    nll_2_N = np.stack([level_N, level_N + moved_N]) * tokens_N
    return nll_2_N, tokens_N, bool((drawn_N <= law.rare_above).all())


def difference_of(nll_2_N: FloatArray, tokens_N: FloatArray) -> tuple[float, float, float]:
    """Value, standard error and skewness of a difference of NLL."""
    moments = measure_curves(np.zeros((2, tokens_N.size)), nll_2_N, tokens_N)
    (a, b), cov = moments.nll_C, moments.sample_cov_B_B
    se = math.sqrt(max(b * b * cov[3, 3] + a * a * cov[2, 2] - 2 * a * b * cov[2, 3], 0.0))
    moved_N = b * moments.influence_B_G[3] - a * moments.influence_B_G[2]
    return float(b - a), se, mean_skewness(moved_N, se)


def level_holds(law: Law, n: int, rng: np.random.Generator, tallies: Sequence[Tally]) -> None:
    """Count whether the interval of one checkpoint's NLL holds the truth, before and after."""
    tokens_N = rng.integers(20, 80, n).astype(np.float64)
    alone = measure_curves(np.zeros((1, n)), (law.draw(rng, n) * tokens_N)[None], tokens_N)
    factor = math.exp(critical_value(n) * math.sqrt(alone.sample_cov_B_B[1, 1]))
    found = nll_estimate(alone, 0)
    tallies[0].level.append(alone.nll_C[0] / factor <= law.mean <= alone.nll_C[0] * factor)
    tallies[1].level.append(found.low <= law.mean <= found.high)


def differences_hold(law: Law, n: int, rng: np.random.Generator, tallies: Sequence[Tally]) -> None:
    """Count what is said of eight differences whose truth is 0, and whether Holm errs over them."""
    before, after, critical = [], [], critical_value(n)
    for _ in range(HEADLINES):
        nll_2_N, tokens_N, without = rows(law, n, rng)
        value, se, skewness = difference_of(nll_2_N, tokens_N)
        student, skewed = (skewed_interval(value, se, critical, one) for one in (0.0, skewness))
        for tally, (low, high) in zip(tallies, (student, skewed), strict=True):
            tally.covered.append(low <= 0 <= high)
            tally.better.append(high < 0)
        tallies[1].width.append((skewed[1] - skewed[0]) / (student[1] - student[0]))
        tallies[1].without.append(without)
        if skewed[1] < 0:
            left_out = int((nll_2_N[1] - nll_2_N[0] - value * tokens_N).argmin())
            rest = difference_of(np.delete(nll_2_N, left_out, axis=1), np.delete(tokens_N, left_out))
            tallies[1].undone.append(skewed_interval(*rest[:2], critical_value(n - 1), rest[2])[1] >= 0)
        before.append(skewed_p(value, se, n, 0.0))
        after.append(skewed_p(value, se, n, skewness))
    for tally, p in zip(tallies, (before, after), strict=True):
        tally.errs.append(min(holm(p)) <= 0.05)


def bootstrap_holds(law: Law, n: int, rng: np.random.Generator, tallies: Sequence[Tally]) -> None:
    """Count whether the bootstrap of costs calls one of two equal checkpoints falsely better."""
    nll_2_N, tokens_N, _ = rows(law, n, rng)
    left, right = (ratio_measure("nll", "lower", "val", nll_2_N[k], tokens_N) for k in (1, 0))
    seed = int(rng.integers(1 << 30))
    drawn_D = bootstrap([left], DRAWS, seed) - bootstrap([right], DRAWS, seed)
    tallies[0].drawn.append(np.percentile(drawn_D, 97.5) < 0)
    tallies[1].drawn.append(difference([left], [right], draws=DRAWS, seed=seed).estimate.high < 0)


def share(values: Sequence[bool]) -> str:
    """Share of true ones; a dash where nothing was counted."""
    return f"{np.mean(values):.3f}" if len(values) else "-"


def rare_kind(law: Law, tally: Tally) -> str:
    """Share of samples without the rare kind, false claims in those and in the others, and those undone."""
    undone = share(tally.undone)
    if law.rare_above == math.inf:
        return f"- | - | - | {undone}"
    without, better = np.array(tally.without), np.array(tally.better)
    return f"{without.mean():.3f} | {share(better[without])} | {share(better[~without])} | {undone}"


def main() -> None:
    """Simulate and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--bootstraps", type=int, default=200)
    parser.add_argument("--n", type=int, nargs="+", default=[50, 100, 400])
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    print(
        "| law | n | NLL covered | difference covered | falsely better | by bootstrap | Holm errs | width | "
        "none of the rare kind | better there | better elsewhere | undone |"
    )
    print("| --- " * 12 + "|")
    for title, laws in (("at hand", FROZEN_ON), ("after", AFTER), ("written after", LATER)):
        for name, law in laws.items():
            for n in options.n:
                rng = np.random.default_rng([options.seed, n, len(name)])
                tallies = Tally(), Tally()
                for _ in range(0 if law.signed else options.runs):
                    level_holds(law, n, rng, tallies)
                for _ in range(options.runs // 2):
                    differences_hold(law, n, rng, tallies)
                for _ in range(options.bootstraps):
                    bootstrap_holds(law, n, rng, tallies)
                said = " | ".join(
                    " -> ".join(share(getattr(tally, field_name)) for tally in tallies)
                    for field_name in ("level", "covered", "better", "drawn", "errs")
                )
                width = float(np.median(tallies[1].width))
                print(
                    f"| {name} ({title}) | {n} | {said} | {width:.2f} | {rare_kind(law, tallies[1])} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
