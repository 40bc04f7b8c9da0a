"""The commands of a report are those that were run."""

import shlex
from dataclasses import replace
from itertools import pairwise

from overmem.artifacts.manifest_parts.measured_sets import MeasuredSet
from overmem.reporting.provenance import (
    audit_command,
    axes_command,
    commands,
    diagnose_command,
)
from overmem.rule import Rule
from tests.helpers.verdicts import make_verdict
from tests.reporting.test_markdown import manifest

FAR = MeasuredSet(
    set="ood/far", variant="clean", source="far.jsonl", shape="", grader="exact", n=1, fingerprint="",
    example_ids=(), example_shas=(),
)  # fmt: skip


def test_audit_command_says_what_differs_from_the_defaults() -> None:
    assert audit_command(manifest(), "runs/a") == "overmem audit runs/a --val val.jsonl"
    found = audit_command(
        replace(
            manifest(
                val="my val.jsonl",
                train="t[:9]",
                variants={"typo": None, "mine": "m'x.jsonl"},
                limit=50,
                limits={"recall": 10},
                samples=4,
                seed=3,
                max_new_tokens=82,
                budget_minutes=2.5,
                grader="regex:#### (\\d+)",
                device="auto",
                trust_remote_code=True,
                template={"kind": "chat", "prompt_format": "Q: {prompt}\nA:"},
            ),
            axes=("accuracy", "likelihood", "ood"),
            splits={"ood/far": FAR},
        ),
        "-x y",
    )
    words = shlex.split(found)
    assert words[:5] == ["overmem", "audit", "./-x y", "--val", "my val.jsonl"]
    for pair in (
        ("--axes", "likelihood,accuracy,ood"),
        ("--ood", "far=far.jsonl"),
        ("--variant", "typo"),
        ("--variant", "mine=m'x.jsonl"),
        ("--limit", "50"),
        ("--limit", "recall=10"),
        ("--samples", "4"),
        ("--seed", "3"),
        ("--max-new-tokens", "82"),
        ("--budget", "2.5"),
        ("--grader", "regex:#### (\\d+)"),
        ("--template", "chat"),
        ("--prompt-format", "Q: {prompt}\nA:"),
    ):
        assert pair in list(pairwise(words)), pair
    assert "--trust-remote-code" not in words and "--device" not in words and "--temperature" not in words


def test_other_commands_repeat_the_thresholds() -> None:
    verdict = make_verdict(thresholds=Rule(perplexity_ratio=1.2, seed=1).to_dict())
    assert diagnose_command(verdict, "r") == "overmem diagnose r --perplexity-ratio 1.2 --seed 1"
    assert commands(verdict, manifest(), "r")[2] == "overmem report r"
    assert axes_command(manifest(), "r") == "overmem audit r --val val.jsonl --train TRAIN.jsonl --axes all"
    assert axes_command(replace(manifest(), axes=("likelihood", "ood")), "r") is None
