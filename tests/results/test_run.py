"""Results of lm-eval in a run's artifacts: which checkpoint, the same problems, and what a verdict says.

Covers: overmem.results.matching, overmem.results.pairing, overmem.results.writing,
    overmem.results.eval_loss, overmem.results.record, overmem.results.tokens,
    overmem.verdict.partial.imported, overmem.cli.commands.results
"""

import json
import math
import sys

import numpy as np
import pytest
from tokenizers import Regex, Tokenizer, models, pre_tokenizers
from typer.testing import CliRunner

import overmem
from overmem.artifacts.manifest import read_manifest
from overmem.artifacts.manifest_parts.imported import Score
from overmem.artifacts.store import Store
from overmem.cli.app import app
from overmem.errors import ArtifactError, DataError, OvermemError, RunError
from overmem.results.matching import Checkpoints, parse_given
from overmem.results.pairing import pair_results
from overmem.results.record import Result, samples_table
from overmem.results.run import import_results
from overmem.results.tokens import token_counter
from overmem.verdict.gate import check_verdict
from tests.helpers.results import (
    STEPS,
    lm_eval_sample,
    planted,
    write_checkpoints,
    write_lm_eval,
    write_tokenizer,
)

CORRECT, NLL = planted()


def answers(c, n=200):
    return [lm_eval_sample(at, CORRECT[c][at]) for at in range(n)]


def references(c, n=200):
    return [lm_eval_sample(at, 0, scored=NLL[c][at]) for at in range(n)]


@pytest.fixture
def run(tmp_path):
    return write_checkpoints(tmp_path / "run", losses=[0.5, 0.4, 0.5, 0.7])


def evaluated(run, tmp_path, likelihood=False, **settings):
    out = tmp_path / "results"
    for c, step in enumerate(STEPS):
        tasks = {"gsm8k": ("generate_until", answers(c))}
        if likelihood:
            tasks["gsm8k_references"] = ("loglikelihood", references(c))
        write_lm_eval(out, str(run / f"checkpoint-{step}"), tasks, **settings)
    return out


def test_answers_and_likelihoods_are_judged_as_an_audit(run, tmp_path):
    write_tokenizer(run / "checkpoint-100")
    found = import_results("lm-eval", evaluated(run, tmp_path, likelihood=True), run)
    assert found.rests_on == "answers and likelihoods of the same 200 problems"
    verdict = overmem.diagnose(run)
    n_tokens = np.full(200, 4.0)  # It is 7 .
    expected = overmem.judge(STEPS, CORRECT, NLL, n_tokens)
    assert verdict.evidence == "full" and verdict.stage == expected.stage == "over-memorized"
    assert [c.stage for c in verdict.checkpoints] == [c.stage for c in expected.checkpoints]
    for ours, theirs in zip(verdict.checkpoints, expected.checkpoints, strict=True):
        assert ours.accuracy.value == pytest.approx(theirs.accuracy.value)
        assert ours.nll_nats.value == pytest.approx(theirs.nll_nats.value, abs=1e-9)
    assert "no figure" not in verdict.severity.reason and "none a token" in verdict.severity.reason
    assert not check_verdict(verdict).passed
    assert overmem.report(run).stat().st_size > 10_000


def test_answers_alone_are_compared_in_pairs(tmp_path):
    run = write_checkpoints(tmp_path / "run")  # no eval_loss in the log
    import_results("lm-eval", evaluated(run, tmp_path), run)
    verdict = overmem.diagnose(run)
    assert verdict.evidence == "accuracy" and verdict.stage == "undetermined"
    assert verdict.recommended is None
    n = int(CORRECT[1].sum())
    said = f"checkpoint-200 is not better than checkpoint-300: {n} against {n} of 200"
    assert said in " ".join(verdict.words)
    with pytest.raises(RunError, match="no likelihood"):
        check_verdict(verdict)
    page = overmem.report(run, format="md").read_text()
    assert "**No stage**" in page and "imported from lm-eval: gsm8k, by exact\\_match,none" in page


def test_eval_loss_of_the_log_stands_in_and_says_so(run, tmp_path):
    import_results("lm-eval", evaluated(run, tmp_path), run)
    verdict = overmem.diagnose(run)
    assert verdict.evidence == "accuracy and eval_loss" and verdict.stage == "over-memorized"
    assert verdict.checkpoints[0].nll_nats.value == pytest.approx(0.5)
    assert "stands in" in verdict.checkpoints[0].nll_nats.reason
    assert any("taken as exact" in note for note in verdict.notes)
    with pytest.raises(RunError, match="no likelihood"):
        check_verdict(verdict)


def test_a_loss_that_may_be_no_cross_entropy_does_not_stand_in(tmp_path):
    run = write_checkpoints(tmp_path / "run", losses=[0.5, 0.4, 0.5, 0.7], of_language=False)
    import_results("lm-eval", evaluated(run, tmp_path), run)
    assert overmem.diagnose(run).evidence == "accuracy"


def test_a_log_of_some_checkpoints_does_not_stand_in(tmp_path):
    run = write_checkpoints(tmp_path / "run", losses=[0.5, 0.4])
    import_results("lm-eval", evaluated(run, tmp_path), run)
    verdict = overmem.diagnose(run)
    assert verdict.evidence == "accuracy"
    assert any("eval_loss is not read: the log has it of 2 of 4" in note for note in verdict.notes)


def test_aggregates_get_what_they_allow(run, tmp_path):
    for step, accuracy in zip(STEPS, (0.30, 0.52, 0.53, 0.51), strict=True):
        tasks = {"gsm8k": ("generate_until", (accuracy, 1000))}
        write_lm_eval(tmp_path / "results", str(run / f"checkpoint-{step}"), tasks)
    found = import_results("lm-eval", tmp_path / "results", run)
    assert found.manifest.imported.scores["checkpoint-300"] == Score(accuracy=0.53, n=1000)
    verdict = overmem.diagnose(run)
    assert verdict.evidence == "scores" and verdict.recommended is None
    words = " ".join(verdict.words)
    assert "checkpoint-300 is not better than checkpoint-200: 530 against 520 of 1,000" in words
    assert "not paired" in words and "cannot be paired" in words
    overmem.report(run)


def import_table(folder, rows):
    """A run with imported rows of a table: checkpoints 100 and 200, the columns of its first line."""
    (folder.parent / f"{folder.name}.csv").write_text("\n".join(rows) + "\n")
    return import_results("csv", folder.parent / f"{folder.name}.csv", write_checkpoints(folder))


def test_runs_with_answers_alone_are_compared_at_matched_accuracy(tmp_path):
    runs = []
    for name, wrong in (("a", 10), ("b", 9)):
        rows = [f"checkpoint-{c},{i},{int(i >= wrong)}" for c in (100, 200) for i in range(200)]
        import_table(tmp_path / name, ["checkpoint,example_id,correct", *rows])
        runs.append(tmp_path / name)
    found = overmem.compare(*runs)
    assert found.matched and found.better is None
    (accuracy,) = [one for one in found.differences if one.axis == "accuracy" and one.measure == "accuracy"]
    assert accuracy.difference.value == pytest.approx(-1 / 200)
    assert "has no likelihood" in " ".join(found.words)


def test_shares_alone_are_not_compared_and_it_is_said_why(tmp_path):
    for name in ("a", "b"):
        import_table(tmp_path / name, ["checkpoint,accuracy,n", "checkpoint-100,0.5,200"])
    with pytest.raises(ArtifactError, match="shares right alone were imported"):
        overmem.compare(tmp_path / "a", tmp_path / "b")


def test_a_repair_of_imported_results_is_refused_before_models_are_imported(tmp_path, monkeypatch):
    import_table(tmp_path / "a", ["checkpoint,example_id,correct", "checkpoint-100,1,1"])
    monkeypatch.setitem(sys.modules, "overmem.repairing.run", None)
    answer = CliRunner().invoke(app, ["repair", str(tmp_path / "a")])
    assert isinstance(answer.exception, RunError) and "these results were imported" in str(answer.exception)


def test_no_tokens_are_refused(tmp_path):
    with pytest.raises(DataError, match="`n_tokens` of 1 samples is out of range"):
        import_table(
            tmp_path / "a", ["checkpoint,example_id,correct,nll_nats,n_tokens", "checkpoint-100,1,1,0,0"]
        )


def test_the_same_import_twice_changes_nothing(run, tmp_path):
    results = evaluated(run, tmp_path)
    store = import_results("lm-eval", results, run).store
    rows = store.read_rows("checkpoint-100", "generations")
    first = overmem.diagnose(run)
    import_results("lm-eval", results, run)
    assert store.read_rows("checkpoint-100", "generations").equals(rows)
    assert overmem.diagnose(run).to_dict() == first.to_dict()


def test_another_import_takes_the_place_of_the_first(run, tmp_path):
    import_results("lm-eval", evaluated(run, tmp_path), run)
    csv = tmp_path / "table.csv"
    csv.write_text("checkpoint,example_id,correct\n" + "".join(
        f"checkpoint-{s},{i},{int(i % 2 == 0)}\n" for s in (100, 200) for i in range(40)
    ))  # fmt: skip
    store = import_results("csv", csv, run).store
    assert [item.name for item in read_manifest(store).checkpoints] == ["checkpoint-100", "checkpoint-200"]
    assert len(store.read_rows("checkpoint-100", "generations")) == 40
    assert overmem.diagnose(run).checkpoints[0].accuracy.n == 40


def test_an_audit_is_not_replaced(run, tmp_path):
    results = evaluated(run, tmp_path)
    store = import_results("lm-eval", results, run).store
    record = json.loads((store.root / "manifest.json").read_text())
    del record["imported"]
    (store.root / "manifest.json").write_text(json.dumps(record))
    with pytest.raises(ArtifactError, match="holds an audit"):
        import_results("lm-eval", results, run)
    assert import_results("lm-eval", results, run, out=tmp_path / "elsewhere").store.root.name == "elsewhere"


def test_an_audit_does_not_mix_its_rows_with_imported_ones(run, tmp_path):
    store = import_results("lm-eval", evaluated(run, tmp_path), run).store
    before = (store.root / "manifest.json").read_bytes()
    with pytest.raises(RunError, match="holds results that were imported"):
        overmem.audit(run, val="wordmath:val[:4]")
    assert (store.root / "manifest.json").read_bytes() == before


@pytest.mark.parametrize("metrics", [3, [{"exact_match": 1}]])
def test_a_record_of_another_shape_is_one_message(run, tmp_path, metrics):
    lines = [answers(0)[0] | {"metrics": metrics}]
    write_lm_eval(tmp_path / "results", str(run / "checkpoint-100"), {"gsm8k": ("generate_until", lines)})
    with pytest.raises(DataError, match="cannot be read as results of lm-eval"):
        import_results("lm-eval", tmp_path / "results", run)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"version": 2}, "another version of the task"),
        ({"shots": 0}, "another shots"),
        ({"prompt": "Reworded?"}, "1 of 200 prompts differ"),
        ({"sha": "another"}, "1 of 200 problems differ"),
    ],
)
def test_other_tasks_or_prompts_are_refused(run, tmp_path, change, message):
    results = evaluated(run, tmp_path)
    lines = answers(3)
    settings = {name: change[name] for name in ("version", "shots") if name in change}
    lines[7] = lm_eval_sample(7, 1.0, **{k: v for k, v in change.items() if k not in settings})
    tasks = {"gsm8k": ("generate_until", lines)}
    write_lm_eval(results, str(run / "checkpoint-400"), tasks, **settings)
    with pytest.raises(DataError, match=message):
        import_results("lm-eval", results, run)
    assert not (run / "overmem" / "manifest.json").exists()


def test_fewer_problems_at_one_checkpoint_are_paired_and_said(run, tmp_path):
    results = evaluated(run, tmp_path)
    write_lm_eval(results, str(run / "checkpoint-400"), {"gsm8k": ("generate_until", answers(3, n=150))})
    found = import_results("lm-eval", results, run)
    assert found.manifest.val.n == 150
    assert found.manifest.imported.notes == (
        "150 of 200 problems were asked at every checkpoint and are compared",
    )


def test_answers_without_a_grade_are_left_out_and_said(run, tmp_path):
    results = evaluated(run, tmp_path)
    lines = [line | {"exact_match": "maybe"} if at < 2 else line for at, line in enumerate(answers(3))]
    write_lm_eval(results, str(run / "checkpoint-400"), {"gsm8k": ("generate_until", lines)})
    found = import_results("lm-eval", results, run)
    assert found.manifest.val.n == 198
    assert "2 of 200 answers of checkpoint-400 lack a grade" in found.manifest.imported.notes[0]
    assert overmem.diagnose(run, save=False).checkpoints


def test_a_checkpoint_whose_answers_all_lack_a_grade_is_refused():
    rows = [{"id": str(i), "sha": "x", "correct": 1.0} for i in range(3)]
    good, none = (
        {
            "t": Result(
                source="f", tool="t", task="t", model="m", metric="acc", samples=samples_table(some, "f")
            )
        }
        for some in (rows, [row | {"correct": None} for row in rows])
    )
    with pytest.raises(DataError, match="no answer of b has a grade"):
        pair_results({"a": good, "b": none}, None)


def test_the_newest_results_of_a_checkpoint_count(run, tmp_path):
    results = evaluated(run, tmp_path)
    wrong = [lm_eval_sample(at, 0.0) for at in range(200)]
    file = write_lm_eval(
        results,
        str(run / "checkpoint-100"),
        {"gsm8k": ("generate_until", wrong)},
        date="2026-11-30T00-00-00.1",
    )
    record = json.loads(file.read_text())
    file.write_text(json.dumps({**record, "date": 1795999999.0}))
    import_results("lm-eval", results, run)
    assert overmem.diagnose(run).checkpoints[0].accuracy.value == 0


def test_several_tasks_need_a_name_or_a_pattern(run, tmp_path):
    results = tmp_path / "results"
    for c, step in enumerate(STEPS):
        tasks = {f"mmlu_{i}": ("generate_until", answers(c, n=100)) for i in range(3)}
        write_lm_eval(results, str(run / f"checkpoint-{step}"), tasks)
    with pytest.raises(DataError, match="several tasks"):
        import_results("lm-eval", results, run)
    assert import_results("lm-eval", results, run, task="mmlu_[01]").manifest.val.n == 200
    assert import_results("lm-eval", results, run, task="mmlu_2").manifest.val.n == 100
    with pytest.raises(DataError, match="no such task"):
        import_results("lm-eval", results, run, task="arc")


def test_checkpoints_are_found_by_path_name_epoch_or_as_they_were_named(run, tmp_path):
    csv = tmp_path / "table.csv"
    names = ["/elsewhere/run/checkpoint-100", "checkpoint-200", "epoch-3", "base"]
    csv.write_text("checkpoint,accuracy,n\n" + "".join(f"{name},0.5,100\n" for name in names))
    manifest = import_results("csv", csv, run).manifest
    assert [c.name for c in manifest.checkpoints] == ["checkpoint-100", "checkpoint-200", "checkpoint-300"]
    assert manifest.base is not None
    verdict = overmem.diagnose(run)
    assert any("is not better than the base model: 50 against 50 of 100" in word for word in verdict.words)
    csv.write_text("checkpoint,accuracy,n\nmy-model,0.5,100\ncheckpoint-200,0.5,100\n")
    with pytest.raises(RunError, match="none of this run's checkpoints"):
        import_results("csv", csv, run)
    assert parse_given(["a=b", "base=c/d=e"])["base"].name == "d=e"
    with pytest.raises(RunError, match="NAME=FILE"):
        parse_given(["checkpoint-100"])


def test_checkpoints_may_be_named_one_by_one(run, tmp_path):
    results = evaluated(run, tmp_path)
    files = {f"checkpoint-{s}": next(results.glob(f"*checkpoint-{s}/results_*")) for s in (100, 400)}
    files["base"] = files["checkpoint-100"]
    verdict_of = import_results("lm-eval", None, run, checkpoints=files)
    assert [c.name for c in verdict_of.manifest.checkpoints] == ["checkpoint-100", "checkpoint-400"]
    words = " ".join(overmem.diagnose(run).words)
    assert "checkpoint-400 is better than the base model" in words


def test_a_run_whose_checkpoints_are_gone_is_placed_by_the_names(tmp_path):
    (tmp_path / "run").mkdir()
    csv = tmp_path / "table.csv"
    rows = [f"epoch-{e},{i},{int(i < 20 + 5 * e)}" for e in (1, 2, 3) for i in range(100)]
    csv.write_text("\n".join(["checkpoint,example_id,correct", *rows]) + "\n")
    manifest = import_results("csv", csv, tmp_path / "run").manifest
    assert [(c.name, c.epoch) for c in manifest.checkpoints] == [
        ("epoch-1", 1),
        ("epoch-2", 2),
        ("epoch-3", 3),
    ]


def test_changed_weights_are_said_and_other_checkpoints_are_not(run, tmp_path):
    results = evaluated(run, tmp_path)
    for step in (300, 400):
        for file in results.glob(f"*checkpoint-{step}/*"):
            file.unlink()
    import_results("lm-eval", results, run)
    assert not any("not in the audit" in note for note in overmem.diagnose(run).notes)
    weights = run / "checkpoint-100" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x01")
    assert any("holds other weights" in note for note in overmem.diagnose(run).notes)


def test_problems_of_one_group_count_together(run, tmp_path):
    csv = tmp_path / "table.csv"
    rng = np.random.default_rng(0)
    lines = ["checkpoint,example_id,correct,group"]
    for step, share in ((100, 0.5), (200, 0.75)):
        right = rng.random(40) < share
        lines += [f"checkpoint-{step},{i},{int(right[i // 10])},{i // 10}" for i in range(400)]
    csv.write_text("\n".join(lines) + "\n")
    import_results("csv", csv, run)
    assert overmem.diagnose(run).by_accuracy[0].p_adjusted > 1e-6  # of 400 that stand alone: under 1e-30


def test_samples_out_of_range_or_twice_are_refused():
    for rows, message in (
        ([], "no sample"),
        ([{"id": "a", "correct": 1.5}], "out of range"),
        ([{"id": "a", "correct": 1.0}, {"id": "a", "correct": 0.0}], "twice"),
        ([{"id": "a", "nll_nats": -1.0, "n_tokens": 2}], "out of range"),
        ([{"id": "a", "nll_nats": math.inf, "n_tokens": 2}], "out of range"),
    ):
        with pytest.raises(DataError, match=message):
            samples_table(rows, "file")


def test_the_commands_say_what_was_read_and_write_it_back(run, tmp_path):
    results = evaluated(run, tmp_path)
    answer = CliRunner().invoke(app, ["import", "lm-eval", str(results), "--run", str(run)])
    assert answer.exit_code == 0, answer.output
    assert "gsm8k, by exact_match,none: checkpoint-100, checkpoint-200" in answer.output
    assert "next: overmem diagnose" in answer.output
    table = tmp_path / "rows.csv"
    answer = CliRunner().invoke(app, ["export", "csv", str(run), "--out", str(table)])
    assert answer.exit_code == 0 and table.read_text().startswith("checkpoint,step,example_id")
    with pytest.raises(OvermemError, match="unknown kind of results"):
        import_results("spreadsheet", table, run)


def test_foreign_text_in_results_reaches_no_file_name(run, tmp_path):
    csv = tmp_path / "table.csv"
    csv.write_text("checkpoint,accuracy,n\n../../checkpoint-900,0.5,100\ncheckpoint-100,0.4,100\n")
    store = import_results("csv", csv, run).store
    assert {c.name for c in read_manifest(store).checkpoints} == {"checkpoint-100", "checkpoint-900"}
    assert Store.of_run(run).root == store.root


def test_a_logged_loss_of_0_does_not_stand_in(tmp_path):
    run = write_checkpoints(tmp_path / "run", losses=[0.5, 0.4, 0.5, 0.0])
    import_results("lm-eval", evaluated(run, tmp_path), run)
    assert overmem.diagnose(run).evidence == "accuracy"


def test_two_tasks_or_another_metric_at_a_checkpoint_are_not_paired():
    def result(task, metric="exact_match"):
        score = Score(accuracy=0.5, n=100)
        return Result(source="a.json", model="m", tool="lm-eval", task=task, metric=metric, score=score)

    with pytest.raises(DataError, match=r"several tasks[\s\S]*arc, gsm8k"):
        pair_results({"checkpoint-100": {"arc": result("arc"), "gsm8k": result("gsm8k")}}, None)
    found = {
        "checkpoint-100": {"gsm8k": result("gsm8k")},
        "checkpoint-200": {"gsm8k": result("gsm8k", "acc")},
    }
    with pytest.raises(DataError, match=r"another metric[\s\S]*exact_match and acc"):
        pair_results(found, None)


def test_a_base_model_is_found_by_the_name_that_an_adapter_has_of_it(tmp_path):
    run = write_checkpoints(tmp_path / "run", steps=(100,))
    (run / "checkpoint-100" / "model.safetensors").rename(
        run / "checkpoint-100" / "adapter_model.safetensors"
    )
    config = {"peft_type": "LORA", "r": 2, "lora_alpha": 2, "base_model_name_or_path": "some/base"}
    (run / "checkpoint-100" / "adapter_config.json").write_text(json.dumps(config))
    found = Checkpoints(run).find("some/base")
    assert (found.name, found.step, found.base) == ("base", 0, "some/base")
    with pytest.raises(RunError, match="none of this run's checkpoints"):
        Checkpoints(run).find("other/base")


def test_an_epoch_that_two_checkpoints_ended_names_neither(tmp_path):
    run = write_checkpoints(tmp_path / "run", steps=(100, 200))
    state = json.loads((run / "checkpoint-100" / "trainer_state.json").read_text())
    (run / "checkpoint-100" / "trainer_state.json").write_text(json.dumps(state | {"epoch": 2.0}))
    with pytest.raises(RunError, match="none of this run's checkpoints"):
        Checkpoints(run).find("epoch-2")


def test_white_space_at_a_prompts_end_counts_with_the_answer(tmp_path):
    characters = Tokenizer(models.WordLevel({"[UNK]": 0}, unk_token="[UNK]"))
    characters.pre_tokenizer = pre_tokenizers.Split(Regex(r"\s|\S"), "isolated")
    characters.save(str(tmp_path / "tokenizer.json"))
    assert token_counter([tmp_path])("ab \n", "cd") == 4
