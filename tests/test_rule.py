"""The decision rule's thresholds: within their ranges, with one set of defaults."""

import dataclasses
import math

import pytest

from overmem.errors import DataError
from overmem.rule import DEFAULT_RULE, Rule


def test_the_defaults_are_those_of_the_documentation():
    assert Rule() == DEFAULT_RULE
    assert Rule().to_dict() == {
        "accuracy_margin": 0.03,
        "perplexity_ratio": 1.10,
        "resamples": 2000,
        "seed": 0,
        "confidence_threshold": 0.8,
    }


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("accuracy_margin", -0.01), ("accuracy_margin", 1.0), ("accuracy_margin", math.nan),
        ("perplexity_ratio", 1.0), ("perplexity_ratio", math.inf), ("perplexity_ratio", math.nan),
        ("resamples", 99), ("confidence_threshold", 0.0), ("confidence_threshold", 1.01),
    ],
)  # fmt: skip
def test_a_threshold_out_of_range_is_named_with_its_default(name, value):
    with pytest.raises(DataError, match=f"{name} is out of range") as refused:
        Rule(**{name: value})
    default = {field.name: field.default for field in dataclasses.fields(Rule)}[name]
    assert refused.value.next_step == f"the default is {default:g}"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("accuracy_margin", 0.0),
        ("perplexity_ratio", 1.001),
        ("resamples", 100),
        ("confidence_threshold", 1.0),
    ],
)
def test_the_ends_of_a_range_are_in_it_where_they_mean_something(name, value):
    assert getattr(Rule(**{name: value}), name) == value
