"""A run audited more than once: what changed in between must not slip into the verdict unsaid.

Covers: overmem.verdict.diagnose, overmem.verdict.audited.judged, overmem.verdict.audited.notes,
    overmem.verdict.audited.references, overmem.verdict.warnings.truncation
"""

import copy
import json
import os
import shutil
from datetime import datetime

import pytest
from typer.testing import CliRunner

import overmem
from overmem.artifacts.manifest import read_manifest
from overmem.artifacts.store import Store
from overmem.cli.app import app
from overmem.errors import ArtifactError, DataError, OvermemError
from overmem.rendering.render import render
from overmem.rendering.template import Template
from overmem.rule import Rule
from overmem.tasks.sources import Example
from overmem.verdict.seeds import diagnose_seeds
from tests.conftest import VAL_ROWS, make_pico, save_checkpoint
from tests.helpers.adapters import foreign_checkpoint

GRADER = "regex:([a-z])"


@pytest.fixture
def val(tmp_path):
    return write_val(tmp_path / "val.jsonl")


@pytest.fixture
def enough(tmp_path):
    """Problems enough for a verdict that compares checkpoints."""
    return write_val(tmp_path / "val.jsonl", times=8)


@pytest.fixture
def inflated(tmp_path, tokenizer):
    """A run whose last checkpoint is less sure of everything, so that it is compared with an earlier one."""
    run = tmp_path / "inflated"
    for step, factor in ((10, 1.0), (20, 1.0), (100, 2.0)):
        model = make_pico(tokenizer, seed=step)
        model.get_input_embeddings().weight.data *= factor
        save_checkpoint(run / f"checkpoint-{step}", model, tokenizer, step)
    return run


def write_val(path, say="{}", letters="abcdefgh", times=2):
    rows = [
        row | {"id": f"p{i}", "answer": letters[i % len(letters)]} for i, row in enumerate(VAL_ROWS * times)
    ]
    rows = [
        row | {"prompt": f"{i}. {row['prompt']}", "completion": say.format(row["completion"])}
        for i, row in enumerate(rows)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def audit(run, val, *axes, **options):
    settings = {"max_new_tokens": 6, "samples": 2, "grader": GRADER, "checkpoints": "all"}
    return overmem.audit(
        run, val=val, axes=",".join(("likelihood", "accuracy", *axes)), **(settings | options)
    )


def said(run):
    return "\n".join(overmem.diagnose(run).notes)


def call(*arguments):
    """The exit code and the message of a command; `main` makes 2 of our errors."""
    done = CliRunner().invoke(app, list(map(str, arguments)))
    ours = isinstance(done.exception, OvermemError)
    return (2 if ours else done.exit_code), done.output + (str(done.exception) if ours else "")


def check(run, *options):
    return call("check", run, "--fail-on", "overfit,undetermined", *options)[0]


def test_a_checkpoint_that_is_gone_is_said(pico_run, val):
    audit(pico_run, val)
    first = min(path.name for path in pico_run.glob("checkpoint-*"))
    assert "no longer" not in said(pico_run)
    shutil.rmtree(pico_run / first)
    for _ in range(2):
        audit(pico_run, val)
        assert f"{first}: measured before and no longer in the run's folder" in said(pico_run)


def test_a_folder_that_changed_since_its_audit_is_said_and_not_passed(pico_run, val, tokenizer):
    audit(pico_run, val)
    assert "audit` again" not in said(pico_run) and check(pico_run) in (0, 1)
    save_checkpoint(pico_run / "checkpoint-900", make_pico(tokenizer, seed=9), tokenizer, 900)
    assert "checkpoint-900 is in the folder and not in the audit" in said(pico_run)
    code, output = call("check", pico_run)
    assert code == 2 and "changed since it was audited" in output
    audit(pico_run, val)
    assert check(pico_run) in (0, 1)
    (pico_run / "checkpoint-900" / "optimizer.pt").write_bytes(b"x")
    assert check(pico_run) in (0, 1)


@pytest.mark.parametrize("older", [False, True])
def test_content_is_compared_and_times_are_not(pico_run, val, tokenizer, tmp_path, older):
    audit(pico_run, val)
    if older:
        forget_folders(pico_run)
    file = pico_run / "checkpoint-20" / "model.safetensors"
    content, times = file.read_bytes(), (file.stat().st_atime_ns, file.stat().st_mtime_ns)
    for at in (0, 4e9):
        os.utime(file, (at, at))
        assert "audit` again" not in said(pico_run) and check(pico_run) in (0, 1)
    make_pico(tokenizer, seed=9).save_pretrained(tmp_path / "other")
    file.write_bytes((tmp_path / "other" / "model.safetensors").read_bytes())
    os.utime(file, ns=times)
    assert "checkpoint-20 holds other weights than when it was audited: run" in said(pico_run)
    for place in (pico_run, pico_run / "overmem"):
        code, output = call("check", place)
        assert code == 2 and "checkpoint-20 holds other weights" in output
    overmem.report(pico_run, format="json")
    assert "holds other weights" in (pico_run / "overmem" / "report.json").read_text()
    # An artifact folder elsewhere holds no checkpoints to compare with.
    shutil.copytree(pico_run / "overmem", tmp_path / "elsewhere")
    assert "audit` again" not in said(tmp_path / "elsewhere")
    file.write_bytes(content)
    assert "audit` again" not in said(pico_run) and check(pico_run) in (0, 1)
    file.unlink()
    assert check(pico_run) in (0, 1)


def forget_folders(run):
    """Make a manifest one of an older overmem."""
    path = run / "overmem" / "manifest.json"
    record = json.loads(path.read_text())
    for model in (*record["checkpoints"], record["base"]):
        if model is not None:
            del model["folders"]
    path.write_text(json.dumps(record))


def test_a_report_says_what_changed_after_the_verdict_was_saved(pico_run, val, tokenizer):
    audit(pico_run, val)
    overmem.diagnose(pico_run)
    assert "other weights" not in overmem.report(pico_run, format="md").read_text()
    make_pico(tokenizer, seed=9).save_pretrained(pico_run / "checkpoint-20")
    assert "checkpoint-20 holds other weights" in overmem.report(pico_run, format="md").read_text()


def test_full_sees_what_sampled_blocks_miss(pico_run, val, monkeypatch):
    from overmem.verdict.warnings import staleness

    audit(pico_run, val)
    file = pico_run / "checkpoint-20" / "model.safetensors"
    noted = {c.name: c.folders[0].sampled for c in read_manifest(Store(pico_run / "overmem")).checkpoints}
    monkeypatch.setattr(staleness, "sampled_fingerprint", lambda folder: noted[folder.name])
    content = bytearray(file.read_bytes())
    content[-100] ^= 1
    file.write_bytes(content)
    assert check(pico_run) in (0, 1)
    assert check(pico_run, "--full") == 2


@pytest.mark.parametrize("older", [False, True])
def test_the_base_model_under_adapters_is_compared_where_it_is_there(tmp_path, base, val, tokenizer, older):
    for step in (10, 20):
        foreign_checkpoint(tmp_path / "run", base, step, tokenizer)
    audit(tmp_path / "run", val)
    if older:
        forget_folders(tmp_path / "run")
    assert check(tmp_path / "run") in (0, 1)
    make_pico(tokenizer, seed=9).save_pretrained(base)
    code, output = call("check", tmp_path / "run")
    assert code == 2 and "other weights than when it was audited" in output
    shutil.rmtree(base)
    if older:
        assert (
            "cannot be compared with the audit, whose base model is no longer there"
            in call("check", tmp_path / "run")[1]
        )
    else:
        assert check(tmp_path / "run") in (0, 1)


def test_check_saves_nothing_and_takes_the_thresholds(pico_run, val):
    audit(pico_run, val)
    overmem.diagnose(pico_run, Rule(perplexity_ratio=3.0, accuracy_margin=0.5))
    saved = (pico_run / "overmem" / "verdict.json").read_bytes()
    assert check(pico_run) in (0, 1)
    assert (pico_run / "overmem" / "verdict.json").read_bytes() == saved
    assert check(pico_run, "--perplexity-ratio", "0.5") == 2


def test_rows_of_other_settings_are_not_compared(inflated, enough):
    names = sorted((path.name for path in inflated.glob("checkpoint-*")), key=lambda n: int(n.split("-")[1]))
    audit(inflated, enough, "diversity", checkpoints=",".join(names[:-1]), max_new_tokens=3)
    audit(inflated, enough, "diversity", checkpoints=names[-1], max_new_tokens=6)
    verdict = overmem.diagnose(inflated)
    assert "diversity" not in {cost.axis for cost in verdict.costs}
    assert any(note.startswith("sample val: measured at") for note in verdict.notes)
    audit(inflated, enough, "diversity")
    verdict = overmem.diagnose(inflated)
    assert "diversity" in {cost.axis for cost in verdict.costs}
    assert not any("other settings" in note for note in verdict.notes)


@pytest.mark.exhaustive
def test_perturbations_that_another_grader_judged_are_not_compared(inflated, enough, tmp_path):
    audit(inflated, enough, "robustness", variants={"typo": None})
    assert "robustness" in {cost.axis for cost in overmem.diagnose(inflated).costs}
    # Another grader; then, by the same one, other answers.
    for letters in ("abcdefgh", "bcdefgha"):
        written, other = write_val(tmp_path / "val.jsonl", letters=letters, times=8), "regex:([e-z])"
        audit(inflated, written, grader=other)
        verdict = overmem.diagnose(inflated)
        assert "robustness" not in {cost.axis for cost in verdict.costs}
        assert any(note.startswith("robustness: asked for in some audit") for note in verdict.notes)
        audit(inflated, written, "robustness", variants={"typo": None}, grader=other)
        assert "robustness" in {cost.axis for cost in overmem.diagnose(inflated).costs}


def test_an_axis_measured_on_other_data_does_not_count_as_measured(inflated, enough, tmp_path):
    first, second = (write_val(tmp_path / f"far{i}.jsonl", say=f"{{}} {i}", times=8) for i in (1, 2))
    last = max((path.name for path in inflated.glob("checkpoint-*")), key=lambda n: int(n.split("-")[1]))
    audit(inflated, enough, "ood", ood={"far": first})
    audit(inflated, enough, "ood", ood={"far": second}, checkpoints=last)
    assert "the other axes were not all measured at" in said(inflated)


def test_seeds_on_other_problems_under_the_same_ids_are_refused(pico_run, tmp_path, val):
    other = tmp_path / "seed-1"
    shutil.copytree(pico_run, other)
    audit(pico_run, val)
    audit(other, write_val(tmp_path / "other.jsonl", say="{} and so on"))
    with pytest.raises(ArtifactError, match="share no problem"):
        diagnose_seeds([pico_run, other])


def test_ends_that_training_never_showed_and_cut_answers_are_said(pico_run, val):
    audit(pico_run, val)
    found = said(pico_run)
    assert "of the answers at" in found and "cut at 6 tokens" in found
    assert "audit with --no-eos" in found
    shown = ["audit", pico_run, "--val", val, "--grader", GRADER, "--show-prompt"]
    assert "<|end|>" in call(*shown)[1] and "<|end|>" not in call(*shown, "--no-eos")[1]


def test_answers_that_never_leave_their_reasoning_are_wrong_and_counted(pico_run, tmp_path):
    path = tmp_path / "thinking.jsonl"
    write_val(tmp_path / "plain.jsonl")
    rows = list(map(json.loads, (tmp_path / "plain.jsonl").read_text().splitlines()))
    path.write_text("".join(json.dumps(row | {"prompt": row["prompt"] + " <think>"}) + "\n" for row in rows))
    audit(pico_run, path)
    found = said(pico_run)
    assert f"{len(rows)} of {len(rows)} answers at" in found and "end inside their reasoning" in found
    assert overmem.diagnose(pico_run).checkpoints[-1].accuracy.value == 0


def test_a_padding_token_without_an_embedding_is_never_looked_up(tmp_path, tokenizer, val):
    tokenizer = copy.deepcopy(tokenizer)
    tokenizer.add_special_tokens({"pad_token": "[PAD]"})
    assert tokenizer.pad_token_id == 715
    for step in (1, 2):
        save_checkpoint(
            tmp_path / f"run/checkpoint-{step}", make_pico(tokenizer, step, vocab_size=715), tokenizer, step
        )
    assert audit(tmp_path / "run", val, "diversity").manifest.skipped == {}


@pytest.mark.parametrize("format", ["%d %b %Y", "%Y-%m-%d", "%A, %B %d, %Y", "%d/%m/%y %H:%M:%S"])
def test_a_chat_template_that_prints_the_date_renders_the_same_every_day(tokenizer, format):
    tokenizer = copy.deepcopy(tokenizer)
    turns = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}"
    tokenizer.chat_template = (
        "{%- if not date_string is defined %}{%- if strftime_now is defined %}"
        f"{{%- set date_string = strftime_now('{format}') %}}{{%- endif %}}{{%- endif %}}"
        "Today: {{ date_string }}\n" + turns + "{% if add_generation_prompt %}assistant: {% endif %}"
    )
    example = Example(id="a", prompt="2+2?", completion="4", answer="4")
    found = render(example, tokenizer, Template(kind="chat"))
    day = datetime(2024, 7, 26).strftime(format)
    assert found.prompt_text == f"Today: {day}\nuser: 2+2?\nassistant: " and found.completion_text == "4\n"


def test_two_audits_of_one_run_do_not_mix(pico_run, val):
    with Store.of_run(pico_run).locked(), pytest.raises(ArtifactError, match="another overmem is measuring"):
        audit(pico_run, val)
    audit(pico_run, val)
    assert not list(pico_run.rglob(".lock"))


def test_a_manifest_of_another_tool_is_not_taken_for_ours(pico_run, val):
    (pico_run / "manifest.json").write_text('{"files": []}')
    audit(pico_run, val)
    assert Store.of_run(pico_run).root == pico_run / "overmem"
    (pico_run / "overmem" / "manifest.json").write_text("{")
    assert Store.of_run(pico_run / "overmem").root == pico_run / "overmem"


@pytest.mark.parametrize(
    "options",
    [
        ["diagnose", "RUN", "--seed", "-1"],
        ["compare", "RUN", "RUN", "--accuracy-margin", "nan"],
        ["compare", "RUN", "RUN", "--resamples", "0"],
        ["audit", "RUN", "--val", "VAL", "--temperature", "inf"],
        ["audit", "RUN", "--val", "VAL", "--budget", "inf"],
    ],
    ids=lambda options: " ".join(options),
)
def test_settings_without_a_meaning_are_one_message(pico_run, val, options):
    if options[0] == "compare":
        audit(pico_run, val)
    code, output = call(*({"RUN": pico_run, "VAL": val}.get(part, part) for part in options))
    assert code == 2, output


def test_a_ratio_without_a_meaning_is_refused_on_a_log_too(tmp_path):
    state = {"log_history": [{"step": s, "eval_loss": 1.0 + s} for s in (1, 2)], "global_step": 2}
    (tmp_path / "trainer_state.json").write_text(json.dumps(state))
    with pytest.raises(DataError, match="perplexity_ratio"):
        overmem.diagnose(tmp_path, Rule(perplexity_ratio=0.5))
