"""The exhibits together: what they compare, and what they say where rows are missing.

Covers: overmem.reporting.exhibits.exhibit, overmem.reporting.exhibits.memorized
"""

import json
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import overmem
from overmem.reporting.exhibits.build import Exhibits
from overmem.reporting.exhibits.exhibit import Exhibit
from overmem.reporting.run import read_saved
from tests.helpers.synthetic import write_run


def named(exhibits: Exhibits, name: str) -> Exhibit:
    return next(item for item in exhibits.figures if item.name == name)


def test_exhibits_compare_what_would_ship_with_the_last(exhibits: Exhibits) -> None:
    assert (exhibits.first, exhibits.second) == ("checkpoint-300", "checkpoint-600")
    for item in exhibits.figures:
        assert item.reason is None, item.reason
        assert set(item.words) == {"checkpoint-300", "checkpoint-600"}
        assert "n = " in item.measured and "interval" in item.measured
        assert item.table.rows and all(len(row) == len(item.table.columns) for row in item.table.rows)
    rising = named(exhibits, "membership-roc").compared["checkpoint-300", "checkpoint-600"]
    assert "+" in rising and "95% interval" in rising


def test_memorized_rows_are_listed_and_their_curve_ends_at_all_of_it(exhibits: Exhibits) -> None:
    found = named(exhibits, "memorized-rows")
    assert found.figure is not None
    for traces in found.figure.series.values():
        shares, carried = traces[0]["x"], traces[0]["y"]
        assert (shares[0], carried[0]) == (0, 0) and (shares[-1], carried[-1]) == (1, 1)
        # The highest come first, so no later row carries more than an earlier one.
        steps = [
            (b - a) / (d - c) for (a, b), (c, d) in zip(pairwise(carried), pairwise(shares), strict=True)
        ]
        assert all(later <= earlier + 0.02 for earlier, later in pairwise(steps))
    assert found.table.columns[:3] == ("checkpoint", "example_id", "excess")


def test_core_only_says_which_command_measures_the_rest(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "a run", axes=False, train=False, tokenizer=False)
    overmem.diagnose(folder)
    found = read_saved(folder).exhibits
    assert found is not None
    reasons = {item.name: item.reason for item in found.figures}
    assert reasons["reliability-tokens"] is None and reasons["excess-nll"] is None
    assert f"overmem audit '{folder}'" in str(reasons["pass-at-k"])
    assert "--axes likelihood,accuracy,diversity" in str(reasons["pass-at-k"])
    assert "--train TRAIN.jsonl" in str(reasons["membership-roc"])
    assert "recall" in str(found.verbatim.reason)
    assert "tokenizer.json" in str(found.tokens.reason)
    page = overmem.report(folder).read_text(encoding="utf-8")
    assert "--axes all" in page


def test_a_foreign_tokenizer_leaves_the_view_out(tmp_path: Path) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers

    folder = write_run(tmp_path / "run")
    words = Tokenizer(models.WordLevel(vocab={"?": 0}, unk_token="?"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    for path in folder.glob("*/tokenizer.json"):
        words.save(str(path))
    overmem.diagnose(folder)
    found = read_saved(folder).exhibits
    assert found is not None and not found.tokens.examples
    assert "other tokens" in str(found.tokens.reason)
    training = read_saved(folder, with_lists=True).training
    assert training is not None and training.unsplit > 0


def test_every_figure_is_valid_plotly(exhibits: Exhibits) -> None:
    from plotly.graph_objects import Figure

    from overmem.reporting.figures.theme import DARK

    roles = {**DARK.roles()["all"], **DARK.roles()["second"]}

    def filled(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: filled(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [filled(item) for item in value]
        return roles.get(value, value) if isinstance(value, str) else value

    for item in exhibits.figures:
        assert item.figure is not None
        for traces in item.figure.series.values():
            Figure(filled({"data": [*item.figure.base, *traces], "layout": item.figure.layout}))
        assert "@" not in json.dumps(filled(item.figure.layout))


def test_the_report_of_an_audit_imports_no_model_library(run: Path, tmp_path: Path) -> None:
    code = (
        "import sys, overmem; overmem.report(sys.argv[1], out=sys.argv[2]);"
        "assert not {'torch', 'transformers', 'scipy', 'pandas'} & set(sys.modules), sorted(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code, str(run), str(tmp_path / "r.html")], check=True)
