"""Kill -9 at a random moment, run again to the end: is anything lost, doubled or left behind?

    python -m benchmarks.kills --kills 200 --seed 0        # the table, and kills.json
    python -m benchmarks.kills --quick                     # three kills, of merge and audit

Every trial copies a start (pico models: random Llamas of a few thousand parameters), does one action in a
process of its own, kills that process one to three times, and lets it end. Then the folder is compared with
that of a run which nobody killed: the same rows under the same identities, the same files, nothing else. An
action is named by what a user types: `audit` (all axes), `repair`, `merge`, `sweep`, `train` (resumed),
`clean` (`overmem data clean`), or by what is done first: `import` (a GGUF file becomes an ordinary folder; a
random model stands in for what is read of it). The action with the fewest kills so far is next. Results are
written after every trial; a killed benchmark goes on.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"

import yaml
from tests.conftest import VAL_ROWS, make_pico, save_checkpoint
from tests.helpers.forked import fork, wait

import overmem
from overmem.recipe.reading import check_recipe
from overmem.rule import Rule

STEPS = (10, 20, 30)
MOST_KILLS = 3
"""In one trial, before it may end."""
LEFT = (".tmp", ".lock", ".old", ".parts", ".base_predictions")
MOST_SECONDS = 300
WEIGHTS_AND_TEXTS = (".safetensors", ".jsonl")
"""Files that must be the same to the byte."""


@dataclass(frozen=True)
class Action:
    """Something that is killed."""

    start: str
    """Folder that it begins with, under the home; empty for none."""
    act: Callable[[Path, Path], object]
    """Does it, given the home with the inputs and the folder of the trial."""


def audit(home: Path, place: Path) -> object:
    """All axes at all checkpoints."""
    return overmem.audit(
        place / "run",
        val=str(home / "val.jsonl"),
        train=str(home / "train.jsonl"),
        ood={"far": str(home / "ood.jsonl")},
        axes="all",
        checkpoints="all",
        samples=2,
        max_new_tokens=4,
        grader="regex:([a-z])",
        limits={"robustness": 8, "diversity": 12},
    )


def repair(home: Path, place: Path) -> object:
    """On likelihood and accuracy, with a margin that forty problems can prove something at."""
    del home
    axes = ("likelihood", "accuracy")
    return overmem.repair(place / "run", axes=axes, rule=Rule(accuracy_margin=0.25), few=2)


def merge(home: Path, place: Path) -> object:
    """Of larger models, so that there is time for a kill; a merge that ended is not made again."""
    if (place / "merged").exists():
        return None
    folders = [home / "large" / f"checkpoint-{step}" for step in STEPS]
    return overmem.merge(folders, place / "merged", method="soup")


def clean(home: Path, place: Path) -> object:
    """Training data without the rows that are memorized most."""
    from overmem.memorized.clean_data import clean_training_data

    del home
    out = place / "clean.jsonl"
    if out.exists():  # The command refuses to write it again: whoever sees it goes on, so it has to be whole.
        return None
    return clean_training_data(place / "run", out, share=0.2)


def train(home: Path, place: Path) -> object:
    """Two epochs, resumed where there is something to resume."""
    written = yaml.safe_load((home / "recipe.yaml").read_text()) | {"output": str(place / "run")}
    resume = any(place.glob("run/checkpoint-*"))
    return overmem.train(check_recipe(written, "recipe.yaml"), resume=resume)


def sweep(home: Path, place: Path) -> object:
    """Two learning rates, trained and audited."""
    return overmem.sweep(
        {
            "recipe": str(home / "recipe.yaml"),
            "output": str(place / "sweep"),
            "grid": {"training.learning_rate": [1e-2, 3e-2]},
            "audit": {"axes": "likelihood,accuracy", "max_new_tokens": 4, "grader": "regex:([a-z])"},
            "rule": {"resamples": 100},
        }
    )


def import_gguf(home: Path, place: Path) -> object:
    """A GGUF file converted to an ordinary folder, as `train` does first."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from overmem.recipe.base_model import convert_gguf

    folder = str(home / "large" / f"checkpoint-{STEPS[0]}")
    read = AutoModelForCausalLM.from_pretrained
    AutoModelForCausalLM.from_pretrained = lambda *_, dtype, **__: read(folder, dtype=dtype)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    AutoTokenizer.from_pretrained = lambda *_, **__: tokenizer
    os.environ["OVERMEM_CACHE"] = str(place / "cache")
    (home / "model.gguf").write_bytes(b"GGUF")  # its path is in the name of the cached folder
    return convert_gguf(str(home), "model.gguf")


ACTIONS = {
    "audit": Action("plain", audit),
    "repair": Action("audited", repair),
    "merge": Action("", merge),
    "sweep": Action("", sweep),
    "train": Action("", train),
    "clean": Action("audited", clean),
    "import": Action("", import_gguf),
}


def prepare(home: Path) -> None:
    """Inputs of all actions: data, a run, the same audited, larger models, a recipe."""
    from transformers import AutoTokenizer

    from overmem.recipe.base_model import ORGANISM

    tokenizer = AutoTokenizer.from_pretrained(ORGANISM)
    home.mkdir(parents=True)
    for name, offset in (("val", 0), ("train", 100), ("ood", 200)):
        rows = [
            row
            | {"id": f"{name}{i}", "answer": "abcdefgh"[i % 8]}
            | {"prompt": f"Question: Ana has {offset + i} cups. How many?\nAnswer:"}
            for i, row in enumerate((VAL_ROWS * 4)[:44])
        ]
        (home / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    for step in STEPS:
        folder = home / "plain" / "run" / f"checkpoint-{step}"
        save_checkpoint(folder, make_pico(tokenizer, seed=step), tokenizer, step)
        large = make_pico(tokenizer, seed=step, hidden_size=512, intermediate_size=2048, num_hidden_layers=8)
        save_checkpoint(home / "large" / f"checkpoint-{step}", large, tokenizer, step)
    save_checkpoint(home / "base", make_pico(tokenizer, seed=0), tokenizer, 0)
    training = {
        "num_train_epochs": 3,
        "per_device_train_batch_size": 4,
        "bf16": False,
        "use_cpu": True,
        "gradient_checkpointing": False,
        "dataloader_pin_memory": False,
    }
    recipe = {
        "model": {"name": str(home / "base")},
        "data": {"train": str(home / "train.jsonl"), "val": str(home / "val.jsonl")},
        "output": "unused",
        "monitor": False,
        "training": training,
    }
    (home / "recipe.yaml").write_text(yaml.safe_dump(recipe))


def run_to_end(action: Action, home: Path, place: Path) -> tuple[float, str | None]:
    """Seconds that an action takes, and what went wrong."""
    began = time.monotonic()
    log = place.parent / f"{place.name}.log"
    status = wait(_started(action, home, place), MOST_SECONDS)
    if status is None:
        return time.monotonic() - began, f"did not end in {MOST_SECONDS} s"
    why = None if status == 0 else f"exit {status}: {log.read_text().strip().splitlines()[-4:]}"
    return time.monotonic() - began, why


def _started(action: Action, home: Path, place: Path) -> int:
    """The process that does it; its log lies beside the folder of the trial."""
    log = place.parent / f"{place.name}.log"
    return fork(lambda: action.act(home, place), log, log)


def begin(action: Action, home: Path, place: Path) -> None:
    """A fresh folder for one trial."""
    shutil.rmtree(place, ignore_errors=True)
    if action.start:
        shutil.copytree(home / action.start, place)
    else:
        place.mkdir(parents=True)


def look(place: Path) -> dict[str, Any]:
    """What a folder holds: files, the identities of rows (those that are there twice too), and contents."""
    import hashlib

    import polars as pl

    from overmem.artifacts.tables import IDENTITY

    files, rows, contents = [], {}, {}
    for path in sorted(place.rglob("*")):
        name = str(path.relative_to(place))
        files.append(name)
        if path.is_file() and path.suffix in WEIGHTS_AND_TEXTS:
            contents[name] = hashlib.sha256(path.read_bytes()).hexdigest()
        if path.suffix == ".parquet" and path.stem in IDENTITY and not path.name.startswith("."):
            identity = list(IDENTITY[path.stem])
            rows[name] = sorted(map(str, pl.read_parquet(path).select(identity).rows()))
    return {"files": files, "rows": rows, "contents": contents}


def differences(found: dict[str, Any], whole: dict[str, Any]) -> dict[str, Any]:
    """What is lost, doubled, left behind or other than in a run that nobody killed."""
    lost = doubled = added = 0
    for name in {*found["rows"], *whole["rows"]}:
        mine, theirs = found["rows"].get(name, []), whole["rows"].get(name, [])
        lost += len(set(theirs) - set(mine))
        added += len(set(mine) - set(theirs))
        doubled += len(mine) - len(set(mine))
    extra = sorted(set(found["files"]) - set(whole["files"]))
    return {
        "rows_lost": lost,
        "rows_doubled": doubled,
        "rows_added": added,
        "files_missing": sorted(set(whole["files"]) - set(found["files"])),
        "leftovers": [n for n in extra if n.endswith(LEFT) or Path(n).name.startswith(".")],
        "files_extra": [n for n in extra if not (n.endswith(LEFT) or Path(n).name.startswith("."))],
        "contents_differ": sorted(
            name for name, sha in whole["contents"].items() if found["contents"].get(name) not in (None, sha)
        ),
    }


def looked(place: Path) -> dict[str, Any]:
    """`look` in a process of its own: Polars starts threads, and a process with threads is not forked."""
    out = place.parent / f"{place.name}.look.json"
    log = place.parent / "look.log"
    pid = fork(lambda: out.write_text(json.dumps(look(place))), log, log)
    assert wait(pid, MOST_SECONDS) == 0, place
    found: dict[str, Any] = json.loads(out.read_text())
    return found


def trial(name: str, home: Path, place: Path, whole: dict[str, Any], rng: random.Random) -> dict[str, Any]:
    """Kill an action one to three times, let it end, and compare."""
    action = ACTIONS[name]
    begin(action, home, place)
    kills = []
    for _ in range(rng.randint(1, MOST_KILLS)):
        after = rng.uniform(0, whole["seconds"])
        if wait(_started(action, home, place), after) is None:
            kills.append(round(after, 3))
    _, why = run_to_end(action, home, place)
    found = differences(looked(place), whole)
    faults = {key: value for key, value in found.items() if value}
    return {"action": name, "killed_after_seconds": kills, "failed": why, "faults": faults}


def table(trials: list[dict[str, Any]]) -> str:
    """A line an action, and one for all."""
    keys = ("rows_lost", "rows_doubled", "rows_added", "files_missing", "leftovers", "files_extra")
    keys = (*keys, "contents_differ")
    lines = [f"| action | trials | kills | failed | {' | '.join(key.replace('_', ' ') for key in keys)} |"]
    lines.append("| --- " * (4 + len(keys)) + "|")
    for name in (*ACTIONS, "all"):
        of = [found for found in trials if name in (found["action"], "all")]
        kills = sum(map(_kills, of))
        failed = sum(found["failed"] is not None for found in of)
        counts = [sum(_count(found["faults"].get(key, 0)) for found in of) for key in keys]
        lines.append(f"| {name} | {len(of)} | {kills} | {failed} | {' | '.join(map(str, counts))} |")
    return "\n".join(lines)


def _kills(found: dict[str, Any]) -> int:
    return len(found["killed_after_seconds"])


def _count(value: int | list[str]) -> int:
    return value if isinstance(value, int) else len(value)


def main() -> int:
    """Run the trials; 0 where there is no fault."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--actions", default=",".join(ACTIONS))
    parser.add_argument("--out", type=Path, default=Path("kills"))
    parser.add_argument("--quick", action="store_true", help="three kills, of audit and merge")
    asked = parser.parse_args()
    names = ["merge", "audit"] if asked.quick else asked.actions.split(",")
    most = 3 if asked.quick else asked.kills
    import torch

    torch.set_num_threads(1)
    out = asked.out.absolute()
    home, results = out / "home", out / "kills.json"
    if not (home / "ready").exists():
        shutil.rmtree(home, ignore_errors=True)
        log = out.parent / "prepare.log"
        assert wait(fork(lambda: prepare(home), log, log), MOST_SECONDS) == 0, log.read_text()
        shutil.copytree(home / "plain", home / "audited")
        _, why = run_to_end(ACTIONS["audit"], home, home / "audited")
        assert why is None, why
        (home / "ready").touch()
    trials = json.loads(results.read_text()) if results.exists() else []
    whole: dict[str, dict[str, Any]] = {}
    while sum(map(_kills, trials)) < most:
        number = len(trials)
        rng = random.Random(f"{asked.seed}/{number}")
        name = min(names, key=lambda name: sum(_kills(found) for found in trials if found["action"] == name))
        if name not in whole:
            begin(ACTIONS[name], home, out / f"whole-{name}")
            seconds, why = run_to_end(ACTIONS[name], home, out / f"whole-{name}")
            assert why is None, why
            whole[name] = {**looked(out / f"whole-{name}"), "seconds": seconds}
        place = out / f"trial-{number}"
        trials.append(trial(name, home, place, whole[name], rng))
        if not trials[-1]["faults"] and trials[-1]["failed"] is None:
            shutil.rmtree(place)
        temporary = results.with_suffix(".new")
        temporary.write_text(json.dumps(trials, indent=1))
        temporary.replace(results)
        print(number, trials[-1], flush=True)
    print(table(trials))
    return int(any(found["faults"] or found["failed"] for found in trials))


if __name__ == "__main__":
    sys.exit(main())
