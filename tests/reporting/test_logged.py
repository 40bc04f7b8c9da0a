"""The page and the Markdown of a log's verdict: from the record alone, escaped, with its figure."""

import json
from pathlib import Path

import pytest

from overmem.records import Verdict
from overmem.reporting.html import render_report
from overmem.reporting.logged import evaluation_figure, logged_markdown, render_logged_page
from overmem.reporting.markdown import markdown_report
from overmem.verdict.logged import read_logged
from tests.helpers.verdicts import make_verdict


@pytest.fixture
def verdict(tmp_path: Path) -> Verdict:
    rows = [
        {"step": s, "eval_loss": 1 + abs(s - 3) / 9, "eval_wer": 9 - s, "eval_<b>_loss": s}
        for s in range(1, 7)
    ]
    (tmp_path / "trainer_state.json").write_text(json.dumps({"global_step": 6, "log_history": rows}))
    return read_logged(tmp_path)


def test_the_page_says_what_to_keep_and_draws_each_series(verdict: Verdict) -> None:
    page = render_report(verdict, title="<i>run</i>")
    assert "The log alone would keep" in page and "step 6" in page
    assert "undefined" not in page.lower().split("<script")[0]
    assert 'data-figure="logged-0"' in page and '"logged-0"' in page.split("figure-data")[1]
    assert "<i>run</i>" not in page and "eval_<b>" not in page.split("figure-data")[0]


def test_the_record_from_disk_makes_the_same_page(verdict: Verdict) -> None:
    again = Verdict.from_dict(json.loads(json.dumps(verdict.to_dict(), allow_nan=False)))
    assert render_logged_page(again, title="run") == render_logged_page(verdict, title="run")


def test_the_figure_marks_the_best(verdict: Verdict) -> None:
    assert verdict.logged is not None
    one = next(one for one in verdict.logged.runs[0].series if one.key == "eval_loss")
    (line,) = evaluation_figure(one).base
    assert line["y"] == [pytest.approx(point.value, abs=1e-6) for point in one.points]
    assert line["marker"]["symbol"].index("diamond") == 2


def test_markdown_has_the_words_and_a_table(verdict: Verdict) -> None:
    text = markdown_report(verdict, None, None, title="run", run="run")
    assert text == logged_markdown(verdict, title="run")
    assert "**Keep:** step 6" in text and "| step | epoch |" in text
    assert "<b>" not in text and "undefined" not in text


def test_each_run_of_a_folder_is_answered_and_drawn(tmp_path: Path) -> None:
    for step, loss in ((5, 1.25), (9, 2.5)):
        (tmp_path / f"checkpoint-{step}").mkdir()
        state = {"global_step": step, "log_history": [{"step": step, "eval_loss": loss}]}
        (tmp_path / f"checkpoint-{step}" / "trainer_state.json").write_text(json.dumps(state))
    verdict = read_logged(tmp_path)
    page = render_logged_page(verdict, title="run").split("figure-data")[0]
    assert page.count("The log alone would keep") == 2
    assert page.index("Run 1 of 2, read") < page.index("Run 2 of 2, read")
    assert ">run 1, eval_loss</h2>" in page and ">run 2, eval_loss</h2>" in page
    text = logged_markdown(verdict, title="run")
    assert "**Keep (run 2, checkpoint-5:" in text and "| step | epoch | run 2, eval\\_loss |" in text


def test_only_a_log_has_such_a_page() -> None:
    with pytest.raises(ValueError, match="no reading of a log"):
        render_logged_page(make_verdict(6), title="run")
    with pytest.raises(ValueError, match="no reading of a log"):
        logged_markdown(make_verdict(6), title="run")
