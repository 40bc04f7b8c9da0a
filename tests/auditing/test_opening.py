"""Run folders that no overmem was near: plain TRL, and what LLaMA-Factory leaves, audited and watched."""

import json

import pytest
from datasets import Dataset
from trl import SFTConfig, SFTTrainer

import overmem
from overmem.auditing.options import AuditOptions
from overmem.auditing.watch import watch
from tests.conftest import VAL_ROWS, make_pico


def train(folder, tokenizer, **settings):
    """TRL's own trainer, as its documentation shows it."""
    rows = [{"prompt": row["prompt"], "completion": row["completion"]} for row in VAL_ROWS]
    fields = {
        "output_dir": str(folder),
        "max_steps": 6,
        "save_steps": 2,
        "learning_rate": 5e-2,
        "per_device_train_batch_size": 4,
        "report_to": "none",
        "use_cpu": True,
        "disable_tqdm": True,
        "logging_steps": 1,
    }
    trainer = SFTTrainer(
        model=make_pico(tokenizer, seed=0, tie_word_embeddings=False),
        args=SFTConfig(**(fields | settings)),
        train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer,
    )
    trainer.train()
    return trainer


@pytest.fixture
def trl_run(tmp_path, tokenizer):
    train(tmp_path / "run", tokenizer)
    return tmp_path / "run"


def test_a_plain_trl_run_is_audited_at_every_checkpoint(trl_run, val_file):
    done = overmem.audit(trl_run, val=str(val_file), max_new_tokens=4)
    assert [c.step for c in done.manifest.checkpoints] == [2, 4, 6]
    verdict = overmem.diagnose(done)
    # It was trained on these very problems, at a large rate.
    nll = [summary.nll_nats.value for summary in verdict.checkpoints]
    assert nll[-1] < nll[0]


def test_a_run_as_llama_factory_leaves_it_is_audited_and_watched(tmp_path, tokenizer, val_file):
    """The files of a run of LLaMA-Factory 0.9.5, which repeats the last checkpoint at the root."""
    run = tmp_path / "saves"
    trainer = train(run, tokenizer)
    trainer.save_model(str(run))
    trainer.save_state()
    for name in ("all_results.json", "train_results.json"):
        (run / name).write_text(json.dumps({"train_loss": 1.0}))
    (run / "trainer_log.jsonl").write_text(json.dumps({"current_steps": 2, "loss": 1.0}) + "\n")
    (run / "README.md").write_text("---\nlibrary_name: transformers\n---\n")
    options = AuditOptions(val=str(val_file), max_new_tokens=4, limit=6)
    [update] = watch(run, options, settle=0.0, every=0.01, idle_minutes=0.001)
    assert update.new == ("checkpoint-2", "checkpoint-4", "checkpoint-6")
    assert overmem.diagnose(run).checkpoints[-1].step == 6
