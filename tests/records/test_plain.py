"""Records as plain values: undefined figures are null with a reason, and come back undefined.

Covers: overmem.records.comparisons, overmem.records.inputs, overmem.records.notebook_view,
overmem.records.repair, overmem.records.verdict
"""

import json
import math
from pathlib import Path

import pytest

from overmem.records import Cost, Estimate, finite_or_none, none_to_nan, to_plain
from tests.helpers.verdicts import make_verdict


def test_an_estimate_comes_back_as_it_was():
    found = Estimate(0.5, 0.4, 0.6, 100)
    assert found.to_dict() == {"value": 0.5, "low": 0.4, "high": 0.6, "n": 100}
    assert Estimate.from_dict(found.to_dict()) == found


def test_an_undefined_estimate_is_null_with_its_reason():
    undefined = Estimate(math.nan, math.nan, math.inf, 0, "no grader was given")
    record = undefined.to_dict()
    assert record == {"value": None, "low": None, "high": None, "n": 0, "reason": "no grader was given"}
    back = Estimate.from_dict(json.loads(json.dumps(record, allow_nan=False)))
    assert math.isnan(back.value) and math.isnan(back.high) and back.reason == "no grader was given"


@pytest.mark.parametrize(("value", "plain"), [(1, 1.0), (0.25, 0.25), (math.nan, None), (-math.inf, None)])
def test_what_is_not_finite_is_null(value, plain):
    assert finite_or_none(value) == plain
    assert none_to_nan(plain) == plain or math.isnan(none_to_nan(plain))


def test_a_record_and_all_it_holds_become_plain():
    found = to_plain({1: (Path("a/b"), math.nan, True, None, Estimate(1.0, 0.0, 2.0, 3))})
    assert found == {"1": ["a/b", None, True, None, {"value": 1.0, "low": 0.0, "high": 2.0, "n": 3}]}
    with pytest.raises(TypeError, match="no JSON form for object"):
        to_plain(object())


def test_a_verdict_is_json_with_its_schema():
    record = make_verdict().to_dict()
    assert record["schema"] == "overmem.verdict/1"
    assert json.loads(json.dumps(record, allow_nan=False)) == record


@pytest.mark.parametrize(
    ("low", "high", "direction", "p_holm", "outcome"),
    [
        (0.1, 0.3, "higher", 0.01, "better"), (0.1, 0.3, "lower", 0.01, "worse"),
        (-0.3, -0.1, "higher", 0.01, "worse"), (-0.3, -0.1, "lower", math.nan, "better"),
        (0.1, 0.3, "context", 0.01, "changed"), (-0.1, 0.3, "higher", 0.01, "no clear difference"),
        (0.1, 0.3, "higher", 0.06, "no clear difference"), (math.nan, math.nan, "higher", 0.01, "undefined"),
    ],
)  # fmt: skip
def test_the_outcome_of_a_cost(low, high, direction, p_holm, outcome):
    cost = Cost(
        axis="a", measure="m", against="c", difference=Estimate((low + high) / 2, low, high, 9),
        direction=direction, p_holm=p_holm,
    )  # fmt: skip
    assert cost.outcome == outcome
