"""Where a recipe's model comes from: the bundled one, a package, a folder, or a GGUF file converted once."""

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from overmem.errors import RecipeError
from overmem.recipe.base_model import ORGANISM, convert_gguf, package_folder, resolve_model
from overmem.recipe.schema import ModelRecipe
from tests.conftest import make_pico


def test_names_stand_for_folders_and_others_stay_as_they_are():
    assert (
        resolve_model(ModelRecipe(name="organism")) == str(ORGANISM) and (ORGANISM / "config.json").is_file()
    )
    assert resolve_model(ModelRecipe(name="org/model")) == "org/model"
    assert resolve_model(ModelRecipe(name="pypi:overmem")) == str(ORGANISM.parents[1])


def test_a_package_that_is_not_installed_is_named_with_the_way_out():
    with pytest.raises(RecipeError, match=r"not installed[\s\S]*no-such-package[\s\S]*pip install --no-deps"):
        package_folder("no-such-package")


@pytest.fixture
def gguf(tmp_path, monkeypatch, tokenizer):
    """A folder with a GGUF file, and a library that reads it as a quantized pico model."""
    monkeypatch.setenv("OVERMEM_CACHE", str(tmp_path / "cache"))
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "tiny.Q8_0.gguf").write_bytes(b"GGUF")
    loaded = []

    def load(name, gguf_file, dtype, trust_remote_code):
        loaded.append((name, gguf_file))
        model = make_pico(tokenizer, seed=0).to(dtype)
        model.is_quantized, model.config.quantization_config = True, {"quant_method": "gguf"}
        return model

    monkeypatch.setattr(AutoModelForCausalLM, "from_pretrained", load)
    monkeypatch.setattr(
        AutoTokenizer, "from_pretrained", lambda name, gguf_file, trust_remote_code: tokenizer
    )
    return tmp_path / "model", loaded


def test_a_gguf_file_is_converted_once_to_an_ordinary_folder(gguf, tmp_path, monkeypatch):
    folder, loaded = gguf
    recipe = ModelRecipe(name=str(folder), gguf_file="tiny.Q8_0.gguf")
    found = resolve_model(recipe)
    assert found.startswith(str(tmp_path / "cache" / "models" / "tiny.Q8_0-"))
    assert resolve_model(recipe) == found and loaded == [(str(folder), "tiny.Q8_0.gguf")]
    # A file of another size is another model.
    (folder / "tiny.Q8_0.gguf").write_bytes(b"GGUF again")
    assert resolve_model(recipe) != found and len(loaded) == 2
    assert not list((tmp_path / "cache" / "models").glob(".*"))
    monkeypatch.undo()
    model = AutoModelForCausalLM.from_pretrained(found, dtype="auto")
    assert model.dtype == torch.bfloat16 and not hasattr(model.config, "quantization_config")


def test_a_file_that_is_not_there_is_named_with_those_that_are(gguf):
    folder, loaded = gguf
    with pytest.raises(RecipeError, match=r"no such GGUF file[\s\S]*other\.gguf[\s\S]*tiny\.Q8_0\.gguf"):
        convert_gguf(str(folder), "other.gguf")
    assert loaded == []
