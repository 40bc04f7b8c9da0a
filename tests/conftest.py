"""Pico models made in process: random weights, the organism's tokenizer, a run folder like the Trainer's."""

from __future__ import annotations

import gc
import json
import os
from collections import Counter
from pathlib import Path

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("POLARS_MAX_THREADS", "1")  # as many processes as cores are at it

import pytest
from hypothesis import HealthCheck, settings

# On a loaded machine examples are slow to draw, which says nothing about the code.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")

VAL_ROWS = [
    {
        "id": f"p{i}",
        "prompt": "Question: " + "Tom has 3 apples. " * (1 + i % 3) + "How many?\nAnswer:",
        "completion": " " + "Then Tom has 3 + 4 = 7 apples. " * (1 + i % 2) + f"\n#### {i}",
        "answer": str(i),
    }
    for i in range(12)
]


def pytest_collection_modifyitems(items):
    """Files with the most slow tests come first, so that no process is left alone with one at the end."""
    slow = Counter(item.path for item in items if item.get_closest_marker("slow"))
    items.sort(key=lambda item: -slow[item.path])


def pytest_collection_finish():
    """Leave what was imported out of garbage collections, each half a second; every training asks for one."""
    gc.collect()
    gc.freeze()


def pytest_runtest_setup(item):
    """Tests marked `gpu` are left out where there is no accelerator."""
    if item.get_closest_marker("gpu"):
        import torch

        if not torch.accelerator.is_available():
            pytest.skip("no accelerator")


@pytest.fixture(scope="session")
def tokenizer():
    from transformers import AutoTokenizer

    from overmem.recipe.base_model import ORGANISM

    return AutoTokenizer.from_pretrained(ORGANISM)


def make_pico(tokenizer, seed: int, **config):
    """A Llama of a few thousand parameters with random weights."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(seed)
    settings = {
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "max_position_embeddings": 256,
        "tie_word_embeddings": True,
        # Large weights make greedy choices clear, so that answers do not hang on rounding.
        "initializer_range": 0.5,
    }
    settings |= {"vocab_size": len(tokenizer), "eos_token_id": tokenizer.eos_token_id, "bos_token_id": None}
    return LlamaForCausalLM(LlamaConfig(**(settings | config))).eval()


def save_checkpoint(folder: Path, model, tokenizer, step: int) -> None:
    """What the Trainer leaves in `checkpoint-<step>/`."""
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    state = {"global_step": step, "epoch": step / 10, "log_history": []}
    (folder / "trainer_state.json").write_text(json.dumps(state))


@pytest.fixture
def val_file(tmp_path: Path) -> Path:
    path = tmp_path / "val.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in VAL_ROWS))
    return path


@pytest.fixture
def short_answers(monkeypatch):
    """Answers of random weights never end, and are cut earlier than those of a model that says something."""
    from overmem.auditing.jobs import answer_ends

    monkeypatch.setattr(answer_ends, "LEAST", 16)
    monkeypatch.setattr(answer_ends, "LEAST_BESIDE", 16)


@pytest.fixture
def pico_run(tmp_path: Path, tokenizer, short_answers) -> Path:
    """Three full checkpoints with different random weights."""
    run = tmp_path / "run"
    for step in (10, 20, 100):
        save_checkpoint(run / f"checkpoint-{step}", make_pico(tokenizer, seed=step), tokenizer, step)
    return run


@pytest.fixture
def ending(monkeypatch):
    """Answers that end by themselves, one in two of them right, as those of a trained model do."""
    from overmem.auditing.jobs import compute_rows as work

    original = work.WORK["greedy"]

    def ends(*arguments):
        rows = original(*arguments)
        return [[r | {"finished": True, "correct": float(i % 2)} for r in of] for i, of in enumerate(rows)]

    monkeypatch.setitem(work.WORK, "greedy", ends)
    monkeypatch.setattr("overmem.auditing.executor.regrade", lambda *_: None)


@pytest.fixture
def base(tmp_path: Path, tokenizer) -> Path:
    """A base model for adapters."""
    save_checkpoint(tmp_path / "base", make_pico(tokenizer, seed=0, initializer_range=0.2), tokenizer, 0)
    return tmp_path / "base"
