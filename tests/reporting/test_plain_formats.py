"""The report as Markdown and JSON, its commands, and the command line."""

import json
import shlex
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import overmem
from overmem.artifacts.store import Store
from overmem.cli.app import app
from overmem.errors import OvermemError
from overmem.reporting.plain_formats import markdown_report
from overmem.reporting.provenance import audit_command, axes_command, commands, diagnose_command
from overmem.reporting.run import print_or_write, render
from tests.helpers.synthetic import write_run
from tests.reporting.test_html import HOSTILE, make_verdict, record_of


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_run(tmp_path_factory.mktemp("formats") / "my run")


def manifest(**config: Any) -> dict[str, Any]:
    base = {"val": "val.jsonl", "train": None, "limit": None, "seed": 0, "samples": 8, "temperature": 0.8}
    return {"config": {**base, **config}, "axes": ["likelihood", "accuracy"], "splits": {}}


def test_markdown_is_short_and_holds_the_verdict(run: Path) -> None:
    text = render(run, format="md")
    assert text.startswith("## overmem: my run\n")
    assert "**Over-memorized**" in text and "**Ship checkpoint-300.**" in text
    assert "Accuracy" in text and "Perplexity is inflated" in text
    assert "| checkpoint-600 (last) | 600 | over-memorized |" in text
    assert len(text.splitlines()) < 60
    assert shlex.quote(str(run)) in text


def test_markdown_cannot_be_broken_out_of() -> None:
    text = markdown_report(
        record_of(make_verdict(notes=(HOSTILE, "a | b\n# c", "[x](javascript:1)"))),
        {**manifest(val="`x` <b>"), "versions": {"a|b": "<i>"}},
        None,
        title=HOSTILE,
        run="a`b`` c",
    )
    outside = "\n".join(line for line in text.splitlines() if "overmem audit" not in line)
    assert "<" not in outside
    assert "](javascript" not in outside.replace("\\](", "")
    assert "a \\| b \\# c" in text
    assert "``` " in text or "```o" in text


def test_markdown_shows_the_headlines_and_the_repair_that_is_there() -> None:
    verdict = make_verdict()
    record = record_of(verdict)
    record["costs"][0]["headline"] = True
    text = markdown_report(record, None, None, title="t", run="t")
    assert "| diversity | pass at 8 |" in text and "worse" in text
    assert "Read from the training log alone" in text


def test_json_holds_records_and_data(run: Path) -> None:
    record = json.loads(render(run, format="json"))
    assert record["schema"] == "overmem.report/1"
    assert record["verdict"]["schema"] == "overmem.verdict/1"
    figures = record["exhibits"]["figures"]
    assert set(figures) >= {"reliability-tokens", "pass-at-k", "membership-roc", "excess-nll", "tokens"}
    for figure in figures.values():
        assert figure["reason"] is None and figure["rows"]
        assert all(len(row) == len(figure["columns"]) for row in figure["rows"])
    assert [c.split()[1] for c in record["measured"]["commands"]] == ["audit", "diagnose", "report"]


@pytest.mark.parametrize("format", ["html", "md", "json"])
def test_default_file_lies_among_the_artifacts(run: Path, format: str) -> None:
    assert overmem.report(run, format=format) == run / "overmem" / f"report.{format}"
    assert overmem.report(run / "overmem", format=format) == run / "overmem" / f"report.{format}"


def test_an_artifact_folder_stands_for_its_run(run: Path) -> None:
    assert render(run, format="md") == render(run / "overmem", format="md")


def test_unknown_formats_and_printed_pages_are_refused(run: Path, tmp_path: Path) -> None:
    with pytest.raises(OvermemError, match="expected: html, md, json"):
        overmem.report(run, format="pdf")
    with pytest.raises(OvermemError, match="not printed"):
        print_or_write(run, out="-")
    result = CliRunner().invoke(app, ["report", str(run), "--format", "pdf"])
    assert isinstance(result.exception, OvermemError)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("format", "start"), [("md", "## overmem"), ("json", "{")])
def test_out_dash_prints_and_writes_nothing(run: Path, format: str, start: str) -> None:
    before = set(Path.cwd().iterdir())
    result = CliRunner().invoke(app, ["report", str(run), "--format", format, "--out", "-"])
    assert result.exit_code == 0 and result.stdout.startswith(start)
    assert set(Path.cwd().iterdir()) == before


def test_audit_command_says_what_differs_from_the_defaults() -> None:
    assert audit_command(manifest(), "runs/a") == "overmem audit runs/a --val val.jsonl"
    found = audit_command(
        {
            **manifest(
                val="my val.jsonl",
                train="t[:9]",
                variants={"typo": None, "mine": "m'x.jsonl"},
                limit=50,
                limits={"recall": 10},
                samples=4,
                seed=3,
                max_new_tokens=82,
                budget_minutes=2.5,
                grader="regex:#### (\\d+)",
                device="auto",
                trust_remote_code=True,
                template={"kind": "chat", "prompt_format": "Q: {prompt}\nA:"},
            ),
            "axes": ["accuracy", "likelihood", "ood"],
            "splits": {"ood/far": {"set": "ood/far", "source": "far.jsonl"}},
        },
        "-x y",
    )
    words = shlex.split(found)
    assert words[:5] == ["overmem", "audit", "./-x y", "--val", "my val.jsonl"]
    for pair in (
        ("--axes", "likelihood,accuracy,ood"),
        ("--ood", "far=far.jsonl"),
        ("--variant", "typo"),
        ("--variant", "mine=m'x.jsonl"),
        ("--limit", "50"),
        ("--limit", "recall=10"),
        ("--samples", "4"),
        ("--seed", "3"),
        ("--max-new-tokens", "82"),
        ("--budget", "2.5"),
        ("--grader", "regex:#### (\\d+)"),
        ("--template", "chat"),
        ("--prompt-format", "Q: {prompt}\nA:"),
    ):
        assert pair in list(pairwise(words)), pair
    assert "--trust-remote-code" in words and "--device" not in words and "--temperature" not in words


def test_the_audit_command_is_one_that_the_command_line_takes() -> None:
    import typer

    known = {
        option
        for parameter in typer.main.get_command(app).commands["audit"].params  # type: ignore[attr-defined]
        for option in parameter.opts
    }
    full = manifest(
        train="t", limit=1, limits={"ood": 1}, samples=2, temperature=1.0, budget_minutes=1, grader="exact",
        max_new_tokens=9, base_model="b", seed=1, device="cpu", dtype="float32", batch_tokens=1,
        checkpoints="all", variants={"typo": None}, allow_pickle=True, trust_remote_code=True,
        template={"kind": "plain", "prompt_format": "{prompt}!"},
    )  # fmt: skip
    used = {word for word in shlex.split(audit_command(full, "r")) if word.startswith("--")}
    assert used <= known and len(used) > 15


def test_other_commands_repeat_the_thresholds() -> None:
    verdict = {"thresholds": {"accuracy_margin": 0.03, "perplexity_ratio": 1.2, "resamples": 2000, "seed": 1}}
    assert diagnose_command(verdict, "r") == "overmem diagnose r --perplexity-ratio 1.2 --seed 1"
    assert commands(verdict, manifest(), "r")[2] == "overmem report r"
    assert axes_command(manifest(), "r") == "overmem audit r --val val.jsonl --train TRAIN.jsonl --axes all"
    assert axes_command({**manifest(), "axes": ["likelihood", "ood"]}, "r") is None


def test_a_verdict_of_other_rows_is_shown_without_exhibits(run: Path, tmp_path: Path) -> None:
    store = Store(tmp_path / "overmem")
    store.write_record("manifest", Store(run / "overmem").read_record("manifest", "overmem.manifest/1"))
    store.write_record("verdict", make_verdict().to_dict())
    page = render(tmp_path)
    assert "not shown" in page and 'data-figure="dynamics"' in page


def test_a_repair_of_another_audit_is_left_out_and_said_so(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run")
    overmem.diagnose(folder)
    record = {"schema": "overmem.repair/1", "audited": "of something else", "words": ["Repaired: x"]}
    Store(folder / "overmem").write_record("repair", record)
    page = render(folder)
    assert "other weights or problems" in page and "Repaired: x" not in page
    assert "Repaired: x" not in render(folder, format="md")
