"""The view of single tokens: the completions whose NLL rose most."""

from pathlib import Path

import polars as pl
import pytest

from overmem.reporting.exhibits.build import Exhibits
from overmem.reporting.exhibits.tokens import shade
from overmem.reporting.run import read_saved
from tests.helpers.synthetic import END


def test_shades_grow_with_improbability() -> None:
    steps = shade((-0.0, -0.01, -0.7, -3.0, -6.0, -40.0))
    assert steps == sorted(steps) and steps[0] == steps[1] == 0 and steps[-2:] == [8, 8]


def test_token_view_takes_the_largest_rises_and_says_of_how_many(exhibits: Exhibits, run: Path) -> None:
    view = exhibits.tokens
    assert view.n == 60 and len(view.examples) == 3 and view.mismatched == 0
    rises = [e.readings[view.after].nll_nats - e.readings[view.before].nll_nats for e in view.examples]
    saved = read_saved(run)
    tables = [
        saved.store.read_rows(name, "likelihood").filter(pl.col("split") == "val").sort("example_id")
        for name in (view.before, view.after)
    ]
    every = (tables[1]["nll_nats"] - tables[0]["nll_nats"]).sort(descending=True).to_list()
    assert rises == pytest.approx(every[:3])
    for example in view.examples:
        assert "".join(example.texts_T).endswith(END)
        assert all(len(r.logprob_T) == len(example.texts_T) for r in example.readings.values())
