"""`overmem plan`: what an audit would cost, held against the audit itself.

Covers: overmem.auditing.planning.pending_references, overmem.auditing.planning.timing,
overmem.cli.views.plan
"""

import json

import pytest

import overmem
from overmem.artifacts.jobs import VAL_ANSWERS
from overmem.auditing.opening import open_session
from overmem.auditing.options import AuditOptions
from overmem.auditing.planning.cost import Peaks
from overmem.auditing.planning.forecast import forecast, shape_of
from overmem.auditing.resolve import resolve_options
from overmem.cli.views.plan import pending_text
from overmem.models.loading import ModelHost
from tests.conftest import make_pico, save_checkpoint
from tests.helpers.command import run_command


@pytest.fixture
def session(pico_run, val_file):
    def make(**options):
        run = overmem.open_run(pico_run)
        options = {"max_new_tokens": 8, "samples": 3, **options}
        return open_session(
            run, resolve_options(run, AuditOptions(val=str(val_file), train=str(val_file), **options))
        )

    return make


def test_tokens_are_those_of_the_audit(session, pico_run, val_file):
    items = session().problems["val"].rendered
    made = forecast(session(), {}, Peaks(flops=1e12, bandwidth=1e11))
    # Val and train, at three checkpoints.
    assert made.tokens["likelihood"].read == 3 * 2 * sum(len(item) for item in items)
    assert made.tokens["accuracy"].read == 3 * sum(len(item.prompt_ids) for item in items)
    done = overmem.audit(pico_run, val=str(val_file), train=str(val_file), max_new_tokens=8)
    scored = [done.store.read_rows(c.name, "likelihood")["n_tokens"].sum() for c in done.manifest.checkpoints]
    assert sum(scored) == 3 * 2 * sum(len(item.completion_ids) for item in items)
    # Nothing is left to pay for.
    left = forecast(session(), {})
    assert left.seconds == 0 and left.tokens["likelihood"].read == 0 and left.measured_bytes is None


def test_a_few_answers_are_timed_first_and_then_as_many_as_are_written_at_once(session, monkeypatch):
    # Timing must not write all answers of a small audit before its budget is looked at.
    monkeypatch.setattr("overmem.auditing.session.FIRST_TIMED", 4)
    opened = session()
    last = opened.run.checkpoints[-1]
    left = []
    for _ in range(3):
        assert (opened.seconds(VAL_ANSWERS, last, None) > 0) == (len(left) < 2)
        left.append(len(opened.missing(VAL_ANSWERS, last, None)[0]))
    assert left == [8, 0, 0]


PEAKS = Peaks(flops=1e12, bandwidth=1e11)
REFERENCES = {"axes": ("references",), "grader": "regex:([a-z])", "checkpoints": "all"}


def test_right_answers_are_counted_by_those_that_are_there(session):
    """At three checkpoints, on 12 problems, 4 of which the last has answered."""
    opened = session(**REFERENCES)
    items = opened.problems["val"].rendered
    unknown = forecast(opened, {}, PEAKS)
    assert (unknown.pending.share, unknown.pending.n_there) == (1.0, 0)
    assert unknown.tokens["references"].read == 3 * sum(len(item) for item in items)
    last = opened.run.checkpoints[-1]
    answer = {"row_key": opened.row_keys.of(VAL_ANSWERS, last), "split": "val", "variant": "clean"}
    answer |= {"sample": 0, "temperature": 0.0, "grader": "", "answer": "", "text": "a", "mean_logprob": -1.0}
    told = [(1.0, True), (1.0, True), (1.0, False), (0.0, True)]  # the third was cut off
    rows = [
        answer
        | {"example_id": item.example_id, "example_sha": sha, "correct": correct, "finished": finished}
        | {"n_tokens": 2 * len(item.completion_ids)}
        for item, sha, (correct, finished) in zip(items, opened.problems["val"].shas, told, strict=False)
    ]
    opened.store.append_rows(last.name, "generations", rows)
    made = forecast(opened, {}, PEAKS)
    by_hand = 0.5 * sum(len(item.prompt_ids) + 2 * len(item.completion_ids) for item in items)
    assert (made.pending.share, made.pending.n_there) == (0.5, 4)
    assert made.tokens["references"].read == pytest.approx(3 * by_hand)
    assert "50.0%, as of the 4 that are there" in pending_text(made.pending.share, made.pending.n_there)
    assert forecast(session(), {}, PEAKS).pending is None


def test_right_answers_are_known_once_the_core_is_done(session, pico_run, val_file, ending):
    given = {"val": str(val_file), "train": str(val_file), "max_new_tokens": 8, "samples": 3}
    given |= {"grader": REFERENCES["grader"], "checkpoints": "all"}
    overmem.audit(pico_run, **given)
    made = forecast(session(**REFERENCES), {})
    assert made.pending.share is None and made.seconds > made.load_seconds == 0
    done = overmem.audit(pico_run, **given, axes=("references",))
    texts = done.store.read_texts().filter(set="answers")
    scored = [
        done.store.read_rows(c.name, "likelihood").filter(split="answers") for c in session().run.checkpoints
    ]
    assert 0 < len(texts) < 12 and [len(rows) for rows in scored] == [len(texts)] * 3
    tokenizer = session().tokenizer
    prompts = sum(len(tokenizer(text)["input_ids"]) for text in texts["prompt"])
    assert made.tokens["references"].read == 3 * prompts + sum(rows["n_tokens"].sum() for rows in scored)
    left = forecast(session(**REFERENCES), {})
    assert left.tokens["references"].read == 0 and left.seconds == 0


def test_peaks_of_a_device_need_no_model(session, monkeypatch):
    monkeypatch.setattr(ModelHost, "load", lambda *_: pytest.fail("a model was loaded"))
    slow, fast = (forecast(session(axes=("all",)), {}, Peaks(flops=f, bandwidth=f / 10)) for f in (1e9, 1e12))
    assert slow.floor and slow.seconds == pytest.approx(1000 * fast.seconds)
    assert slow.seconds_on(3) < slow.seconds <= 3.5 * slow.seconds_on(3)
    assert not session().store.root.exists()


def test_one_batch_of_each_kind_is_timed_and_kept(session):
    made = forecast(session(axes=("all",), batch_tokens=100), {})
    assert all(
        item.seconds > 0 for item in made.plan.axes if item.axis in ("likelihood", "diversity", "recall")
    )
    assert made.load_seconds > 0 and made.measured_bytes is not None and not made.floor
    assert made.seconds == pytest.approx(sum(item.seconds for item in made.plan.axes) + made.load_seconds)
    again = session(axes=("all",), batch_tokens=100)
    job = next(job for job in made.plan.core if job.kind == "score")
    missing, n = again.missing(job, again.run.checkpoints[-1], None)
    assert 0 < len(missing) < n


def test_the_shape_is_that_of_the_loaded_model(session, tmp_path, tokenizer, val_file):
    from peft import LoraConfig, get_peft_model

    full = session()
    last = full.run.checkpoints[-1]
    model = full.host.load(last)
    shape = shape_of(full, last)
    assert shape.parameters == sum(p.numel() for p in model.parameters())
    assert shape.weight_bytes == 4 * shape.parameters
    packed = sum(p.numel() for name, p in model.named_parameters() if "_proj" in name)
    fewer = shape_of(session(quantize="4bit"), last)
    assert fewer.parameters == shape.parameters
    assert fewer.weight_bytes == shape.weight_bytes - packed * 4 + packed // 2
    base = make_pico(tokenizer, seed=1)
    save_checkpoint(tmp_path / "base", base, tokenizer, 0)
    adapted = get_peft_model(base, LoraConfig(r=2, target_modules=["q_proj"], task_type="CAUSAL_LM"))
    save_checkpoint(tmp_path / "lora" / "checkpoint-5", adapted, tokenizer, 5)
    run = overmem.open_run(tmp_path / "lora")
    config = resolve_options(run, AuditOptions(val=str(val_file), base_model=str(tmp_path / "base")))
    found = shape_of(open_session(run, config), run.checkpoints[0])
    assert found.parameters == sum(p.numel() for p in adapted.parameters())


@pytest.mark.slow
def test_the_command(pico_run, val_file):
    command = ["plan", pico_run, "--val", val_file, "--max-new-tokens", 8, "--devices", 2]
    done = run_command(*command, "--json")
    assert done.returncode == 0, done.stderr
    record = json.loads(done.stdout)
    assert [axis["axis"] for axis in record["axes"]] == ["likelihood", "accuracy"]
    assert record["seconds_on_devices"] <= record["seconds"] and record["memory_bytes"]["total"] > 0
    refused = run_command(*command, "--device-tflops", 100)
    assert refused.returncode == 2 and "--device-gbps" in refused.stderr
