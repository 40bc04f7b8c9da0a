"""Which base model an audit measures, and what it says of one that it cannot measure."""

import pytest

import overmem
from overmem.errors import CheckpointError, RunError
from tests.conftest import make_pico, save_checkpoint
from tests.helpers.val_files import QUICK, with_added_tokens, write_files

PRIVACY = {"max_new_tokens": 6, "axes": ("privacy",), "grader": "none"}


@pytest.fixture
def files(tmp_path):
    return write_files(tmp_path)


def test_a_model_alone_is_not_its_own_base(tmp_path, files, tokenizer):
    model = make_pico(tokenizer, seed=1)
    model.save_pretrained(tmp_path / "exported")
    tokenizer.save_pretrained(tmp_path / "exported")
    given = PRIVACY | {"val": files["val"], "train": files["train"]}
    done = overmem.audit(tmp_path / "exported", **given)
    assert done.manifest.base is None
    assert "score train" in done.manifest.checkpoints[0].row_keys
    save_checkpoint(tmp_path / "base", make_pico(tokenizer, seed=2), tokenizer, 0)
    done = overmem.audit(tmp_path / "exported", **given, base_model=str(tmp_path / "base"))
    assert done.manifest.base.model == str(tmp_path / "base")


def test_an_adapter_alone_has_the_base_that_it_names(tmp_path, files, tokenizer):
    from peft import LoraConfig, get_peft_model

    save_checkpoint(tmp_path / "base", make_pico(tokenizer, seed=1), tokenizer, 0)
    base = type(make_pico(tokenizer, seed=1)).from_pretrained(tmp_path / "base")
    adapted = get_peft_model(base, LoraConfig(r=2, target_modules=["q_proj"], task_type="CAUSAL_LM"))
    adapted.save_pretrained(tmp_path / "exported")
    done = overmem.audit(tmp_path / "exported", **PRIVACY, val=files["val"], train=files["train"])
    assert done.manifest.base.model == str(tmp_path / "base")


def test_a_base_model_that_cannot_be_loaded_is_said_every_time(tmp_path, pico_run, files, tokenizer):
    make_pico(tokenizer, seed=1).config.save_pretrained(tmp_path / "base")
    given = PRIVACY | {"val": files["val"], "train": files["train"], "base_model": str(tmp_path / "base")}
    for _ in range(2):
        with pytest.raises(CheckpointError, match="base cannot be loaded"):
            overmem.audit(pico_run, **given)


def test_a_base_model_that_is_misspelled_is_refused_before_anything_is_measured(tmp_path, pico_run, files):
    given = PRIVACY | {"val": files["val"], "train": files["train"]}
    with pytest.raises(RunError, match=r"base model cannot be read[\s\S]*bsae[\s\S]*--base-model"):
        overmem.audit(pico_run, **given, base_model=str(tmp_path / "bsae"))
    assert not list(pico_run.rglob("*.parquet"))


def test_a_base_model_without_the_added_tokens_is_left_out(tmp_path, files, tokenizer):
    grown = with_added_tokens(files, tokenizer)
    for step in (10, 20):
        save_checkpoint(tmp_path / "run" / f"checkpoint-{step}", make_pico(grown, seed=step), grown, step)
    save_checkpoint(tmp_path / "base", make_pico(tokenizer, seed=1), tokenizer, 0)
    given = QUICK | {"axes": ("privacy", "recall"), "val": files["val"], "train": files["train"]}
    done = overmem.audit(tmp_path / "run", **given, base_model=str(tmp_path / "base"))
    assert done.manifest.base is None
    said = f"token id {len(tokenizer)}; expected ids below {len(tokenizer)}"
    assert said in done.manifest.base_left_out
    # A later sitting that does not measure privacy keeps the word on it.
    again = overmem.audit(tmp_path / "run", **(given | {"axes": ("recall",)}))
    assert any(
        "the base model was not measured" in note and said in note for note in overmem.diagnose(again).notes
    )


def test_a_base_model_with_a_shorter_context_is_left_out(tmp_path, pico_run, files, tokenizer):
    short = make_pico(tokenizer, seed=1, max_position_embeddings=16)
    save_checkpoint(tmp_path / "base", short, tokenizer, 0)
    given = PRIVACY | {"val": files["val"], "train": files["train"]}
    done = overmem.audit(pico_run, **given, base_model=str(tmp_path / "base"))
    assert done.manifest.base is None
    assert "does not fit the context" in done.manifest.base_left_out


def test_the_base_model_is_measured_as_step_0(tmp_path, pico_run, files, tokenizer):
    save_checkpoint(tmp_path / "base", make_pico(tokenizer, seed=1), tokenizer, 0)
    given = QUICK | {"val": files["val"], "axes": ("likelihood", "accuracy")}
    done = overmem.audit(pico_run, **given, base_model=str(tmp_path / "base"), out=tmp_path / "with")
    assert {"score val (base)", "greedy val (base)"} <= set(done.manifest.base.row_keys)
    verdict = overmem.diagnose(done)
    base, n = verdict.base, verdict.checkpoints[0].accuracy.n
    assert (base.name, base.in_run) == (str(tmp_path / "base"), False)
    assert base.accuracy.n == base.nll_nats.n == n
    assert base.nll_nats.value != verdict.checkpoints[0].nll_nats.value
    assert {cost.axis for cost in base.comparisons[0].differences} >= {"likelihood", "accuracy"}
    # The rule's curves stay those of the checkpoints that were trained.
    assert [c.step for c in verdict.checkpoints] == [c.step for c in done.manifest.checkpoints]
    without = overmem.audit(
        pico_run, **given, base_row=False, base_model=str(tmp_path / "base"), out=tmp_path / "no"
    )
    assert without.manifest.base is None and overmem.diagnose(without).base is None


def test_a_base_model_that_cannot_be_had_is_said(tmp_path, files, tokenizer):
    for step in (10, 20):
        folder = tmp_path / "run" / f"checkpoint-{step}"
        save_checkpoint(folder, make_pico(tokenizer, seed=step), tokenizer, step)
        (folder / "README.md").write_text(f"---\nbase_model: {tmp_path}/gone\n---\n")
    given = QUICK | {"val": files["val"], "axes": ("likelihood", "accuracy")}
    done = overmem.audit(tmp_path / "run", **given)
    assert done.manifest.base is None
    assert f"{tmp_path}/gone cannot be read" in done.manifest.base_left_out
    assert any("base model was not measured" in note for note in overmem.diagnose(done).notes)
    with pytest.raises(RunError, match="the base model cannot be read"):
        overmem.audit(tmp_path / "run", **given, base_model=str(tmp_path / "gone"), out=tmp_path / "asked")


def test_a_base_model_that_breaks_while_loading_is_left_out(tmp_path, files, tokenizer):
    for step in (10, 20):
        folder = tmp_path / "run" / f"checkpoint-{step}"
        save_checkpoint(folder, make_pico(tokenizer, seed=step), tokenizer, step)
        (folder / "README.md").write_text(f"---\nbase_model: {tmp_path}/base\n---\n")
    save_checkpoint(tmp_path / "base", make_pico(tokenizer, seed=1), tokenizer, 0)
    (tmp_path / "base" / "model.safetensors").write_bytes(b"no weights")
    done = overmem.audit(
        tmp_path / "run", **(QUICK | {"val": files["val"], "axes": ("likelihood", "accuracy")})
    )
    assert len(done.manifest.checkpoints) == 2 and done.manifest.base is None
    assert "cannot be loaded" in done.manifest.base_left_out
