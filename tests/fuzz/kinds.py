"""The kinds of cases: which files are changed, and which commands read them.

A plan is a function from a random generator to the command line of a case; it runs in the child process, in
the case's own copy of the material, and changes what is there.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

from tests.fuzz.files import mutate_file
from tests.fuzz.material import AUDIT
from tests.fuzz.values import LITTLE, hostile_engine, hostile_name, hostile_options

Plan = Callable[[Random], list[str]]
MEASURE = ("--max-new-tokens", "2", "--limit", "3", "--device", "cpu")
AUDIT_BARE = ("audit", "bare", "--val", "val.jsonl", *MEASURE, "--only-measure")
AUDIT_AGAIN = ("audit", "run", "--val", "val.jsonl", *AUDIT, "--max-new-tokens", "2", "--device", "cpu")
READ_RUN: tuple[tuple[str, ...], ...] = (
    *(
        ("diagnose", "run", *LITTLE),
        ("diagnose", "run", "--json", *LITTLE),
        ("report", "run"),
        ("check", "run"),
    ),
    *(("report", "run", "--format", "md", "--out", "-"), ("report", "run", "--format", "json", "--out", "-")),
    *(
        ("compare", "run", "run", *LITTLE),
        ("compare", "run", "run", "--json", *LITTLE),
        ("check", "run", "--full"),
    ),
    *(("data", "memorized", "run", "--csv", "rows.csv"), ("data", "memorized", "run", "--json")),
    *(("data", "clean", "run", "--out", "clean.jsonl"), ("repair", "run", "--plan"), AUDIT_AGAIN),
    *(("export", "csv", "run", "--out", "rows.csv"), ("export", "lm-eval", "run", "--out", "exported")),
)
MODELS: tuple[tuple[str, ...], ...] = (
    AUDIT_BARE,
    ("plan", "bare", "--val", "val.jsonl", *MEASURE),
    ("merge", "bare/checkpoint-10", "bare/checkpoint-20", "--out", "merged"),
    ("audit", "bare", "--val", "val.jsonl", "--base-model", "base", *MEASURE),
)
ADAPTERS: tuple[tuple[str, ...], ...] = (
    ("audit", "adapters", "--val", "val.jsonl", *MEASURE),
    ("merge", "adapters/checkpoint-10", "adapters/checkpoint-20", "--out", "merged"),
    ("merge", "adapters/checkpoint-10", "adapters/checkpoint-20", "--out", "merged", "--into-full"),
)
LOGS: tuple[tuple[str, ...], ...] = (
    *(("diagnose", "bare", *LITTLE), ("diagnose", "bare", "--json", *LITTLE), ("check", "bare"), AUDIT_BARE),
    *(("report", "bare", "--format", "md", "--out", "-"), ("compare", "bare", "run", *LITTLE)),
)
SETTINGS: tuple[tuple[str, ...], ...] = (
    *(
        ("audit", "bare", "--only-measure"),
        ("audit", "bare"),
        ("plan", "bare"),
        ("audit", "bare", "--show-prompt"),
    ),
    *(("diagnose", "bare"), ("report", "bare"), ("init", "bare", "--yes", "--force"), ("check", "bare")),
)
IMPORTS: tuple[tuple[str, ...], ...] = (
    ("import", "lm-eval", "results", "--run", "bare"),
    ("import", "lm-eval", "results", "--run", "bare", "--task", "mine", "--json"),
    ("import", "lm-eval", "results", "--run", "bare", "--task", "mine*"),
)
TABLES: tuple[tuple[str, ...], ...] = (
    *(
        ("import", "csv", "answers.csv", "--run", "bare"),
        ("import", "parquet", "answers.parquet", "--run", "bare"),
    ),
)


@dataclass(frozen=True)
class Files:
    """Files that match some patterns are changed, and one of the commands is called."""

    patterns: tuple[str, ...]
    commands: tuple[tuple[str, ...], ...]
    most: int = 4
    """Changes; each is made to one file, or to all of one pattern."""

    def __call__(self, rng: Random) -> list[str]:
        found = [sorted(Path().glob(pattern)) for pattern in self.patterns]
        chosen = rng.choice(found)
        alike = rng.random() < 0.25
        targets = chosen if alike else [rng.choice(chosen)]
        seed = rng.random()
        for path in targets:
            again = Random(seed)
            for _ in range(again.randint(1, self.most)):
                if path.is_file() and not path.is_symlink():
                    mutate_file(again, path)
        return list(rng.choice(self.commands))


def data_case(rng: Random) -> list[str]:
    """Data of every shape and form, one of both files changed."""
    ending = rng.choice(["jsonl", "json", "csv", "parquet"])
    shape = rng.choice(
        ["val", "val", "messages", "sharegpt", "alpaca", "choices", "preferences", "tokenized", "gsm8k"]
    )
    val = f"val.{ending}" if shape == "val" else f"shapes/{shape}.jsonl"
    train = f"train.{ending}"
    target = Path(rng.choice([val, val, train]))
    for _ in range(rng.randint(1, 4)):
        if target.is_file() and not target.is_symlink():
            mutate_file(rng, target)
    source = f"gsm8k:{val}" if shape == "gsm8k" else val
    return rng.choice(
        [
            ["data", "check", "--val", source, "--train", train],
            ["data", "check", "--val", source, "--train", train, "--json"],
            ["data", "check", "--val", f"{source}[:5]", "--train", train, "--columns", "prompt=prompt"],
            ["audit", "bare", "--val", source, "--train", train, *MEASURE],
            ["plan", "bare", "--val", source, *MEASURE],
            ["audit", "bare", "--val", source, "--show-prompt"],
        ]
    )


def recipe_case(rng: Random) -> list[str]:
    """A recipe that is trained by, or lies in a run."""
    command = Files(("recipe.yaml",), (("train", "recipe.yaml", "--dry-run"),), most=2)(rng)
    if rng.random() < 0.3:
        if os.path.lexists("recipe.yaml"):  # one mutation is to remove it
            os.replace("recipe.yaml", "bare/recipe.yaml")
        return ["audit", "bare", *MEASURE]
    if rng.random() < 0.2:
        return ["sweep", "sweep.yaml", "--plan"]
    return command


def code_case(rng: Random) -> list[str]:
    """The user's own grader, template or chat template, with a fault in it."""
    name, more = rng.choice(
        [
            ("grader.py", ("--grader", "python:grader.py:judge")),
            ("template.py", ("--template", "python:template.py:render")),
            ("chat.jinja", ("--template", "chat", "--chat-template", "chat.jinja")),
        ]
    )
    return Files((name,), ((*AUDIT_BARE, *more), (*AUDIT_BARE, *more, "--show-prompt")), most=2)(rng)


def settings_case(rng: Random) -> list[str]:
    """An `overmem.yaml` with a fault in it, in a run without an audit."""
    command = Files(("settings.yaml",), SETTINGS, most=2)(rng)
    if os.path.lexists("settings.yaml"):  # one mutation is to remove it
        os.replace("settings.yaml", "bare/overmem.yaml")
    return command


def result_case(rng: Random) -> list[str]:
    """What another tool measured, imported."""
    if rng.random() < 0.6:
        return Files(("results/*/*.json", "results/*/*.jsonl"), IMPORTS)(rng)
    return Files(("answers.csv", "answers.parquet"), TABLES)(rng)


def log_case(rng: Random) -> list[str]:
    """A log that another tool wrote, by its own path."""
    logs = sorted(path for path in Path("logs").rglob("*") if path.is_file() and "mlruns" not in path.parts)
    name = str(rng.choice([*logs, Path("logs/mlruns")]))
    target = "logs/mlruns/*/*/metrics/*" if name.endswith("mlruns") else name
    more = rng.choice([(), ("--json",)])
    return Files(
        (target,), (("diagnose", name, *more), ("report", name, "--out", "page.html"), ("check", name))
    )(rng)


def name_case(rng: Random) -> list[str]:
    """Folders and files whose names are no usual names."""
    name = hostile_name(rng)
    what = rng.choice(["bare", "run", "val.jsonl", "recipe.yaml", "checkpoint", "file beside"])
    argument = f"./{name}" if rng.random() < 0.8 else name
    if what == "checkpoint":
        os.rename("run/checkpoint-20", os.path.join("run", name))
        return list(rng.choice(READ_RUN))
    if what == "file beside":
        shutil.copy("recipe.yaml", os.path.join("run", name))
        shutil.copy("val.jsonl", os.path.join("run/overmem", name))
        return list(rng.choice(READ_RUN))
    if rng.random() < 0.8:
        os.rename(what, name)
    commands: dict[str, Sequence[Sequence[str]]] = {
        "bare": [*MODELS, *LOGS],
        "run": READ_RUN,
        "val.jsonl": [AUDIT_BARE, ("data", "check", "--val", "val.jsonl", "--train", "train.jsonl")],
        "recipe.yaml": [("train", "recipe.yaml", "--dry-run")],
    }
    command = [
        argument + part.removeprefix(what) if part == what or part.startswith(f"{what}/") else part
        for part in rng.choice(list(commands[what]))
    ]
    if "--out" not in command and command[0] in ("audit", "report") and rng.random() < 0.3:
        command += ["--out", f"out{name}"]
    return command


KINDS: dict[str, Plan] = {
    "config": Files(("bare/*/config.json", "bare/checkpoint-20/config.json", "base/config.json"), MODELS),
    "generation": Files(("bare/*/generation_config.json", "base/generation_config.json"), MODELS),
    "adapter": Files(("adapters/*/adapter_config.json", "adapters/*/*.safetensors"), ADAPTERS),
    "weights": Files(("bare/*/model.safetensors", "base/model.safetensors"), MODELS, most=2),
    "index": Files(
        ("sharded/*/model.safetensors.index.json", "sharded/*/model-*.safetensors"),
        (
            ("audit", "sharded", "--val", "val.jsonl", *MEASURE),
            ("merge", "sharded/checkpoint-10", "sharded/checkpoint-20", "--out", "merged"),
        ),
        most=2,
    ),
    "tokenizer": Files(("bare/*/tokenizer.json", "bare/*/tokenizer_config.json"), MODELS),
    "state": Files(("bare/*/trainer_state.json",), LOGS),
    "data": data_case,
    "rows": Files(("run/overmem/*/*.parquet", "run/overmem/texts.parquet"), READ_RUN, most=2),
    "manifest": Files(("run/overmem/manifest.json",), READ_RUN, most=2),
    "records": Files(
        tuple(f"run/overmem/{name}.json" for name in ("verdict", "contamination", "repair")), READ_RUN, most=2
    ),
    "recipe": recipe_case,
    "sweep": Files(
        ("sweep.yaml",),
        (("sweep", "sweep.yaml", "--plan"), ("sweep", "sweep.yaml", "--plan", "--json")),
        most=2,
    ),
    "foreign": Files(
        ("foreign/train.yaml", "foreign/README.md", "dataset_info.json"),
        (
            ("audit", "foreign", "--val", "val.jsonl", *MEASURE),
            ("audit", "foreign", "--val", "dataset_info.json#mine", *MEASURE),
            ("data", "check", "--val", "dataset_info.json#mine", "--train", "train.jsonl"),
        ),
    ),
    "settings": settings_case,
    "results": result_case,
    "logs": log_case,
    "code": code_case,
    "values": hostile_options,
    "names": name_case,
    "server": hostile_engine,
}
"""By name: a plan of cases of that kind."""
