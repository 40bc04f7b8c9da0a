"""Records as a notebook shows them: whole, and escaped."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from overmem.artifacts.manifest import Manifest
from overmem.artifacts.manifest_parts.measured_sets import MeasuredSet
from overmem.artifacts.manifest_parts.model_rows import CheckpointRows
from overmem.artifacts.store import Store
from overmem.auditing.run import Audit
from overmem.records import Attempt, Checkpoint, Cost, Estimate, Proof, Repair, Run
from tests.verdict.test_gate import memorized  # noqa: F401

HOSTILE = "<script>alert('x')</script>"


def test_a_run_shows_its_checkpoints_and_what_was_left_out_without_running_their_names():
    checkpoint = Checkpoint(name=HOSTILE, step=10, path=Path("x"), kind="full", epoch=0.5)
    run = Run(path=Path("runs/a"), checkpoints=(checkpoint,), skipped={"checkpoint-20": "truncated\nmore"})
    shown = run._repr_html_()
    assert "<script>" not in shown and "&lt;script&gt;" in shown and "truncated" in shown and "0.5" in shown


def test_a_verdict_shows_every_stage_and_the_one_to_ship_in_bold(memorized):  # noqa: F811
    shown = memorized._repr_html_()
    assert shown.count("<tr>") == 1 + len(memorized.checkpoints)
    assert f"<b>{memorized.recommended.name}</b>" in shown and "over-memorized" in shown


def test_a_checkpoint_of_a_verdict_is_one_line(memorized):  # noqa: F811
    last = memorized.checkpoints[-1]
    assert repr(last).startswith(f"Checkpoint {last.name}, step {last.step}: over-memorized, ")
    assert "; accuracy " in repr(last) and "perplexity" in repr(last) and len(repr(last)) < 200
    undecided = replace(last, stage="undetermined", leaning="fit", confidence=0.6, name=HOSTILE)
    assert "undetermined, leans fit, 60% confidence;" in repr(undecided)
    assert undecided._repr_html_().count("<tr>") == 2 and "<script>" not in undecided._repr_html_()


def test_an_audit_shows_its_sets(tmp_path):
    val = MeasuredSet(
        set="val", variant="clean", source="val.jsonl", shape="", grader="math", n=12, fingerprint="",
        example_ids=(), example_shas=(),
    )  # fmt: skip
    rows = tuple(CheckpointRows(name=f"checkpoint-{step}", step=step, weights="") for step in (10, 20))
    manifest = Manifest(splits={"val": val}, checkpoints=rows, axes=("accuracy",))
    shown = Audit(store=Store(tmp_path), manifest=manifest)._repr_html_()
    assert "val.jsonl" in shown and "2 checkpoints" in shown


def test_a_repair_shows_before_and_after():
    cost = Cost(
        axis="likelihood",
        measure="nll",
        against="checkpoint-10",
        difference=Estimate(-0.1, -0.2, -0.05, n=30),
        direction="lower",
        value=0.4,
        reference_value=0.5,
        headline=True,
    )
    proof = Proof(accepted=True, probability_not_worse=1.0, gains=("nll",), reason="r", differences=(cost,))
    attempt = Attempt(name="soup", method="soup", checkpoints=("a", "b"), weights=(0.5, 0.5), nll_nats=0.4)
    repair = Repair(
        run=Path("r"),
        before="checkpoint-10",
        last="checkpoint-20",
        n_search=10,
        n_confirm=30,
        attempts=(attempt,),
        winner="soup",
        proof=proof,
        against_last=(),
        temperature=None,
        retraining=None,
        model=None,
        words=("Repaired.",),
    )
    shown = repair._repr_html_()
    assert "-0.100 [-0.200,-0.050]" in shown and "better" in shown and "Repaired." in shown


def test_showing_a_run_needs_no_torch():
    code = (
        "import sys, overmem; overmem.Run; import overmem.reporting.notebook; print('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False\n"


def test_records_are_short_in_a_console(memorized, tmp_path):  # noqa: F811
    lines, found = repr(memorized).splitlines(), memorized.checkpoints
    assert lines[0] == f"Verdict of {len(found)} checkpoints, step {found[0].step} to {found[-1].step}"
    assert lines[1].startswith("  Stage  over-memorized")
    assert lines[2].startswith(f"  Ship   {memorized.recommended.name} (")
    assert len(lines) == 3
    checkpoint = Checkpoint(name="checkpoint-10", step=10, path=Path("x"), kind="full", epoch=0.5)
    run = Run(path=Path("runs/a"), checkpoints=(checkpoint,), skipped={"checkpoint-20": "truncated"})
    assert repr(run) == "Run runs/a: 1 checkpoints, checkpoint-10, 1 skipped"


def test_a_verdict_shows_its_figure(memorized):  # noqa: F811
    assert memorized._repr_html_().startswith("<svg ")
