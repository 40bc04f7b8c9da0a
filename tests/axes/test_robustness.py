"""Robustness by hand on small tables, and as properties of the figures."""

from __future__ import annotations

import math

import numpy as np
import polars as pl
import pytest

from overmem.artifacts.evidence import Evidence
from overmem.artifacts.jobs import VAL_ANSWERS, Job
from overmem.axes.axis import Available
from overmem.axes.robustness import accuracy_drop, consistency, jobs, limem, measures


def rows(**correct):
    """Greedy answers: problem id to right or wrong."""
    return pl.DataFrame(
        {"example_id": list(correct), "correct": list(correct.values())},
        schema={"example_id": pl.String, "correct": pl.Float64},
    )


def found(clean, **variants):
    tables = {VAL_ANSWERS: clean} | {Job("greedy", "val", name): table for name, table in variants.items()}
    return {measure.name: measure for measure in measures(Evidence(rows=tables, texts={}))}


CLEAN_ROWS = rows(a=1, b=1, c=1, d=0, e=0)
TYPO = rows(a=1, b=0, c=1, d=1, e=0)
NUMBERS = rows(e=0, b=0, a=0)  # covers a part, in another order


def test_jobs_need_a_grader_and_variants():
    graded = frozenset({"val"})
    assert jobs(Available(sets=("val",), variants=("typo",))) == ()
    assert jobs(Available(sets=("val",), graded=graded)) == ()
    assert jobs(Available(sets=("val",), variants=("typo", "format"), graded=graded)) == (
        VAL_ANSWERS,
        Job("greedy", "val", "typo"),
        Job("greedy", "val", "format"),
    )


def test_figures_by_hand():
    figures = found(CLEAN_ROWS, typo=TYPO, numbers=NUMBERS)
    typo = {"accuracy_drop": 0.6 - 0.6, "consistency": 2 / 3, "limem": 0.6 * (1 - 2 / 3)}
    numbers = {"accuracy_drop": 2 / 3 - 0, "consistency": 0.0, "limem": 2 / 3 * (1 - 0)}
    expected = {name: (typo[name] + numbers[name]) / 2 for name in typo}
    expected |= {f"{name}_typo": value for name, value in typo.items()}
    expected |= {f"{name}_numbers": value for name, value in numbers.items()}
    assert {name: measure.value() for name, measure in figures.items()} == pytest.approx(expected)


def test_directions_and_one_population_for_all():
    figures = found(CLEAN_ROWS, typo=TYPO, numbers=NUMBERS)
    for name, measure in figures.items():
        assert measure.direction == ("higher" if name.startswith("consistency") else "lower")
        assert measure.sizes == {"val:greedy": 5}


def test_limem_is_accuracy_times_inconsistency_in_every_draw():
    rng = np.random.default_rng(0)
    clean_N, varied_N = (rng.integers(0, 2, size=80).astype(float) for _ in range(2))
    varied_N[rng.random(80) < 0.3] = np.nan
    counts_D_N = rng.multinomial(80, np.full(80, 1 / 80), size=50)

    def draws(parts):
        return counts_D_N @ parts[0] / (counts_D_N @ parts[1])

    shared_N = ~np.isnan(varied_N)
    accuracy_D = counts_D_N @ (clean_N * shared_N) / (counts_D_N @ shared_N)
    kept_D = draws(consistency(clean_N, varied_N))
    assert draws(limem(clean_N, varied_N)) == pytest.approx(accuracy_D * (1 - kept_D))
    varied_accuracy_D = counts_D_N @ np.nan_to_num(varied_N) / (counts_D_N @ shared_N)
    assert draws(accuracy_drop(clean_N, varied_N)) == pytest.approx(accuracy_D - varied_accuracy_D)


def test_a_draw_counts_problems_not_answers():
    figures = found(CLEAN_ROWS, typo=TYPO, numbers=NUMBERS)
    counts = {"val:greedy": np.array([[0.0, 3, 1, 1, 0]])}
    assert figures["consistency_typo"].statistic(counts) == pytest.approx(1 / 4)
    assert figures["limem_numbers"].statistic(counts) == pytest.approx(1.0)
    assert figures["limem"].statistic(counts) == pytest.approx((3 / 5 + 1) / 2)


def test_a_draw_without_a_shared_problem_is_undefined():
    figures = found(CLEAN_ROWS, typo=TYPO, numbers=NUMBERS)
    counts = {"val:greedy": np.array([[0.0, 0, 5, 0, 0]])}
    assert math.isnan(figures["accuracy_drop_numbers"].statistic(counts)[0])
    assert math.isnan(figures["accuracy_drop"].statistic(counts)[0])
    assert figures["accuracy_drop_typo"].statistic(counts) == pytest.approx(0)


def test_solving_nothing_leaves_consistency_undefined_and_limem_zero():
    figures = found(rows(a=0, b=0), typo=rows(a=1, b=0))
    assert figures["consistency_typo"].reason == (
        "no problem that the variant covers is solved in its clean wording"
    )
    assert figures["consistency"].reason == figures["consistency_typo"].reason
    assert math.isnan(figures["consistency"].value())
    assert figures["limem"].value() == 0
    assert figures["accuracy_drop"].value() == -0.5


def test_a_variant_that_shares_no_problem_is_undefined_and_outside_the_means():
    figures = found(CLEAN_ROWS, typo=TYPO, numbers=rows(z=1))
    assert figures["limem_numbers"].reason is not None
    assert figures["limem"].value() == pytest.approx(figures["limem_typo"].value())
    assert list(found(CLEAN_ROWS, numbers=rows(z=1))) == [
        f"{name}_numbers" for name in ("accuracy_drop", "consistency", "limem")
    ]


def test_other_rows_are_not_variants_of_val():
    assert found(CLEAN_ROWS) == {}
    others = {
        VAL_ANSWERS: CLEAN_ROWS,
        Job("greedy", "ood/x"): TYPO,
        Job("sample", "val", "typo"): TYPO,
        Job("greedy", "val", "typo", model="base"): TYPO,
    }
    assert measures(Evidence(rows=others, texts={})) == ()
    assert measures(Evidence(rows={Job("greedy", "val", "typo"): TYPO}, texts={})) == ()


def test_doubling_or_shuffling_the_problems_changes_nothing():
    def values(clean, typo):
        return {name: measure.value() for name, measure in found(clean, typo=typo).items()}

    def doubled(table):
        return pl.concat([table, table.with_columns(pl.col("example_id") + "2")])

    once = values(CLEAN_ROWS, TYPO)
    assert values(doubled(CLEAN_ROWS), doubled(TYPO)) == pytest.approx(once)
    assert values(CLEAN_ROWS.reverse(), TYPO.sample(fraction=1, shuffle=True, seed=0)) == pytest.approx(once)
