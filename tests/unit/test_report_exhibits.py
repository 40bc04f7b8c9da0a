"""The exhibits: figures that agree with the axes' own, honest where rows are missing."""

import csv
import io
import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import polars as pl
import pytest

import overmem
from overmem.axes.calibration import ece_measure
from overmem.axes.diversity import pass_at_k
from overmem.records import Cost, Estimate
from overmem.reporting.downloads import csv_text, data_link, file_name
from overmem.reporting.exhibits.build import Exhibits
from overmem.reporting.exhibits.draws import Drawn
from overmem.reporting.exhibits.excess import CELLS, excess_cells
from overmem.reporting.exhibits.kinds import Exhibit, Table
from overmem.reporting.exhibits.membership import POINTS, roc_curve, thin
from overmem.reporting.exhibits.reliability import reliability_bins, token_items
from overmem.reporting.exhibits.samples import pass_curve
from overmem.reporting.exhibits.split import completion_tokens
from overmem.reporting.exhibits.tokens import shade
from overmem.reporting.figures.forest import forest_figure, forest_rows
from overmem.reporting.run import read_saved
from overmem.stats.excess import split_excess
from overmem.stats.roc import auroc
from tests.synthetic import END, byte_tokenizer, write_run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_run(tmp_path_factory.mktemp("full") / "run")
    overmem.diagnose(folder)
    return folder


@pytest.fixture(scope="module")
def exhibits(run: Path) -> Exhibits:
    found = read_saved(run).exhibits
    assert found is not None
    return found


def named(exhibits: Exhibits, name: str) -> Exhibit:
    return next(item for item in exhibits.figures if item.name == name)


def token_rows(logprobs: list[list[float]], top1: list[list[bool]], sure: list[list[float]]) -> pl.DataFrame:
    return pl.DataFrame({"logprob": logprobs, "is_top1": top1, "top1_logprob": sure})


def test_reliability_bins_are_those_of_the_axis() -> None:
    from sklearn.calibration import calibration_curve

    rng = np.random.default_rng(0)
    sure = np.log(rng.random((40, 9))).tolist()
    right = (rng.random((40, 9)) < 0.6).tolist()
    items = token_items(token_rows(sure, right, sure))
    bins = reliability_bins(items, "val:score")
    accuracy, stated = calibration_curve(items.correct_M, items.confidence_M, n_bins=15, strategy="quantile")
    assert [b.n for b in bins] == [24] * 15
    assert [b.confidence for b in bins] == pytest.approx(stated)
    assert [b.accuracy.value for b in bins] == pytest.approx(accuracy)
    assert all(b.accuracy.low <= b.accuracy.value <= b.accuracy.high for b in bins)
    gap = sum(b.n * abs(b.confidence - b.accuracy.value) for b in bins) / sum(b.n for b in bins)
    ece = ece_measure("ece", "val:score", 360, np.arange(360), items.confidence_M, items.correct_M)
    assert gap == pytest.approx(ece.value())


def test_pass_curve_is_the_unbiased_estimate_with_an_interval() -> None:
    from overmem.axes.diversity import ProblemSamples

    rights = [0, 1, 3, 5, 5, 2, 4, 0]
    problems = [
        ProblemSamples(
            example_id=str(i), texts=("x",) * 5, answers=("1",) * 5, correct=(True,) * c + (False,) * (5 - c)
        )
        for i, c in enumerate(rights)
    ]
    cut = ProblemSamples(example_id="cut", texts=("x",), answers=("1",), correct=(True,))
    curve = pass_curve([*problems, cut], 5)
    for k, point in enumerate(curve, start=1):
        assert point.value == pytest.approx(pass_at_k(5, rights, k).mean())
        assert point.n == len(problems)
        found = point.estimate()
        assert found.low <= found.value <= found.high and found.low < found.high
    assert [point.value for point in curve] == sorted(point.value for point in curve)


def test_roc_has_the_area_of_auroc_with_ties_and_survives_thinning() -> None:
    rng = np.random.default_rng(1)
    member, other = rng.integers(2, 30, 700) / 3, rng.integers(0, 28, 900) / 3
    fpr, tpr = roc_curve(member, other)
    assert (fpr[0], tpr[0], fpr[-1], tpr[-1]) == (0, 0, 1, 1)
    assert np.trapezoid(tpr, fpr) == pytest.approx(auroc(member, other))
    member, other = rng.normal(1, 1, 4000), rng.normal(0, 1, 4000)
    thinned = thin(roc_curve(member, other))
    assert len(thinned[0]) <= POINTS
    assert np.trapezoid(thinned[1], thinned[0]) == pytest.approx(auroc(member, other), abs=0.002)
    assert (thinned[0][0], thinned[1][0], thinned[0][-1], thinned[1][-1]) == (0, 0, 1, 1)


def test_cells_are_those_of_the_verdict_and_sum_to_the_excess() -> None:
    rng = np.random.default_rng(2)
    here, there = -rng.exponential(1, 60), -rng.exponential(1, 60)
    top, top_there = rng.random(60) < 0.5, rng.random(60) < 0.5
    rows, lowest = (
        token_rows([p[:20].tolist(), p[20:].tolist()], [t[:20].tolist(), t[20:].tolist()], [[0.0]] * 2)
        for p, t in ((here, top), (there, top_there))
    )
    values = {key: measure.value() for key, measure in excess_cells(rows, lowest).items()}
    split = split_excess(here, top, there, top_there)
    assert {key: pytest.approx(getattr(split, key)) for key in CELLS} == {key: values[key] for key in CELLS}
    assert values["all tokens"] == pytest.approx(split.total)


@pytest.mark.parametrize(
    ("prompt", "completion"),
    [
        ("Q: 1 + 1?\n", " 2, since 1 + 1 = 2.\n#### 2" + END),
        ("שלום", " مرحبا 🎉👩‍👩‍👧 é" + END),
        ("", "x"),
        ("a b", "c" + END),
    ],
)
def test_tokens_give_the_completion_back_whatever_it_holds(prompt: str, completion: str) -> None:
    tokenizer = byte_tokenizer()
    n = len(tokenizer.encode(completion).ids)
    texts = completion_tokens(tokenizer, prompt, completion, n)
    assert texts is not None
    assert len(texts) == n and "".join(texts) == completion
    assert completion_tokens(tokenizer, prompt, completion, n + 1) is None


def test_shades_grow_with_improbability() -> None:
    steps = shade((-0.0, -0.01, -0.7, -3.0, -6.0, -40.0))
    assert steps == sorted(steps) and steps[0] == steps[1] == 0 and steps[-2:] == [8, 8]


def test_exhibits_compare_what_would_ship_with_the_last(exhibits: Exhibits) -> None:
    assert (exhibits.first, exhibits.second) == ("checkpoint-300", "checkpoint-600")
    for item in exhibits.figures:
        assert item.reason is None, item.reason
        assert set(item.said) == {"checkpoint-300", "checkpoint-600"}
        assert "n = " in item.measured and "interval" in item.measured
        assert item.table.rows and all(len(row) == len(item.table.columns) for row in item.table.rows)
    rising = named(exhibits, "membership-roc").compared["checkpoint-300", "checkpoint-600"]
    assert "+" in rising and "95% interval" in rising


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


def test_recited_counts_what_became_verbatim(exhibits: Exhibits) -> None:
    found = exhibits.recited
    rows = {(name, example): exact for name, example, _, _, _, exact in found.rows}
    ids = {example for _, example in rows}
    became = {i for i in ids if rows["checkpoint-600", i] and not rows["checkpoint-300", i]}
    assert found.became == len(became) > 5
    assert len(found.examples) == 5 and {e.example_id for e in found.examples} <= became
    for example in found.examples:
        assert example.given and example.written and not found.unsplit
        assert example.same["checkpoint-600"] == example.n_compared > example.same["checkpoint-300"]


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
    assert "recall" in str(found.recited.reason)
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
    assert found.recited.unsplit and all(e.given and not e.written for e in found.recited.examples)


def cost(value: float, low: float, high: float, **more: Any) -> Cost:
    fields = {
        "axis": "diversity",
        "measure": "pass_at_8",
        "against": "checkpoint-1",
        "difference": Estimate(value, low, high, 400),
        "direction": "higher",
        "headline": True,
        "p_holm": 0.001,
        "value": 0.5,
        "reference_value": 0.6,
    }
    return Cost(**{**fields, **more})


def test_forest_counts_in_half_widths_and_right_is_worse() -> None:
    (row,) = forest_rows([cost(-0.10, -0.14, -0.06)])
    assert (row.at, row.low, row.high) == pytest.approx((2.5, 1.5, 3.5))
    (row,) = forest_rows([cost(-0.10, -0.14, -0.06, direction="lower")])
    assert row.at == pytest.approx(-2.5)
    assert forest_rows([cost(-0.1, -0.2, 0.0, headline=False), cost(0.1, math.nan, math.nan)]) == []
    assert forest_figure([], "last") is None


def test_forest_marks_what_adjusting_takes_away_and_what_is_off_the_scale() -> None:
    rows = forest_rows(
        [cost(-0.1, -0.14, -0.06, p_holm=0.2), cost(-0.1, -0.101, -0.099), cost(0.2, 0.1, 0.3)]
    )
    figure = forest_figure(rows, "last")
    assert figure is not None
    marks = [trace["marker"]["symbol"] for trace in figure.base if trace["mode"] == "markers"]
    assert marks == ["circle-open", "triangle-right", "circle"]
    low, high = figure.layout["xaxis"]["range"]
    assert all(low <= x <= high for trace in figure.base for x in trace["x"])


def test_every_figure_is_valid_plotly(exhibits: Exhibits) -> None:
    from plotly.graph_objects import Figure

    from overmem.reporting.figures.palette import DARK

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


def test_csv_reads_back_and_starts_no_formula() -> None:
    rows = (("=1+1", -0.5, math.nan, True), ('a "b",\nc', 2, None, False), ("@x", 1e-9, 0.1234567, None))
    table = Table(columns=("name", "x", "y", "z"), rows=rows)
    read = list(csv.reader(io.StringIO(csv_text(table))))
    assert read[0] == ["name", "x", "y", "z"]
    assert read[1] == ["'=1+1", "-0.5", "", "true"]
    assert read[2] == ['a "b",\nc', "2", "", "false"]
    assert read[3] == ["'@x", "1e-09", "0.123457", ""]
    kind, _, text = data_link(table).partition(",")
    assert kind == "data:text/csv;charset=utf-8" and unquote(text) == csv_text(table)
    assert not set(text) & set(" <>\"'#")
    assert file_name("../a/b c<script>", "tokens") == "overmem-a-b-c-script-tokens.csv"
    assert file_name("...", "tokens") == "overmem-run-tokens.csv"


def test_a_figure_without_spread_has_no_interval() -> None:
    drawn = Drawn(1.0, np.ones(100), 20)
    assert math.isnan(drawn.estimate().low) and "same value" in str(drawn.estimate().reason)
    assert drawn.minus(Drawn(0.5, np.ones(100) * 0.5, 10)).n == 10
    undefined = Drawn(math.nan, np.full(100, math.nan), 20, "too few").estimate()
    assert math.isnan(undefined.value) and undefined.reason == "too few"


def test_the_report_of_an_audit_imports_no_model_library(run: Path, tmp_path: Path) -> None:
    code = (
        "import sys, overmem; overmem.report(sys.argv[1], out=sys.argv[2]);"
        "assert not {'torch', 'transformers', 'scipy', 'pandas'} & set(sys.modules), sorted(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code, str(run), str(tmp_path / "r.html")], check=True)
