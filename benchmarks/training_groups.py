"""Training rows in groups: how often the 95% intervals of figures made of them hold the truth.

Training rows come in groups of k, whose latent scores are correlated by rho; val's problems stand alone.
From one checkpoint to the next training rows become likelier and are continued verbatim more often. Every
figure is made of rows as an audit saves them, once with the rows counted one by one and once in their groups:
the NLL on train, the change of the generalization gap and of the gap of recall (as costs have them), and the
worst attack's AUROC. Printed for each: the share of intervals that hold the truth, which is known, and their
mean width. Standard errors are 1 to 2 points at 300 runs.

    OMP_NUM_THREADS=1 python -m benchmarks.training_groups --runs 300 --seed 26

Shape suffixes: N rows of one set.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from statistics import NormalDist

import numpy as np
import polars as pl

from overmem.artifacts.evidence import Evidence
from overmem.artifacts.jobs import TRAIN_SCORES, VAL_SCORES
from overmem.artifacts.rows import GROUP
from overmem.axes import likelihood, recall
from overmem.axes.grouped import groups_in, with_groups
from overmem.axes.privacy.worst_case import Halves, worst_auroc
from overmem.records import Estimate
from overmem.stats.intervals import nll_estimate
from overmem.stats.measures import Measure
from overmem.stats.moments import measure_curves
from overmem.stats.paired import difference

CELLS = ((1, 0.0), (10, 0.0), (10, 0.3), (10, 0.8))
"""Rows of a group, correlation within it."""
SPREAD = 0.6
"""Standard deviation of the logarithm of a row's NLL per token."""
NLL = {"train": (0.8, 0.55), "val": (1.0, 1.1)}
"""Nats per token at the two checkpoints, over all rows there could be."""
LIKELY = {"train": (-0.5, 0.8), "val": (-1.0, -0.9)}
"""Logit of the chance that a token is continued as in the reference, for a row in the middle."""
COMPARED = 32
FIGURES = ("NLL on train", "gap's change", "recall gap's change", "worst AUROC")
ATTACKS = ("loss", "other")


def latent(rng: np.random.Generator, n: int, k: int, rho: float) -> np.ndarray:
    """Standard normals of n rows, correlated by rho within groups of k."""
    shared_N = np.repeat(rng.standard_normal(-(-n // k)), k)[:n]
    return np.sqrt(rho) * shared_N + np.sqrt(1 - rho) * rng.standard_normal(n)


def draw(rng: np.random.Generator, n: int, k: int, rho: float) -> list[Evidence]:
    """The rows of two checkpoints; training rows have their groups."""
    found: list[dict] = [{}, {}]
    for name, size, within in (("train", k, rho), ("val", 1, 0.0)):
        ids = [f"{name}-{i:05d}" for i in range(n)]
        tokens_N, always_N = rng.integers(40, 160, n), latent(rng, n, size, within)
        groups = {GROUP: [f"g{i // size}" for i in range(n)]} if size > 1 else {}
        for c in range(2):
            row_N = (always_N + latent(rng, n, size, within)) / math.sqrt(2)
            rate_N = NLL[name][c] * np.exp(SPREAD * row_N - SPREAD**2 / 2)
            same_N = rng.binomial(COMPARED, 1 / (1 + np.exp(row_N - LIKELY[name][c])))
            scores = {"example_id": ids, "n_tokens": tokens_N, "nll_nats": rate_N * tokens_N, **groups}
            continued = {"n_same": same_N, "n_compared": np.full(n, COMPARED), "exact": same_N == COMPARED}
            found[c][TRAIN_SCORES if name == "train" else VAL_SCORES] = pl.DataFrame(scores)
            job = recall.TRAIN if name == "train" else recall.VAL
            found[c][job] = pl.DataFrame({"example_id": ids, **continued, **groups})
    return [Evidence(rows=rows, texts={}) for rows in found]


def truths() -> list[float]:
    """The true value of each figure."""
    at, weight = np.polynomial.hermite_e.hermegauss(60)
    share = {
        name: [float((weight / (1 + np.exp(at - middle))).sum() / weight.sum()) for middle in of]
        for name, of in LIKELY.items()
    }
    apart = math.log(NLL["val"][1] / NLL["train"][1]) / (SPREAD * math.sqrt(2))
    return [
        NLL["train"][1],
        NLL["val"][1] - NLL["train"][1] - (NLL["val"][0] - NLL["train"][0]),
        share["train"][1] - share["val"][1] - (share["train"][0] - share["val"][0]),
        NormalDist().cdf(apart),
    ]


def intervals(evidence: list[Evidence], rng: np.random.Generator, draws: int) -> list[Estimate]:
    """Each figure as it is shown; the worst attack is one of two whose true AUROC is the same."""
    train, val = (evidence[1].rows[job] for job in (TRAIN_SCORES, VAL_SCORES))
    nll_N = train["nll_nats"].to_numpy()[None]
    moments = measure_curves(np.zeros_like(nll_N), nll_N, train["n_tokens"].to_numpy(), groups_in(train))

    def change(measures: Callable[[Evidence], tuple[Measure, ...]], name: str) -> Estimate:
        before, after = (
            next(with_groups(m, item) for m in measures(item) if m.name == name) for item in evidence
        )
        return difference([after], [before], draws=draws).estimate

    sides = [-np.log((rows["nll_nats"] / rows["n_tokens"]).to_numpy()) for rows in (train, val)]
    # The other attack: the same scores about their mean, half of the variance drawn anew.
    means = [-math.log(NLL[name][1]) + SPREAD**2 / 2 for name in ("train", "val")]
    other = [
        mean + ((side - mean) + SPREAD * rng.standard_normal(side.size)) / math.sqrt(2)
        for side, mean in zip(sides, means, strict=True)
    ]
    halves = Halves.of_ids(*(rows["example_id"].to_list() for rows in (train, val)), groups_in(train))
    return [
        nll_estimate(moments, 0),
        change(likelihood.measures, "generalization_gap"),
        change(recall.measures, "recall_gap"),
        worst_auroc(dict(zip(ATTACKS, (tuple(sides), tuple(other)), strict=True)), halves).estimate,
    ]


def one_by_one(evidence: list[Evidence]) -> list[Evidence]:
    """The same rows without their groups."""
    return [
        Evidence(rows={job: rows.drop(GROUP, strict=False) for job, rows in item.rows.items()}, texts={})
        for item in evidence
    ]


def main() -> None:
    """Simulate each cell and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=300, help="of each cell")
    parser.add_argument("--rows", type=int, default=400, help="of train and of val")
    parser.add_argument("--draws", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=26)
    options = parser.parse_args()
    print(f"| k | rho | counted | {' | '.join(f'{name}: covered (width)' for name in FIGURES)} |")
    print("| --- " * (3 + len(FIGURES)) + "|")
    truth = truths()
    for place, (k, rho) in enumerate(CELLS):
        found: dict[str, list] = {"rows": [], "groups": []}
        for run in range(options.runs):
            rng = np.random.default_rng([options.seed, place, run])
            evidence = draw(rng, options.rows, k, rho)
            for counted, shown in (("rows", one_by_one(evidence)), ("groups", evidence)):
                made = intervals(shown, np.random.default_rng([options.seed, run]), options.draws)
                found[counted].append(
                    [(e.low <= t <= e.high, e.high - e.low) for e, t in zip(made, truth, strict=True)]
                )
        for counted, runs in found.items():
            means = np.mean(runs, axis=0)
            cells = " | ".join(f"{covered:.3f} ({width:.3f})" for covered, width in means)
            print(f"| {k} | {rho:g} | {counted} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
