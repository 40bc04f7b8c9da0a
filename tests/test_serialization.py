"""Records from their JSON form: whole, checked by field, and open to keys of a later version."""

import dataclasses
import json
import math
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from overmem.errors import ArtifactError
from overmem.records import Estimate, Repair, Verdict
from overmem.serialization import FieldError, from_plain, settings_key

FLOATS = st.floats(allow_nan=False, allow_infinity=False) | st.just(math.nan)


def values_of(kind: Any) -> st.SearchStrategy[Any]:
    """Any value of a declared type; an undefined number is `math.nan`, which equals itself by identity."""
    origin, inner = get_origin(kind), get_args(kind)
    if dataclasses.is_dataclass(kind):
        hints = get_type_hints(kind)
        fields = {f.name: values_of(hints[f.name]) for f in dataclasses.fields(kind)}
        return st.builds(kind, **fields)
    if origin is tuple:
        return st.lists(values_of(inner[0]), max_size=2).map(tuple)
    if origin is Mapping:
        return st.dictionaries(st.text(max_size=5), values_of(inner[1]), max_size=2)
    if origin is Literal:
        return st.sampled_from(inner)
    if origin is types.UnionType:
        found = st.one_of(*map(values_of, inner))  # null is None here, so NaN would not come back
        return found.filter(lambda value: value == value) if types.NoneType in inner else found
    plain = {
        str: st.text(max_size=8),
        float: FLOATS,
        int: st.integers(-(2**63) + 1, 2**63 - 1),
        bool: st.booleans(),
    }
    plain |= {types.NoneType: st.none(), Path: st.sampled_from([Path("a/b"), Path("/c"), Path(".")])}
    return plain[kind]


@pytest.mark.parametrize("kind", [Estimate, Verdict, Repair])
def test_what_is_written_reads_back_as_it_was(kind: Any) -> None:
    @settings(max_examples=60, deadline=None)
    @given(values_of(kind))
    def check(record: Any) -> None:
        written = record.to_dict()
        again = kind.from_dict(json.loads(json.dumps(written, allow_nan=False)))
        assert again == record
        assert json.dumps(again.to_dict()) == json.dumps(written)

    check()


def written() -> dict[str, Any]:
    number = {"value": 0.5, "low": None, "high": None, "n": 3, "reason": "one hand"}
    checkpoint = {"name": "c-1", "step": 1, "stage": "fit", "confidence": 0.9, "leaning": None}
    checkpoint |= {"accuracy": number, "nll_nats": dict(number), "perplexity": dict(number)}
    return {
        "schema": "overmem.verdict/1",
        "stage": "fit",
        "confidence": None,
        "checkpoints": [checkpoint],
        "onset": {"step": None, "low": None, "high": None},
        "severity": {"excess_nll_nats": dict(number), "perplexity_ratio": 1},
        "recommended": None,
        "alternatives": {"lowest_perplexity": None},
    }


def test_defaults_fill_what_an_older_version_left_out_and_later_keys_are_ignored() -> None:
    record = written() | {"of a later version": [1, 2]}
    record["onset"]["likewise"] = 7
    verdict = Verdict.from_dict(record)
    assert verdict.evidence == "full" and verdict.costs == () and verdict.onset.reason is None
    assert math.isnan(verdict.confidence) and verdict.checkpoints[0].epoch is None
    assert math.isnan(verdict.checkpoints[0].accuracy.low)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("stage", None, r"stage cannot be read[\s\S]*None[\s\S]*text"),
        ("checkpoints", {}, r"checkpoints cannot be read[\s\S]*a list"),
        ("checkpoints.0.accuracy.n", 1.5, r"checkpoints\.0\.accuracy\.n [\s\S]*1\.5[\s\S]*a whole number"),
        ("checkpoints.0.accuracy.n", True, r"accuracy\.n cannot be read[\s\S]*True"),
        ("checkpoints.0.perplexity.low", "1", r"perplexity\.low [\s\S]*a number or null"),
        ("checkpoints.0.nll_nats", None, r"nll_nats cannot be read[\s\S]*an object"),
        ("evidence", "some", r"evidence [\s\S]*'full' or [\s\S]* or 'logged'"),
        ("recommended", [], r"recommended [\s\S]*an object"),
        ("alternatives.lowest_perplexity", 3, r"alternatives\.lowest_perplexity [\s\S]*text"),
        ("schema", "overmem.verdict/9", r"verdict\.json has another schema[\s\S]*overmem\.verdict/1"),
    ],
)
def test_a_field_that_cannot_be_read_is_named(path: str, value: Any, message: str) -> None:
    record = written()
    place: Any = record
    *way, last = path.split(".")
    for key in way:
        place = place[int(key) if key.isdigit() else key]
    place[last] = value
    with pytest.raises(ArtifactError, match=message) as caught:
        Verdict.from_dict(record)
    assert "overmem diagnose" in str(caught.value)


def test_a_field_that_is_missing_is_named() -> None:
    record = written()
    del record["checkpoints"][0]["accuracy"]["n"]
    with pytest.raises(ArtifactError, match=r"checkpoints\.0\.accuracy\.n is missing"):
        Verdict.from_dict(record)


@pytest.mark.parametrize("record", [{}, [], None, {"schema": "overmem.verdict/1"}])
def test_what_is_no_record_is_refused(record: Any) -> None:
    with pytest.raises(ArtifactError, match=r"(repair|verdict)\.json"):
        Repair.from_dict(record)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"confidence": math.nan}, "confidence"),
        ({"confidence": 10**400}, "confidence"),
        ({"confidence": math.inf}, "confidence"),
        ({"onset": {"step": 10**400, "low": None, "high": None}}, "onset.step"),
    ],
)
def test_numbers_that_overmem_never_writes_are_refused(change: dict[str, Any], field: str) -> None:
    with pytest.raises(ArtifactError, match=rf"{field} cannot be read"):
        Verdict.from_dict(written() | change)


def test_a_record_whose_fields_do_not_agree_says_where() -> None:
    @dataclasses.dataclass(frozen=True)
    class Range:
        low: int
        high: int

        def check_read(self) -> None:
            if self.low > self.high:
                raise FieldError("low", "is above `high`", self.low, f"{self.high} or less")

    @dataclasses.dataclass(frozen=True)
    class Ranges:
        ranges: tuple[Any, ...]

    Ranges.__annotations__["ranges"] = tuple[Range, ...]
    plain = {"ranges": [{"low": 1, "high": 2}, {"low": 3, "high": 2}]}
    with pytest.raises(ArtifactError, match=r"x: ranges\.1\.low is above `high`[\s\S]*2 or less"):
        from_plain(Ranges, plain, what="x", next_step="n")
    assert from_plain(Ranges, {"ranges": plain["ranges"][:1]}, what="x", next_step="n").ranges == (
        Range(1, 2),
    )


def test_settings_key_sees_every_value_and_no_order():
    assert settings_key({"a": 1, "b": 2}) == settings_key({"b": 2, "a": 1})
    assert settings_key({"a": 1}) != settings_key({"a": 2})
