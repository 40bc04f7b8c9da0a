"""Sweeps without training: configurations whose accuracies and NLLs are known exactly, and their record."""

from __future__ import annotations

import numpy as np

from overmem.rule import Rule
from overmem.sweeping.narrative import sweep_words
from overmem.sweeping.record import CellState, SweepResult
from overmem.sweeping.summary import Measured, make_family
from overmem.verdict.seeds import Seeds

RATE = "training.learning_rate"


def grade(text, example) -> bool:
    """A grader by which random models solve about half of the problems."""
    return (len(text) + len(example.prompt)) % 2 == 0


def seeds(accuracy_S_C, nll_S_C, n=200, tokens=10, wobble=0.2, first_step=10) -> Seeds:
    """Problems right from the first on, as many as the accuracy says; NLLs around their mean, which is exact.

    Args:
        accuracy_S_C: share right of each seed at each checkpoint.
        nll_S_C: nats a token.
        n: problems.
        tokens: of each completion.
        wobble: relative spread of NLL over problems.
        first_step: of the first checkpoint; the others follow at the same distance.
    """
    accuracy, nll = np.atleast_2d(accuracy_S_C), np.atleast_2d(nll_S_C)
    rank_N = np.arange(n)
    spread_N = 1 + wobble * np.cos(2 * np.pi * rank_N / n)
    steps = [first_step * (c + 1) for c in range(accuracy.shape[1])]
    return Seeds(
        names=tuple(f"checkpoint-{step}" for step in steps),
        steps=tuple(steps),
        epochs=tuple(float(c + 1) for c in range(len(steps))),
        ids=tuple(f"p{i:04}" for i in range(n)),
        correct_S_C_N=(rank_N < np.round(accuracy * n)[..., None]).astype(float),
        nll_nats_S_C_N=nll[..., None] * tokens * spread_N,
        n_tokens_N=np.full(n, float(tokens)),
    )


def configuration(settings, accuracy_S_C, nll_S_C, **more) -> Measured:
    """A configuration with its verdict; see `seeds`."""
    rows = seeds(accuracy_S_C, nll_S_C, **more)
    name = "+".join(f"{key.rpartition('.')[2]}={value}" for key, value in settings.items()) or "recipe"
    return Measured(
        name=name,
        settings=settings,
        model="organism",
        scheduler="linear",
        val="same",
        cells=tuple(f"{name}+seed={seed}" for seed in range(len(rows.correct_S_C_N))),
        seeds=rows,
        verdict=rows.judge(Rule(resamples=200)),
    )


def learning_rates() -> list[Measured]:
    """Three rates over six epochs: the slow one learns on, the others over-memorize, late and soon."""
    curves = {
        1e-4: ([0.30, 0.45, 0.55, 0.62, 0.66, 0.69], [0.42, 0.36, 0.33, 0.315, 0.31, 0.305]),
        4e-4: ([0.50, 0.66, 0.72, 0.74, 0.74, 0.735], [0.36, 0.30, 0.29, 0.34, 0.42, 0.50]),
        8e-4: ([0.55, 0.68, 0.70, 0.69, 0.64, 0.60], [0.33, 0.31, 0.42, 0.55, 0.70, 0.85]),
    }
    return [
        configuration(
            {RATE: rate}, [accuracy, np.array(accuracy) - 0.01], [nll, np.array(nll) + 0.004], n=800
        )
        for rate, (accuracy, nll) in curves.items()
    ]


def result(measured, **changes) -> SweepResult:
    """A finished sweep of these configurations, with a cell that failed."""
    family = make_family(measured, Rule())
    cells = [CellState(name=cell, group=g.name, seed=0, status="done", stage="fit", train_seconds=12.0,
                       audit_seconds=3.0) for g in family.groups for cell in g.cells]  # fmt: skip
    cells.append(CellState(name="learning_rate=1+seed=0", group="learning_rate=1", seed=0, status="failed",
                           error="the model gives NaN <b>bold</b>\n  got:      dtype"))  # fmt: skip
    made = SweepResult(
        output="runs/x", keys=(RATE,), cells=tuple(cells), families=(family,),
        settings={"recipe": "organism-fast"}, thresholds={"perplexity_ratio": 1.10}, **changes,
    )  # fmt: skip
    return SweepResult(**{**made.__dict__, "words": sweep_words(made)})
