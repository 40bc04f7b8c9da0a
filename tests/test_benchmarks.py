"""Every benchmark runs as its docstring says, at toy size: what is measured means nothing, but it runs.

Sizes that a command line does not name are constants of the module, and are set.
"""

import importlib
import logging
import os
import subprocess
import sys
from dataclasses import dataclass, field
from functools import partial

import pytest
import transformers
from benchmarks import merge

import overmem
from tests.helpers.command import run_python
from tests.helpers.paths import ROOT
from tests.helpers.processes import ALONE
from tests.helpers.tokenizers import CHATML, make_tokenizer

FILES = sorted((ROOT / "benchmarks").rglob("*.py"))
SHORT = 24
"""Tokens of an answer, where a benchmark does not say how many."""
FEW = {
    "likelihood": 12,
    "accuracy": 6,
    "privacy": 12,
    "recall": 2,
    "calibration": 1,
    "diversity": 1,
    "ood": 1,
    "robustness": 1,
}
RIVAL = """#!{python}
# Stands in for mergekit-yaml: averages in fp32, as its `linear` does.
import json, sys
from pathlib import Path
from safetensors.torch import load_file, save_file
config, out = json.loads(Path(sys.argv[1]).read_text()), Path(sys.argv[2])
one, other = (Path(model["model"]) for model in config["models"])
out.mkdir()
def read(folder):
    return {{k: v for file in sorted(folder.glob("*.safetensors")) for k, v in load_file(file).items()}}
left, right = read(one), read(other)
merged = {{name: ((tensor.float() + right[name].float()) / 2).bfloat16() for name, tensor in left.items()}}
save_file(merged, out / "model.safetensors")
"""


@dataclass
class Toy:
    """How a benchmark is run at toy size."""

    commands: tuple[str, ...]
    """Its arguments, once a call; names in braces are files and folders of the test."""
    says: str
    """What the last call prints among others."""
    sizes: dict[str, object] = field(default_factory=dict)
    """Constants of the module."""
    returns: int | None = None
    alone: bool = False
    """In a process of its own: it forks, and threads of torch and polars do not live on in a child."""


TOYS = {
    "audit_size": Toy(("--gb 0.002 --problems 2",), "rows equal"),
    "audit_vs_lm_eval": Toy(
        (
            "prepare --run {adapters} --data {gsm8k} --problems 3 --tokens 8 --checkpoints 1",
            "samples --problems 2 --rounds 1 --k 2",
            "shared --problems 2 --rounds 1",
            "floor",
        ),
        "GFLOP",
    ),
    "bakeoff": Toy(
        (
            "run --methods nll-soup --seeds 0 --rate 4e-4 --out {out}",
            "table --seeds 0 --rate 4e-4 --against nll-soup --out {out}",
        ),
        "nll-soup",
        {
            "PROBLEMS": 8,
            "STEPS": 12,
            "KEPT": 6,
            "LIMITS": FEW,
            "TEST": "wordmath:test[:12]",
            "VAL": "wordmath:val[:12]",
        },
    ),
    "calibration.dependent": Toy(
        ("--runs 2",), "| 60 | 2 | 0.8 | groups |", {"CELLS": ((60, 2, 0.8),), "CHECKPOINTS": 4}
    ),
    "calibration.generators": Toy((), ""),
    "calibration.ugly": Toy((), ""),
    "calibration.unseen": Toy((), ""),
    "calibration.run": Toy(
        ("--runs 1 --only saturating --out {out}",), "saturating", {"PROBLEMS": (100,), "CHECKPOINTS": (4,)}
    ),
    "changed_base": Toy(("",), "overmem, pissa trained over bf16 weights"),
    "compatibility": Toy(
        (
            "classes --only gpt2 --out {out}",
            "adapters --only VBLORA --out {out}",
            "page --out {out} --page {out}/page.md",
        ),
        "| classes of models | 1 | 1 | 0 | 0 | 0 |",
    ),
    "contamination": Toy(("--tasks wordmath --each 2 --seeds 1",), "wordmath"),
    "contamination_verdicts": Toy(("--runs 2",), "planted"),
    "facts": Toy(
        ("--out {out}",),
        "lesson 20",
        {"LEARNED": 0.0, "LESSON_STEPS": 20, "RECENT": 1, "BATCH": 6, "AT_MOST": 40},
    ),
    "few_seeds": Toy(("--runs 2",), "too few seeds"),
    "framework_tokens": Toy(("{tokenizers}/llama3",), "0 of 0 rows", returns=0),
    "grading": Toy(("--set held_out_2",), "held_out_2"),
    "kills": Toy(("--kills 1 --actions merge --out {out}",), "| merge |", returns=0, alone=True),
    "layouts": Toy(("--only 3",), "3 layouts, 0 wrong"),
    "likelihood": Toy(("{organism} {val} --rounds 1",), "naive / ours"),
    "long_answers": Toy(("--lengths 60 --vocabulary 500",), "0.00 |"),
    "loss_step": Toy(("--rounds 1 --steps 2 --memory-rounds 1",), "| organism | mar |"),
    "memorized_rows": Toy(
        (
            "halves --sets 0 --out {out}",
            "ordinary --sets 0 --out {out}",
            "retrain --sets 0 --out {out}",
            "report --sets 0 --out {out}",
        ),
        "excess fall",
        {
            "ROWS": 24,
            "MODELS": {0: 2},
            "KINDS": {"wrong": 2, "style": 2, "exchanged": 2, "duplicate": 2},
            "VAL": "wordmath:val[:24]",
            "TEST": "wordmath:test[:8]",
            "SEEDS": range(1),
            "EPOCHS": 2,
        },
    ),
    "merge": Toy(("--gb 0.002 --rounds 1 --mergekit {rival}",), "equal"),
    "monitor": Toy(("--examples 16 --epochs 1 --rounds 1",), "| organism-fast | 16 |"),
    "monitor_onset": Toy(("{run} --limit 8",), "| run |"),
    "organism": Toy(
        ("demo --seeds 0 --problems 8 --out {out}",), "| demo | 0 |", {"TEST": "wordmath:test[:8]"}
    ),
    "other_hand": Toy(("--seeds 0 1 --limit 6 --out {out}",), "as one run", {"PROBLEMS": 8}),
    "pico_models": Toy(("gpt2",), "GPT2Config"),
    "picks": Toy(
        ("run {run} --out {out}", "table --out {out}"),
        "rule minus last",
        {"PROBLEMS": FEW | {"retention": 2}, "TEST": "wordmath:test[:24]"},
    ),
    "plan": Toy(("{run} --limit 4 --max-new-tokens 4",), "megabytes"),
    "planted_leaks": Toy((), ""),
    "privacy_attacks": Toy(("--seeds 0 --problems 24 --epochs 1 --out {out}",), "| 0 | 3 |"),
    "reference_style.first": Toy((), ""),
    "reference_style.last": Toy((), ""),
    "reference_style.rewriting": Toy((), ""),
    "reference_style.run": Toy(("--data {out} --seeds 1 --size 60",), "unseen, other style: told in"),
    "reference_style.second": Toy((), ""),
    "reference_style.unseen": Toy((), ""),
    "repeated_proofs": Toy(("--runs 2 --tries 2",), "tries counted: 1:"),
    "report_size": Toy(
        ("--checkpoints 3 --problems 20 --rounds 1 --folder {out}",), "3 checkpoints, 20 problems"
    ),
    "retention": Toy(
        ("run --out {out}", "table --out {out}", "seeds --seeds 1 --out {out}"),
        "| 0 | last",
        {
            "OVER_SEEDS": {"method": "full", "loss": "nll", "rate": 1e-3, "n": 16, "epochs": 2},
            "RUNS": 3,
            "SIZES": (8,),
            "MOST_STEPS": 2,
            "N_TEST": 10,
            "DRAWS": 20,
            "TASK": "wordmath:val[:10]",
            "SKILLS": {"sums": "pretrained:sums[100:110]", "problems": "pretrained:problems[100:110]"},
        },
    ),
    "scale": Toy(
        (
            "tokens --lengths 30 --problems 40 --checkpoints 3 --folder {out}",
            "report --lengths 30 --problems 40 --checkpoints 3 --folder {out}",
            "write --lengths 30 --problems 40 --folder {out}",
            "bootstrap --problems 40",
            "proof --problems 100",
            "judge --checkpoints 4 --problems 40",
        ),
        "4 | 40 |",
    ),
    "selection": Toy(
        ("--each 1 --law 30 --replay {run}", "--each 1 --compare"),
        "its last checkpoint",
        {"PROBLEMS": (40,), "CHECKPOINTS": (3,)},
    ),
    "settling": Toy(
        ("--runs 1",), "undetermined checkpoints", {"NAMES": ("smooth",), "PROBLEMS": (50,), "CHECKPOINTS": 3}
    ),
    "straddling": Toy(("--epochs 1 --folder {out}",), "trained (TRL)", returns=0),
    "tails": Toy(("--runs 2 --bootstraps 1 --n 30",), "written after"),
    "tokens": Toy(("{tokenizers} --only llama3",), "same 64", returns=0),
    "train_loss_gap": Toy(
        ("run --set toy --runs 1 --out {out}", "table --out {out}"),
        "toy, at the end, with one evaluation: 1 cases",
        {
            "SCORED": 4,
            "LESSON": 8,
            "SETS": {
                "toy": {
                    "rows": (48,),
                    "rate": (4e-3, 4.1e-3),
                    "batch": (8,),
                    "tasks": (1, 0, 0, 0),
                    "tokens": 6_000,
                }
            },
        },
    ),
    "training_groups": Toy(("--runs 2 --rows 60 --draws 50",), "worst AUROC"),
    "waiting_threads": Toy(
        ("--rounds 1 --steps 1",),
        "| overmem |",
        {"AT_ONCE": (1,), "CASES": {"overmem": {"GOMP_SPINCOUNT": "9"}}},
    ),
    "until_decided": Toy(
        ("--each 1", "--replay {run}"), "all orders", {"PROBLEMS": (200,), "CHECKPOINTS": (4,)}
    ),
}


@pytest.fixture(scope="module")
def places(tmp_path_factory, tokenizer):
    """What the commands name: audited and adapter runs of the organism, data, tokenizers, a rival."""
    from overmem.recipe.base_model import ORGANISM
    from overmem.training.trainer import train

    folder = tmp_path_factory.mktemp("toys")
    data = {"train": "wordmath:train[:8]", "val": "wordmath:val[:40]"}
    common = {"data": data, "monitor": False, "training.num_train_epochs": 2}
    for name, method in (("run", "full"), ("adapters", "lora")):
        train(overmem.load_recipe("demo", {**common, "output": str(folder / name), "method": method}))
    overmem.diagnose(overmem.audit(folder / "run", max_new_tokens=SHORT))
    rows = [f'{{"question": "What is {i} + 1?", "answer": "#### {i + 1}"}}\n' for i in range(4)]
    (folder / "gsm8k.jsonl").write_text("".join(rows))
    make_tokenizer(template=CHATML).save_pretrained(folder / "tokenizers" / "llama3")
    rival = folder / "mergekit-yaml"
    rival.write_text(RIVAL.format(python=sys.executable))
    rival.chmod(0o755)
    return {
        "run": folder / "run",
        "adapters": folder / "adapters",
        "gsm8k": folder / "gsm8k.jsonl",
        "tokenizers": folder / "tokenizers",
        "organism": ORGANISM,
        "val": "wordmath:val[:8]",
        "rival": rival,
    }


RUN = subprocess.run


def run_warm(command, *, env=None, check=False, **options):
    """`subprocess.run`, without the imports where Python is called."""
    if command[0] != sys.executable:
        return RUN(command, env=env, check=check, **options)
    done = run_python(*command[1:], env=env)
    sys.stderr.write(done.stderr)
    if check:
        done.check_returncode()
    return done


def measure_warm(command, environment):
    """What a command of Python uses, were it measured; what it does is done."""
    words = command[1:] if command[0] == sys.executable else command
    done = run_python(*words, env=environment)
    assert done.returncode == 0, done.stderr
    return merge.Usage(wall_seconds=1.0, cpu_seconds=1.0, rss_mb=1.0, anonymous_mb=1.0)


def name_of(file):
    return ".".join(file.relative_to(ROOT / "benchmarks").with_suffix("").parts)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:An input array is constant", "ignore:Polyfit may be poorly conditioned")
@pytest.mark.parametrize("name", [name_of(file) for file in FILES])
def test_a_benchmark_runs(name, places, tmp_path, monkeypatch, capsys):
    toy = TOYS[name]
    if toy.alone:
        (command,) = toy.commands
        words = command.format(**places, out=tmp_path / "out").split()
        done = run_python("-m", f"benchmarks.{name}", *words, cwd=ROOT, env=ALONE)
        assert done.returncode == toy.returns and toy.says in done.stdout, done.stderr[-3000:]
        return
    monkeypatch.setenv("AUDIT_VS_LM_EVAL", str(tmp_path / "audit_vs_lm_eval"))
    monkeypatch.setenv("PYTHONPATH", f"{ROOT}{os.pathsep}{ROOT / 'src'}")
    monkeypatch.setattr(overmem, "audit", partial(overmem.audit, max_new_tokens=SHORT))
    module = importlib.import_module(f"benchmarks.{name}")
    for constant, value in toy.sizes.items():
        assert hasattr(module, constant)
        monkeypatch.setattr(module, constant, value)
    # What a benchmark silences stays silent in this process, where other tests want to hear it.
    if hasattr(module, "quiet_libraries"):
        monkeypatch.setattr(module, "quiet_libraries", lambda: None)
    monkeypatch.setattr(logging, "disable", lambda level: None)
    monkeypatch.setattr(transformers.logging, "set_verbosity_error", lambda: None)
    monkeypatch.setattr(subprocess, "run", run_warm)
    if getattr(module, "measure", None) is merge.measure:
        monkeypatch.setattr(module, "measure", measure_warm)
    if name == "audit_size":
        monkeypatch.setattr(module, "limited", lambda words, _: words)
        monkeypatch.setattr(module, "forget", lambda _: None)  # waits for the disk
    if name == "bakeoff":
        monkeypatch.setattr(module, "RESULTS", tmp_path / "results.json")
    returned = None
    for command in toy.commands:
        words = command.format(**places, out=tmp_path / "out").split()
        monkeypatch.setattr(sys, "argv", [module.__file__, *words])
        returned = module.main()
    assert toy.says in capsys.readouterr().out
    assert returned == toy.returns
