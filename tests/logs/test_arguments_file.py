"""Training arguments from `training_args.bin`: plain values and the class, and nothing in it is run."""

import pickle
import zipfile
from enum import Enum
from pathlib import Path
from typing import Any

import pytest

from overmem.logs.arguments_file import CLASS, read_arguments
from overmem.logs.configuration import read_settings


class Scheduler(str, Enum):  # noqa: UP042  (as transformers has it)
    LINEAR = "linear"


class SFTConfig:
    def __init__(self, **values: Any) -> None:
        self.__dict__.update(values)


class Runs:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.target,)


def write(file: Path, content: bytes) -> Path:
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("training_args/data.pkl", content)
    return file


@pytest.mark.parametrize("protocol", [2, 3])
def test_plain_values_and_the_class_are_read(tmp_path: Path, protocol: int) -> None:
    same = "linear"
    arguments = SFTConfig(
        run_name=same, packing=True, lr_scheduler_type=Scheduler.LINEAR, loss_type="dft", steps=-1,
        rate=0.25, nothing=None, parts=["a"], other=False, named=same,
    )  # fmt: skip
    file = write(tmp_path / "training_args.bin", pickle.dumps(arguments, protocol))
    keys = (
        "packing",
        "loss_type",
        "steps",
        "rate",
        "nothing",
        "other",
        "named",
        "parts",
        "lr_scheduler_type",
    )
    found = read_arguments(file, keys)
    assert found == {
        CLASS: "SFTConfig", "packing": True, "loss_type": "dft", "steps": -1, "rate": 0.25, "nothing": None,
        "other": False, "named": "linear",
    }  # fmt: skip


def test_what_torch_saves_is_read(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    torch.save(SFTConfig(packing=True, gradient_accumulation_steps=300), tmp_path / "training_args.bin")
    assert read_settings((tmp_path,), {}) == {
        CLASS: "SFTConfig", "packing": True, "gradient_accumulation_steps": 300,
    }  # fmt: skip


def test_nothing_in_it_is_run(tmp_path: Path) -> None:
    made = tmp_path / "made"
    pickle.loads(pickle.dumps(Runs(made)))
    assert made.exists()
    made.unlink()
    file = write(tmp_path / "training_args.bin", pickle.dumps(SFTConfig(packing=True, runs=Runs(made)), 2))
    assert read_arguments(file, ("packing",))["packing"] is True
    assert not made.exists()


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut", b"\x80\x02}q\x00.", b"not a pickle" * 99])
def test_a_foreign_file_says_nothing(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "training_args.bin"
    file.write_bytes(content)
    assert read_arguments(file, ("packing",)) == {}
    assert read_arguments(write(file, content), ("packing",)) == {}


def test_a_huge_pickle_is_left(tmp_path: Path) -> None:
    big = pickle.dumps(SFTConfig(packing=True, text="x" * (1 << 20)), 2)
    assert read_arguments(write(tmp_path / "training_args.bin", big), ("packing",)) == {}


def test_what_lies_nearer_to_the_log_counts_and_json_before_the_pickle(tmp_path: Path) -> None:
    near, far = tmp_path / "near", tmp_path / "far"
    for folder, kind in ((near, "llama"), (far, "bert")):
        folder.mkdir()
        (folder / "config.json").write_text(f'{{"model_type": "{kind}"}}')
    (near / "args.json").write_text('{"packing": false}')
    write(near / "training_args.bin", pickle.dumps(SFTConfig(packing=True), 2))
    found = read_settings((near, far), {})
    assert (found["model_type"], found["packing"]) == ("llama", False)
