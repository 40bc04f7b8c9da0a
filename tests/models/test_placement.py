"""A model that is shared out, with parts on the disk: the figures of the same model on one device.

Accelerate's hooks are real here. Several devices at once are in `tests.helpers.sim_scenarios`.
"""

import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

import overmem
from overmem.cli.app import app
from overmem.errors import CheckpointError, RunError
from overmem.models import placement
from overmem.models.decoding.generation import generate
from overmem.models.decoding.plain import write_by_generate
from overmem.models.decoding.rows import Row, Writing
from overmem.models.likelihood.divergence import predict
from overmem.models.likelihood.scoring import score_all
from overmem.models.loading import ModelHost
from overmem.records import Example
from overmem.rendering.render import render
from overmem.rendering.template import Template
from tests.conftest import VAL_ROWS, make_pico, save_checkpoint
from tests.helpers.adapters import foreign_checkpoint, logits
from tests.models.likelihood.test_scoring import naive_nll

PARTS = (
    "model.embed_tokens",
    "model.rotary_emb",
    "model.layers.0",
    "model.layers.1",
    "model.norm",
    "lm_head",
)
LAYER_AWAY = dict.fromkeys(PARTS, "cpu") | {"model.layers.1": "disk"}
ALL_AWAY = dict.fromkeys(PARTS, "disk") | {"model.rotary_emb": "cpu"}


def host_of(run, device_map=None):
    opened = overmem.open_run(run)
    host = ModelHost(opened, device=torch.device("cpu"), dtype=torch.float32, device_map=device_map)
    return host, opened.checkpoints


@pytest.mark.parametrize("device_map", [ALL_AWAY, {"model": "disk", "lm_head": "cpu"}])
def test_offloaded_parts_give_the_figures_of_a_model_in_memory(device_map, tmp_path, tokenizer):
    plain = make_pico(tokenizer, seed=5, tie_word_embeddings=False)
    save_checkpoint(tmp_path / "run" / "checkpoint-1", plain, tokenizer, 1)
    host, (checkpoint,) = host_of(tmp_path / "run", device_map)
    model = host.load(checkpoint)
    assert placement.offloaded_to(model) == ["disk"]
    assert placement.input_device(model).type == "cpu"
    items = [
        render(Example(r["id"], r["prompt"], r["completion"]), tokenizer, Template()) for r in VAL_ROWS[:3]
    ]
    expected = [naive_nll(plain, item) for item in items]
    assert [-sum(s.logprob) for s in score_all(model, items)] == pytest.approx(expected, abs=1e-4, rel=1e-6)
    seen = predict(model, items[:2])
    assert [one.nll_nats for one in seen] == pytest.approx(expected[:2], rel=1e-6)
    prompts = [item.prompt_ids for item in items]
    settings = {"stops": [tokenizer.eos_token_id], "max_new_tokens": 3}
    written = [
        [answer.tokens for (answer,) in generate(one, prompts, tokenizer, rows=2, **settings)]
        for one in (model, plain)
    ]
    assert written[0] == written[1]
    rows = [Row(at) for at in range(len(prompts))]
    write_by_generate(model, prompts, rows, Writing(stops=frozenset(settings["stops"]), max_new_tokens=3), 3)
    assert [tuple(row.tokens) for row in rows] == written[1]


def test_adapters_take_turns_on_a_base_that_is_partly_on_the_disk(tmp_path, base, tokenizer):
    """PEFT would put the weights of an offloaded layer's adapter nowhere, and share the base out anew."""
    run = tmp_path / "run"
    expected = {
        step: foreign_checkpoint(run, base, step, tokenizer, **settings)
        for step, settings in {1: {}, 2: {"r": 5, "target_modules": "all-linear"}}.items()
    }
    host, checkpoints = host_of(run, LAYER_AWAY)
    bases = []
    for checkpoint in (*checkpoints, *reversed(checkpoints)):
        found = logits(host.load(checkpoint))
        torch.testing.assert_close(found, expected[checkpoint.step], atol=5e-5, rtol=0)
        bases.append(host.adapted.base(checkpoint))
    assert len(set(map(id, bases))) == 1


@pytest.mark.parametrize(
    ("settings", "what"),
    [
        ({"use_dora": True}, "DoRA"),
        ({"modules_to_save": ["lm_head"]}, "whole modules"),
        ({"trainable_token_indices": [4, 7]}, "trained tokens"),
        ({"init_lora_weights": "pissa"}, "pissa"),
    ],
)
def test_an_adapter_that_needs_offloaded_weights_is_refused(settings, what, tmp_path, base, tokenizer):
    foreign_checkpoint(tmp_path / "run", base, 1, tokenizer, **settings)
    host, (checkpoint,) = host_of(tmp_path / "run", LAYER_AWAY)
    with pytest.raises(CheckpointError, match="partly offloaded to disk") as error:
        host.load(checkpoint)
    assert what in error.value.got and "--into-full" in error.value.next_step


def test_nan_in_a_part_that_is_on_the_disk_is_found(tmp_path, tokenizer):
    folder = tmp_path / "run" / "checkpoint-1"
    save_checkpoint(folder, make_pico(tokenizer, seed=5), tokenizer, 1)
    tensors = load_file(folder / "model.safetensors")
    tensors["model.layers.1.mlp.up_proj.weight"][3, 3] = torch.nan
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    host, (checkpoint,) = host_of(tmp_path / "run", LAYER_AWAY)
    with pytest.raises(CheckpointError, match="NaN") as error:
        host.load(checkpoint)
    assert "layers.1.mlp.up_proj" in error.value.got


def test_an_audit_shares_models_out_by_the_memory_that_is_free(pico_run, val_file, tokenizer, monkeypatch):
    """`auto` fills what is there: one layer of two goes to the disk, and the rows are plain models'."""
    for step in (20, 100):
        shutil.rmtree(pico_run / f"checkpoint-{step}")
    loaded = []

    def spied(*arguments, load=placement.load_shared_out):
        loaded.append(load(*arguments))
        return loaded[-1]

    monkeypatch.setattr("overmem.models.loading.load_shared_out", spied)
    monkeypatch.setattr(placement, "get_max_memory", lambda: {"cpu": 30_000})
    asked = {"val": str(val_file), "max_new_tokens": 4, "limit": 2, "grader": "regex:([A-Za-z]+)"}
    audit = overmem.audit(pico_run, device_map="auto", **asked)
    assert [placement.offloaded_to(model) for model, _ in loaded] == [["disk"]]
    assert audit.manifest.config["device_map"] == "auto"
    plain = make_pico(tokenizer, seed=10)
    rows = {row["example_id"]: row for row in audit.store.read_rows("checkpoint-10", "likelihood").to_dicts()}
    for given in VAL_ROWS:
        if given["id"] in rows:
            item = render(Example(given["id"], given["prompt"], given["completion"]), tokenizer, Template())
            assert rows[given["id"]]["nll_nats"] == pytest.approx(naive_nll(plain, item), rel=1e-6)
    assert len(rows) == 2


def test_a_model_over_all_devices_is_not_put_on_one(pico_run, val_file):
    with pytest.raises(RunError, match="cannot be put on one of them"):
        overmem.audit(pico_run, val=str(val_file), device_map="auto", device="cpu")
    with pytest.raises(RunError, match="leaves no device for other workers"):
        overmem.audit(pico_run, val=str(val_file), device_map="auto", workers=2)
    asked = ["plan", str(pico_run), "--val", str(val_file), "--device-map", "auto", "--devices", "8"]
    done = CliRunner().invoke(app, asked)
    assert isinstance(done.exception, RunError) and "--devices 8" in done.exception.got
