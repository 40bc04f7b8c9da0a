"""`overmem plan`: what an audit would cost, held against the audit itself."""

import json
import subprocess
import sys

import pytest

import overmem
from overmem.auditing.config import resolve_config
from overmem.auditing.cost import Peaks
from overmem.auditing.forecast import forecast, shape_of
from overmem.auditing.models import ModelHost
from overmem.auditing.run import open_session
from tests.conftest import make_pico, save_checkpoint


@pytest.fixture
def session(pico_run, val_file):
    def make(**options):
        run = overmem.open_run(pico_run)
        options = {"max_new_tokens": 8, "samples": 3, **options}
        return open_session(run, resolve_config(run, val=str(val_file), train=str(val_file), **options))

    return make


def test_tokens_are_those_of_the_audit(session, pico_run, val_file):
    items = session().problems["val"].rendered
    made = forecast(session(), {}, Peaks(flops=1e12, bandwidth=1e11))
    # Val and train, at three checkpoints.
    assert made.tokens["likelihood"].read == 3 * 2 * sum(len(item) for item in items)
    assert made.tokens["accuracy"].read == 3 * sum(len(item.prompt_ids) for item in items)
    done = overmem.audit(pico_run, val=str(val_file), train=str(val_file), max_new_tokens=8)
    scored = [
        done.store.read_rows(c["name"], "likelihood")["n_tokens"].sum() for c in done.manifest["checkpoints"]
    ]
    assert sum(scored) == 3 * 2 * sum(len(item.completion_ids) for item in items)
    # Nothing is left to pay for.
    left = forecast(session(), {})
    assert left.seconds == 0 and left.tokens["likelihood"].read == 0 and left.measured_bytes is None


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
    base = make_pico(tokenizer, seed=1)
    save_checkpoint(tmp_path / "base", base, tokenizer, 0)
    adapted = get_peft_model(base, LoraConfig(r=2, target_modules=["q_proj"], task_type="CAUSAL_LM"))
    save_checkpoint(tmp_path / "lora" / "checkpoint-5", adapted, tokenizer, 5)
    run = overmem.open_run(tmp_path / "lora")
    config = resolve_config(run, val=str(val_file), train=None, base_model=str(tmp_path / "base"))
    found = shape_of(open_session(run, config), run.checkpoints[0])
    assert found.parameters == sum(p.numel() for p in adapted.parameters())


def test_the_command(pico_run, val_file):
    command = [sys.executable, "-m", "overmem", "plan", str(pico_run), "--val", str(val_file)]
    command += ["--max-new-tokens", "8", "--devices", "2"]
    done = subprocess.run([*command, "--json"], capture_output=True, text=True, check=True)
    record = json.loads(done.stdout)
    assert [axis["axis"] for axis in record["axes"]] == ["likelihood", "accuracy"]
    assert record["seconds_on_devices"] <= record["seconds"] and record["memory_bytes"]["total"] > 0
    refused = subprocess.run([*command, "--device-tflops", "100"], capture_output=True, text=True)
    assert refused.returncode == 2 and "--device-gbps" in refused.stderr
