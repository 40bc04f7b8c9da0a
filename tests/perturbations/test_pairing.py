"""A user's own variant, paired with the clean examples by id."""

from __future__ import annotations

import pytest

from overmem.errors import DataError
from overmem.perturbations import pair_variant
from overmem.records import Example


def rows(*ids, **fields):
    return [Example(id_, f"clean {id_}", f"solution {id_}", f"answer {id_}", **fields) for id_ in ids]


def test_pairs_come_in_clean_order_with_the_clean_answer():
    variants = [
        Example("c", "new c", "", None),
        Example("a", "new a", "own solution", None),
        Example("b", "new b", "", "own answer"),
    ]
    assert pair_variant("mine", rows("a", "b", "c", "d"), variants) == (
        Example("a", "new a", "own solution", "answer a"),
        Example("b", "new b", "", "own answer"),
        Example("c", "new c", "solution c", "answer c"),
    )


def test_rows_that_cannot_be_paired_are_an_error():
    variants = rows("v", "a", "w", "x", "y")
    with pytest.raises(
        DataError, match=r"`mine`(.|\n)*4 of 5 ids: v, w, x, \.\.\.\n(.|\n)*such as a, b"
    ) as e:
        pair_variant("mine", rows("a", "b"), variants)
    assert "y" not in e.value.got
    with pytest.raises(DataError, match=r"variant `mine` has ids(.|\n)*1 ids: a"):
        pair_variant("mine", rows("a", "b"), rows("a", "b", "a"))
    with pytest.raises(DataError, match=r"clean examples(.|\n)*1 ids: b"):
        pair_variant("mine", rows("a", "b", "b"), rows("a"))
    with pytest.raises(DataError, match="no rows"):
        pair_variant("mine", rows("a"), [])
