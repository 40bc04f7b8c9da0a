"""What is no model yet names the command that makes one of it."""

from pathlib import Path

import pytest

from overmem.checkpoints import open_run
from overmem.checkpoints.unmerged import find_state
from overmem.errors import RunError
from tests.helpers.safetensors_files import safetensors


@pytest.mark.parametrize(
    ("file", "cure"),
    [
        ("pytorch_model_fsdp_0/__0_0.distcp", "accelerate merge-weights {0}/pytorch_model_fsdp_0 {0}"),
        ("pytorch_model_fsdp.bin", "rename {0}/pytorch_model_fsdp.bin to pytorch_model.bin"),
        ("actor/model_world_size_2_rank_0.pt", "--backend fsdp --local_dir {0}/actor"),
        ("actor/dist_ckpt/common.pt", "--backend megatron --local_dir {0}/actor"),
        ("global_step1/zero_pp_rank_0_mp_rank_00_model_states.pt", "zero_to_fp32.py"),
        ("zero_to_fp32.py", "python {0}/zero_to_fp32.py {0} {0} --safe_serialization"),
        ("lit_model.pth", "litgpt convert_from_litgpt {0}"),
        ("lit_model.pth.lora", "litgpt merge_lora {0}"),
        ("mp_rank_00/model_optim_rng.pt", "swift export --mcore_model {0}"),
        ("context/model.yaml", "export_ckpt"),
        ("__0_0.distcp", "convert {0} with its framework's script"),
        ("0000100_adapters.safetensors", "mlx_lm.fuse --model BASE --adapter-path {0}"),
        ("model-q4.gguf", "converted from"),
        ("hf_model_0001_0.pt", "save_pretrained"),
    ],
)
def test_a_state_names_its_cure(tmp_path, file, cure):
    folder = tmp_path / "step_1"
    (folder / file).parent.mkdir(parents=True)
    (folder / file).write_bytes(b"x")
    with pytest.raises(RunError) as error:
        open_run(tmp_path)
    assert cure.format(folder) in str(error.value)


def test_an_empty_folder_is_named(tmp_path):
    (tmp_path / "step_1").mkdir()
    with pytest.raises(RunError, match="step_1 holds no weights"):
        open_run(tmp_path)


def test_a_pointer_of_git_lfs_is_not_the_weights(tmp_path):
    safetensors(tmp_path / "step_1" / "model.safetensors")
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 100\n"
    (tmp_path / "step_1" / "model.safetensors").write_text(pointer)
    with pytest.raises(RunError, match="is a pointer of Git LFS") as error:
        open_run(tmp_path)
    assert f"git -C {tmp_path / 'step_1'} lfs pull" in str(error.value)


def test_tensors_that_zero_3_left_empty_are_named(tmp_path):
    safetensors(tmp_path / "step_1" / "model.safetensors", n_bytes=0)
    with pytest.raises(RunError, match="1 of 1 tensors without a value") as error:
        open_run(tmp_path)
    assert "stage3_gather_16bit_weights_on_model_save" in str(error.value)
    (tmp_path / "step_1" / "zero_to_fp32.py").write_text("")
    with pytest.raises(RunError, match=r"zero_to_fp32\.py .*step_1 .*step_1 --safe_serialization"):
        open_run(tmp_path)


def test_weights_without_a_configuration_name_where_one_is(tmp_path):
    safetensors(tmp_path / "step_1" / "model.safetensors")
    (tmp_path / "step_1" / "config.json").unlink()
    with pytest.raises(RunError, match=r"copy BASE/config\.json"):
        open_run(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(RunError) as error:
        open_run(tmp_path)
    assert f"copy {tmp_path / 'config.json'} to {tmp_path / 'step_1' / 'config.json'}" in str(error.value)


def test_one_of_thousands_of_folders_is_listed_and_not_searched_by_each_pattern(tmp_path, monkeypatch):
    (tmp_path / "notes.txt").touch()
    monkeypatch.setattr(Path, "glob", None)
    assert find_state(tmp_path) is None
