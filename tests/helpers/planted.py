"""Code planted in folders that somebody shares, which leaves a mark when it is run."""

import json
import pickle
from pathlib import Path

CODE = """
from pathlib import Path
Path({mark!r}).touch()

def judge(text, example):
    return True

def generate(model, **given):
    raise NotImplementedError

def render(example, tokenizer):
    return {{"input_ids": [5, 6, 7], "labels": [-100, 6, 7]}}

try:
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
    class Config(LlamaConfig):
        model_type = "planted"
    class Model(LlamaForCausalLM):
        config_class = Config
    class Tokenizer(PreTrainedTokenizerFast):
        pass
except ImportError:
    pass
"""
AUTO_MAP = {"AutoConfig": "planted.Config", "AutoModelForCausalLM": "planted.Model"}
TOKENIZER = {"auto_map": {"AutoTokenizer": ["planted.Tokenizer", None]}, "tokenizer_class": "Tokenizer"}


def change(path: Path, **values) -> None:
    """Set some keys of a JSON file."""
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def plant_code(folder: Path, mark: Path, name: str = "planted.py") -> None:
    """A module that serves as grader, renderer, model and tokenizer."""
    (folder / name).write_text(CODE.format(mark=str(mark)))


def plant_model(folder: Path, mark: Path, *, known: bool = False) -> None:
    """A model with code beside it; one that is not `known` to transformers cannot be read without."""
    plant_code(folder, mark)
    change(folder / "config.json", auto_map=AUTO_MAP, **({} if known else {"model_type": "planted"}))
    (folder / "custom_generate").mkdir(exist_ok=True)
    plant_code(folder / "custom_generate", mark, "generate.py")


def plant_tokenizer(folder: Path, mark: Path) -> None:
    """A tokenizer that cannot be read without the code beside it."""
    plant_code(folder, mark)
    change(folder / "tokenizer_config.json", **TOKENIZER)


class Payload:
    """Leaves a mark when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self):
        return (Path.touch, (self.mark,))


def plant_pickle(path: Path, mark: Path) -> None:
    """Pickled weights that are a payload."""
    path.write_bytes(pickle.dumps({"weight": Payload(mark)}))
