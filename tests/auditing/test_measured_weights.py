"""What was measured is what is named: files that change while they are measured leave no row and no name.

Covers: overmem.auditing.jobs.loaded_model
"""

import json
import os
import shutil

import pytest

import overmem
from overmem.artifacts.manifest import read_manifest
from overmem.artifacts.store import Store
from overmem.artifacts.tables import SCHEMAS
from overmem.auditing.measured_weights import MeasuredWeights
from overmem.auditing.session import Session
from overmem.errors import CheckpointError, WeightsChangedError
from overmem.models.loading import ModelHost
from overmem.records import Checkpoint
from tests.conftest import make_pico, save_checkpoint
from tests.helpers.adapters import foreign_checkpoint

SETTINGS = {"max_new_tokens": 4, "limit": 6}


def rewrite(folder, tokenizer, *, keep_times=True):
    """Other weights of the same size, under the old times as rsync -t leaves them."""
    file = folder / "model.safetensors"
    times = (file.stat().st_atime_ns, file.stat().st_mtime_ns)
    make_pico(tokenizer, seed=4711).save_pretrained(folder.parent / "other")
    file.write_bytes((folder.parent / "other" / "model.safetensors").read_bytes())
    shutil.rmtree(folder.parent / "other")
    if keep_times:
        os.utime(file, ns=times)


def row_keys(run, name):
    store = Store(run / "overmem")
    return {key for rows in SCHEMAS for key in store.read_rows(name, rows)["row_key"].to_list()}


@pytest.fixture
def when(monkeypatch):
    """Do something once, when a checkpoint was loaded or at some work on it."""

    def at(kind, name, act):
        done = []
        load, do_batch = ModelHost.load, Session._do_batch

        def loads(host, checkpoint):
            model = load(host, checkpoint)
            if (kind, name) == ("load", checkpoint.name) and not done:
                done.append(act())
            return model

        def does_batch(session, job, checkpoint, batch):
            do_batch(session, job, checkpoint, batch)
            if (kind, name) == (job.kind, checkpoint.name) and not done:
                done.append(act())

        monkeypatch.setattr(ModelHost, "load", loads)
        monkeypatch.setattr(Session, "_do_batch", does_batch)

    return at


@pytest.mark.parametrize("moment", ["load", "score", "greedy"])
def test_a_checkpoint_that_is_written_anew_while_it_is_measured_is_skipped_by_name(
    pico_run, val_file, tokenizer, when, moment
):
    when(moment, "checkpoint-20", lambda: rewrite(pico_run / "checkpoint-20", tokenizer))
    done = overmem.audit(pico_run, val=str(val_file), **SETTINGS)
    assert [c.name for c in done.manifest.checkpoints] == ["checkpoint-10", "checkpoint-100"]
    said = done.skipped["checkpoint-20"]
    assert "checkpoint-20 changed while it was measured" in said and "overmem audit` again" in said
    # Rows of work that was finished before are right, and no manifest names them; the others are gone.
    assert len(row_keys(pico_run, "checkpoint-20")) == (1 if moment == "greedy" else 0)
    again = overmem.audit(pico_run, val=str(val_file), **SETTINGS)
    assert not again.skipped and len(again.manifest.checkpoints) == 3
    clean = overmem.audit(pico_run, val=str(val_file), out=pico_run.parent / "clean", **SETTINGS)
    assert again.manifest.checkpoint("checkpoint-20") == clean.manifest.checkpoint("checkpoint-20")
    columns = ["row_key", "example_id", "nll_nats"]
    mine, theirs = (
        found.store.read_rows(
            "checkpoint-20", "likelihood", found.manifest.checkpoint("checkpoint-20").row_keys["score val"]
        ).sort("example_id")[columns]
        for found in (again, clean)
    )
    assert mine.equals(theirs)


def test_a_checkpoint_that_changes_during_the_other_axes_is_no_longer_compared(
    pico_run, val_file, tokenizer, when
):
    when("sample", "checkpoint-20", lambda: rewrite(pico_run / "checkpoint-20", tokenizer))
    asked = {"axes": "likelihood,accuracy,diversity", "samples": 2, "checkpoints": "all"}
    done = overmem.audit(pico_run, val=str(val_file), **SETTINGS, **asked)
    assert "changed while it was measured" in done.skipped["checkpoint-20"]
    assert [c.name for c in done.manifest.checkpoints] == ["checkpoint-10", "checkpoint-100"]


def test_a_base_model_that_changes_takes_no_adapter_with_it_that_was_measured_before(
    tmp_path, base, val_file, tokenizer, when
):
    run = tmp_path / "run"
    for step in (10, 20, 30):
        foreign_checkpoint(run, base, step, tokenizer)
    names = [f"checkpoint-{step}" for step in (10, 20, 30)]
    when("score", names[1], lambda: rewrite(base, tokenizer))
    done = overmem.audit(run, val=str(val_file), **SETTINGS)
    assert [c.name for c in done.manifest.checkpoints] == names[:1]
    assert set(done.skipped) == set(names[1:])
    assert all("the base model of" in said and "changed" in said for said in done.skipped.values())
    again = overmem.audit(run, val=str(val_file), **SETTINGS)
    assert not again.skipped and len(again.manifest.checkpoints) == len(names)


def test_what_the_trainer_deletes_while_it_is_measured_stands(pico_run, val_file, when):
    when("greedy", "checkpoint-10", lambda: shutil.rmtree(pico_run / "checkpoint-10"))
    done = overmem.audit(pico_run, val=str(val_file), **SETTINGS)
    assert not done.skipped and len(done.manifest.checkpoints) == 3


def test_what_was_written_anew_and_deleted_right_after_loading_is_not_what_was_fingerprinted(
    pico_run, val_file, tokenizer, when
):
    def act():
        rewrite(pico_run / "checkpoint-10", tokenizer)
        shutil.rmtree(pico_run / "checkpoint-10")

    when("load", "checkpoint-10", act)
    done = overmem.audit(pico_run, val=str(val_file), **SETTINGS)
    assert "changed while it was measured" in done.skipped["checkpoint-10"]
    assert not row_keys(pico_run, "checkpoint-10")


def test_new_times_alone_are_no_change(pico_run, val_file, when):
    when("score", "checkpoint-20", lambda: os.utime(pico_run / "checkpoint-20" / "model.safetensors", (1, 1)))
    assert not overmem.audit(pico_run, val=str(val_file), **SETTINGS).skipped


def test_an_audit_of_an_older_overmem_is_not_measured_again(pico_run, val_file, monkeypatch):
    overmem.audit(pico_run, val=str(val_file), **SETTINGS)
    path = pico_run / "overmem" / "manifest.json"
    record = json.loads(path.read_text())
    keys = [checkpoint["row_keys"] for checkpoint in record["checkpoints"]]
    for checkpoint in record["checkpoints"]:
        assert [found["folder"] for found in checkpoint.pop("folders")] == ["."]
    path.write_text(json.dumps(record))
    monkeypatch.setattr(ModelHost, "load", lambda *_: pytest.fail("measured again"))
    done = overmem.audit(pico_run, val=str(val_file), **SETTINGS)
    assert [dict(checkpoint.row_keys) for checkpoint in done.manifest.checkpoints] == keys
    assert all(checkpoint.folders for checkpoint in read_manifest(done.store).checkpoints)


def test_what_a_killed_audit_kept_of_its_base_model_is_removed_by_any_later_one(pico_run, val_file):
    kept = Store(pico_run / "overmem").base_predictions
    kept.mkdir(parents=True)
    overmem.audit(pico_run, val=str(val_file), **SETTINGS)
    assert not kept.exists()


def test_changes_that_no_sampled_block_shows_are_seen_by_the_times_of_the_inode(
    tmp_path, tokenizer, monkeypatch
):
    folder = tmp_path / "checkpoint-1"
    save_checkpoint(folder, make_pico(tokenizer, seed=1), tokenizer, 1)
    monkeypatch.setattr("overmem.auditing.measured_weights.sampled_fingerprint", lambda _: "the same")
    weights = MeasuredWeights(lambda _: "")
    checkpoint = Checkpoint(name="checkpoint-1", step=1, path=folder, kind="full")
    before = weights.fingerprint(checkpoint)
    weights.check_unchanged(checkpoint)
    rewrite(folder, tokenizer)
    for _ in range(2):
        with pytest.raises(WeightsChangedError) as error:
            weights.check_unchanged(checkpoint)
    assert isinstance(error.value, CheckpointError) and weights.fingerprint(checkpoint) == before
