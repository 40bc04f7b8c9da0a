r"""Diversity: how many different right solutions a model still has when it is asked several times.

Over-memorization narrows this first among the costs: greedy accuracy holds while the samples turn
into copies of one path, so more samples help less (pass@k, maj@k) and look alike (self-BLEU).

Shape suffixes: N problems.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from overmem.artifacts.evidence import Evidence
from overmem.artifacts.jobs import VAL_SAMPLES, Job
from overmem.axes.axis import Available, Axis
from overmem.axes.equations import equation_path
from overmem.axes.samples.likeness import answer_entropy, distinct_n, self_bleu
from overmem.axes.samples.problem_samples import ProblemSamples, group_samples, has_votes
from overmem.axes.samples.subsets import maj_at_k, pass_at_k
from overmem.stats.measures import Direction, Measure, ratio_measure, undefined

POPULATION = "val:sample"
"""Name under which the problems of this axis are counted."""


def solution_paths(texts: Sequence[str], correct: Sequence[bool]) -> int:
    """Number of distinct equation paths among the right samples of a problem; higher is better.

    Samples without equations have no path and are not counted.
    """
    right = {equation_path(text) for text, is_right in zip(texts, correct, strict=True) if is_right}
    return len(right - {()})


def new_path_share(texts: Sequence[str], correct: Sequence[bool], reference: str) -> float:
    """Share of all samples that are right by another equation path than the reference's.

    In [0, 1], higher is better: what the model can do that it was not shown. NaN without samples.

    Args:
        texts: the samples of one problem.
        correct: whether each is right.
        reference: the reference solution.
    """
    known = {(), equation_path(reference)}
    new = [
        is_right and equation_path(text) not in known for text, is_right in zip(texts, correct, strict=True)
    ]
    return float(np.mean(new)) if new else math.nan


def jobs(available: Available) -> tuple[Job, ...]:
    """Several answers to every val problem at a temperature."""
    return (VAL_SAMPLES,) if "val" in available.graded else ()


def measures(evidence: Evidence) -> tuple[Measure, ...]:
    """Means over problems of what each problem's samples show.

    Problems with fewer samples than the others, which a cut audit leaves, carry no weight; they keep
    their place, so that checkpoints stay paired.
    """
    if VAL_SAMPLES not in evidence.rows or evidence.rows[VAL_SAMPLES].is_empty():
        return ()
    problems = group_samples(evidence.rows[VAL_SAMPLES])
    n_samples = max(len(problem.texts) for problem in problems)

    def mean_over(
        name: str, direction: Direction, figure: Callable[[ProblemSamples], float], reason: str = ""
    ) -> Measure:
        if reason:
            return undefined(name, direction, POPULATION, len(problems), reason)
        value_N = np.array([figure(p) if len(p.texts) == n_samples else np.nan for p in problems])
        known_N = np.isfinite(value_N)
        return ratio_measure(
            name, direction, POPULATION, np.where(known_N, value_N, 0.0), known_N.astype(np.float64)
        )

    def pass_measure(k: int) -> Measure:
        return mean_over(f"pass_at_{k}", "higher", lambda p: float(pass_at_k(n_samples, sum(p.correct), k)))

    def maj_measure(k: int) -> Measure:
        return mean_over(f"maj_at_{k}", "higher", lambda p: maj_at_k(p.answers, p.correct, k), no_votes)

    references = dict(evidence.texts["val"].select("example_id", "completion").iter_rows())
    no_votes = "" if has_votes(problems) else "the grader does not say which answer it found"
    no_paths = "" if _has_equations(problems, references) else "neither solutions nor samples hold equations"
    one_sample = "one sample a problem has no others to compare with" if n_samples == 1 else ""
    powers = [2**power for power in range(n_samples.bit_length())]
    return (
        *map(pass_measure, reversed(powers)),
        *map(maj_measure, [4, n_samples] if n_samples > 4 else [n_samples]),
        mean_over("solution_paths", "higher", lambda p: solution_paths(p.texts, p.correct), no_paths),
        mean_over(
            "new_right_paths",
            "higher",
            lambda p: new_path_share(p.texts, p.correct, references[p.example_id]),
            no_paths,
        ),
        mean_over("distinct_2", "higher", lambda p: distinct_n(p.texts, 2)),
        mean_over("self_bleu", "lower", lambda p: self_bleu(p.texts), one_sample),
        mean_over("answer_entropy", "context", lambda p: answer_entropy(p.answers), no_votes),
    )


def _has_equations(problems: Sequence[ProblemSamples], references: dict[str, str]) -> bool:
    return any(equation_path(text) for text in references.values()) or any(
        equation_path(text) for problem in problems for text in problem.texts
    )


AXIS = Axis(
    name="diversity",
    tells="how many different right solutions remain (pass@k, maj@k, paths, self-BLEU)",
    jobs=jobs,
    measures=measures,
    proves_repair=True,
)
