"""Watching a folder that another tool fills: each checkpoint once, whole ones only, nothing lost.

Covers: overmem.cli.follow, overmem.cli.commands.watch
"""

import os
import shutil

import pytest

from overmem.artifacts.store import Store
from overmem.auditing.options import AuditOptions
from overmem.auditing.watch import Watched, watch
from overmem.errors import RunError
from tests.conftest import make_pico, save_checkpoint
from tests.helpers.command import run_command as overmem

FAST = {"settle": 0.0, "every": 0.01, "idle_minutes": 0.01}


def options(val_file):
    return AuditOptions(val=str(val_file), max_new_tokens=4, limit=6)


class Trainer:
    """Does one thing of a fine-tune whenever the watcher waits."""

    def __init__(self, *things):
        self.things = list(things)

    def __call__(self, seconds):
        if self.things:
            self.things.pop(0)()


def saves(run, tokenizer, step):
    return lambda: save_checkpoint(
        run / f"checkpoint-{step}", make_pico(tokenizer, seed=step), tokenizer, step
    )


def test_each_checkpoint_is_measured_once_as_it_lands(tmp_path, tokenizer, val_file):
    run = tmp_path / "run"
    trainer = Trainer(*(saves(run, tokenizer, step) for step in (10, 20)))
    updates = list(watch(run, options(val_file), sleep=trainer, **FAST))
    assert [update.new for update in updates] == [("checkpoint-10",), ("checkpoint-20",)]
    assert [c.name for c in updates[-1].audit.manifest.checkpoints] == [
        "checkpoint-10",
        "checkpoint-20",
    ]


def test_a_watch_says_what_it_is_and_wrong_times_are_refused_at_once(tmp_path):
    asked = AuditOptions(val="val.jsonl")
    watching = watch(tmp_path / "run", asked, every=5.0, idle_minutes=2.0)
    assert repr(watching) == (
        f"Watch {tmp_path / 'run'}: a look every 5 s, ends after 2 min without a new one; "
        "use it as `for update in ...`"
    )
    assert "ends" not in repr(watch(tmp_path, asked))
    with pytest.raises(RunError, match="every must be above 0"):
        watch(tmp_path, asked, every=0.0)


def test_a_half_written_checkpoint_waits_until_it_is_whole(tmp_path, tokenizer, val_file):
    run = tmp_path / "run"
    saves(run, tokenizer, 10)()
    weights, whole = run / "checkpoint-20" / "model.safetensors", []

    def half():
        saves(run, tokenizer, 20)()
        whole.append(weights.read_bytes())
        weights.write_bytes(whole[0][: len(whole[0]) // 2])

    trainer = Trainer(half, lambda: None, lambda: weights.write_bytes(whole[0]))
    updates = list(watch(run, options(val_file), sleep=trainer, **FAST))
    assert [update.new for update in updates] == [("checkpoint-10",), ("checkpoint-20",)]
    assert "checkpoint-20" not in updates[0].audit.skipped


def test_a_folder_that_still_changes_is_left_alone(pico_run):
    # Copies keep times that are old, or in the future; what counts is what was seen to change.
    for file in pico_run.rglob("*"):
        os.utime(file, (1, 1) if "checkpoint-10/" in str(file) else (4e9, 4e9))
    now = [0.0]
    watched = Watched(pico_run, 10, clock=lambda: now[0])
    assert watched.settled_run() is None and watched.unsettled
    now[0] = 9.0
    file = pico_run / "checkpoint-100" / "model.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    os.utime(file, (1, 1))
    assert watched.settled_run() is None
    now[0] = 10.0
    assert [c.name for c in watched.settled_run().checkpoints] == ["checkpoint-10", "checkpoint-20"]
    (pico_run / "checkpoint-20" / "optimizer.pt").write_bytes(b"x")
    now[0] = 19.0
    assert [c.name for c in watched.settled_run().checkpoints] == ["checkpoint-10", "checkpoint-100"]
    now[0] = 29.0
    assert len(watched.settled_run().checkpoints) == 3 and not watched.unsettled
    assert Watched(pico_run.parent / "none", 10).settled_run() is None


def test_a_checkpoint_that_is_written_again_is_measured_again(tmp_path, tokenizer, val_file):
    run = tmp_path / "run"

    def again():
        make_pico(tokenizer, seed=99).save_pretrained(run / "checkpoint-10")

    trainer = Trainer(saves(run, tokenizer, 10), again, lambda: None)
    updates = list(watch(run, options(val_file), sleep=trainer, **FAST))
    assert [update.new for update in updates] == [("checkpoint-10",), ("checkpoint-10",)]
    first, second = (update.audit.manifest.checkpoint("checkpoint-10").weights for update in updates)
    assert first != second


def test_what_the_trainer_deletes_is_said_and_its_rows_are_kept(tmp_path, tokenizer, val_file):
    run = tmp_path / "run"

    def rotate():
        saves(run, tokenizer, 30)()
        shutil.rmtree(run / "checkpoint-10")

    trainer = Trainer(saves(run, tokenizer, 10), saves(run, tokenizer, 20), rotate)
    updates = list(watch(run, options(val_file), sleep=trainer, **FAST))
    assert updates[-1].gone == ("checkpoint-10",)
    assert len(Store(run / "overmem").read_rows("checkpoint-10", "likelihood")) == 6


def test_bad_options_end_it_at_once(pico_run, val_file):
    with pytest.raises(RunError, match="every"):
        next(watch(pico_run, options(val_file), every=0))
    with pytest.raises(RunError, match="--val"):
        next(watch(pico_run, AuditOptions(), settle=0.0))


@pytest.mark.slow
def test_watch_and_check_as_a_user_types_them(pico_run, val_file):
    settings = ["--limit", 6, "--settle", 0, "--every", 0.1, "--idle", 0.02, "--max-new-tokens", 4]
    done = overmem("watch", pico_run, "--val", val_file, *settings)
    assert done.returncode == 0, done.stderr
    assert "checkpoint-10, checkpoint-20, checkpoint-100: checkpoint-100 is" in done.stdout
    assert (pico_run / "overmem" / "report.html").is_file()
    # Six problems settle nothing, so that only `undetermined` can fail.
    assert overmem("check", pico_run).returncode == 2  # on 12 problems nothing is told
    failed = overmem("check", pico_run, "--fail-on", "undetermined,overfit")
    assert failed.returncode == 1 and failed.stdout.startswith("failed: checkpoint-100 is undetermined")
    wrong = overmem("check", pico_run, "--fail-on", "memorised")
    assert wrong.returncode == 2 and "Traceback" not in wrong.stderr and "over-memorized" in wrong.stderr
