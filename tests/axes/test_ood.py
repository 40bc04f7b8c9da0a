"""OOD figures by hand."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from overmem.artifacts.evidence import Evidence
from overmem.artifacts.jobs import Job
from overmem.axes.axis import Available
from overmem.axes.grouped import with_groups
from overmem.axes.ood import jobs, measures, warnings


def scored(*nll_and_tokens, first=0):
    return pl.DataFrame(
        {
            "example_id": [f"p{first + i}" for i in range(len(nll_and_tokens))],
            "nll_nats": [float(nll) for nll, _ in nll_and_tokens],
            "n_tokens": [tokens for _, tokens in nll_and_tokens],
        }
    )


def answered(*correct, first=0):
    ids = [f"p{first + i}" for i in range(len(correct))]
    return pl.DataFrame({"example_id": ids, "correct": [float(value) for value in correct]})


def found(rows):
    return {measure.name: measure for measure in measures(Evidence(rows=rows, texts={}))}


ROWS = {
    Job("score", "val"): scored((9, 1)),
    Job("greedy", "val"): answered(1),
    Job("score", "ood/steps"): scored((4, 2), (2, 4)),
    Job("greedy", "ood/steps"): answered(1, 0),
    Job("score", "ood/svamp"): scored((3, 1), (0, 1), (0, 1)),
    Job("greedy", "ood/svamp"): answered(1, 1, 1),
    Job("score", "ood/text"): scored((5, 1)),  # no grader
}


def test_jobs():
    sets, graded = ("val", "train", "ood/steps", "ood/text"), frozenset({"val", "ood/steps"})
    assert jobs(Available(sets=sets, graded=graded)) == (
        Job("score", "ood/steps"),
        Job("greedy", "ood/steps"),
        Job("score", "ood/text"),
    )
    assert jobs(Available(sets=("val", "train"), graded=graded)) == ()


def test_figures_by_hand():
    figures = found(ROWS)
    assert {name: measure.value() for name, measure in figures.items()} == pytest.approx(
        {
            "accuracy": 0.75,
            "accuracy_steps": 0.5,
            "accuracy_svamp": 1.0,
            "nll": (1 + 1 + 5) / 3,  # every set weighs the same
            "nll_steps": 1.0,
            "nll_svamp": 1.0,
            "nll_text": 5.0,
        }
    )
    for name, measure in figures.items():
        assert measure.direction == ("higher" if name.startswith("accuracy") else "lower")
    assert figures["nll_steps"].sizes == figures["accuracy_steps"].sizes == {"ood/steps": 2}
    assert figures["accuracy"].sizes == {"ood/steps": 2, "ood/svamp": 3}


def test_likelihood_on_references_of_another_format_is_context_and_no_part_of_the_mean():
    """ASDiv's bare numbers, where training had worked solutions: NLL 9.7, and "+3.07 worse" stood there."""
    solution = pl.DataFrame({"completion": ["Tom has 3 + 4 = 7 apples. The answer is 7."] * 3})
    texts = {"train": solution, "ood/steps": solution, "ood/svamp": pl.DataFrame({"completion": ["7"] * 3})}
    evidence = Evidence(rows=ROWS, texts=texts)
    figures = {measure.name: measure for measure in measures(evidence)}
    assert [figures[name].direction for name in ("nll_steps", "nll_svamp", "nll_text")] == [
        "lower",
        "context",
        "lower",
    ]
    assert figures["nll"].value() == pytest.approx((1 + 5) / 2)
    assert figures["accuracy_svamp"].direction == "higher"
    (said,) = warnings(evidence)
    assert "ood/svamp is context" in said and "100% are bare answers, against 0%" in said


def test_each_set_is_drawn_on_its_own():
    counts = {"ood/steps": np.array([[2.0, 0], [0, 2]]), "ood/svamp": np.ones((2, 3))}
    assert found(ROWS)["accuracy"].statistic(counts) == pytest.approx([1.0, 0.5])


def test_one_set_has_no_mean():
    rows = {job: table for job, table in ROWS.items() if job.set in ("val", "ood/steps")}
    assert list(found(rows)) == ["accuracy_steps", "nll_steps"]


def test_a_problem_only_scored_or_only_answered_keeps_the_population_one():
    rows = {
        Job("score", "ood/x"): scored((2, 1), (4, 1)),
        Job("greedy", "ood/x"): answered(1, 0, first=1),
    }
    figures = found(rows)
    assert figures["nll_x"].sizes == figures["accuracy_x"].sizes == {"ood/x": 3}
    assert (figures["nll_x"].value(), figures["accuracy_x"].value()) == (3.0, 0.5)


def test_a_mean_with_an_unmeasured_set_is_undefined():
    rows = {**ROWS, Job("score", "ood/text"): ROWS[Job("score", "ood/text")].clear()}
    assert found(rows)["nll"].reason == "no problem to measure it on"


def test_doubling_or_shuffling_the_problems_changes_nothing():
    def doubled(table):
        return pl.concat([table, table.with_columns(pl.col("example_id") + "b")])

    once = {name: measure.value() for name, measure in found(ROWS).items()}
    for change in (doubled, pl.DataFrame.reverse):
        changed = found({job: change(table) for job, table in ROWS.items()})
        assert {name: measure.value() for name, measure in changed.items()} == pytest.approx(once)


def test_the_base_model_is_asked_and_scored_where_it_can_be():
    given = {"sets": ("val", "ood/steps"), "graded": frozenset({"val", "ood/steps"})}
    own = (Job("score", "ood/steps"), Job("greedy", "ood/steps"))
    assert jobs(Available(**given, has_base=True)) == own
    assert jobs(Available(**given, base_row=True)) == own
    base = tuple(Job(job.kind, job.set, model="base") for job in own)
    assert jobs(Available(**given, has_base=True, base_row=True)) == own + base
    assert jobs(Available(**given, has_base=True, base_row=True, base_answers=False)) == (*own, base[0])


def test_row_0_is_not_measured_on_training_data():
    available = Available(sets=("val", "train"), has_base=True, base_row=True)
    val, train = Job("score", "val"), Job("score", "train")
    assert available.with_base_row((val, train)) == (val, train, Job("score", "val", model="base"))


def test_problems_of_one_group_are_drawn_together_also_where_not_all_were_answered():
    labels = {"p0": "a", "p1": "b", "p2": "a"}

    def of(table):
        return table.with_columns(group=pl.col("example_id").replace(labels))

    rows = {
        Job("greedy", "ood/steps"): of(answered(1, 0, first=1)),
        Job("score", "ood/steps"): of(scored((4, 2), (2, 4), (9, 1))),
        Job("score", "ood/text"): scored((5, 1), (1, 1)),
    }
    evidence = Evidence(rows=rows, texts={})
    groups = {measure.name: with_groups(measure, evidence).groups for measure in measures(evidence)}
    for name in ("accuracy_steps", "nll_steps", "nll"):
        assert groups[name]["ood/steps"].index_N.tolist() == [0, 1, 0], name
        assert "ood/text" not in groups[name]
    assert groups["nll_text"] == {}
