"""Canaries from recipe to training, to the files beside the run, to the audit's exposure."""

import json

import overmem
from overmem.artifacts.evidence import MeasuredCheckpoint, align_evidence
from overmem.axes.privacy import AXIS
from overmem.recipe.reading import check_recipe
from overmem.training.canaries import canaries_of, inserted_examples
from overmem.training.dry_run import dry_run
from overmem.training.trainer import train
from tests.conftest import make_pico, save_checkpoint
from tests.training.test_trainer import TRAINING


def write_rows(path, first):
    texts = [f"so {'abcdefgh'[i % 8]} and {'klmnopqrstuv'[i % 12]}" for i in range(first, first + 24)]
    rows = ({"prompt": f"What of {i}?", "completion": f" {text}"} for i, text in enumerate(texts))
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def test_a_repeated_canary_is_exposed(tmp_path, tokenizer):
    base = tmp_path / "base"
    save_checkpoint(base, make_pico(tokenizer, seed=0), tokenizer, 0)
    recipe = check_recipe(
        {
            "model": {"name": str(base)},
            "data": {
                "train": write_rows(tmp_path / "train.jsonl", 0),
                "val": write_rows(tmp_path / "val.jsonl", 5),
            },
            "output": str(tmp_path / "out"),
            "monitor": False,
            "canaries": {"rate": 0.05, "repetitions": 8},
            "training": TRAINING | {"num_train_epochs": 6},
        },
        "test",
    )
    canaries = canaries_of(recipe)
    assert len(canaries.inserted) == 1 and len(inserted_examples(recipe, canaries)) == 8
    assert dry_run(recipe).train.examples == 24 + 8
    path = train(recipe)
    kept = [json.loads(line) for line in (path / "canaries" / "inserted.jsonl").read_text().splitlines()]
    assert kept == list(canaries.inserted)
    assert (
        json.loads((path / "canaries" / "candidates.jsonl").read_text().splitlines()[0])
        == (canaries.candidates[0])
    )
    done = overmem.audit(path, axes="privacy", grader="none", checkpoints="all")
    assert done.manifest.splits["canary_candidates"].n == 255
    places = [MeasuredCheckpoint(done.store, done.manifest, item.name) for item in done.manifest.checkpoints]
    found = [
        next(m.value() for m in AXIS.measures(evidence) if m.name == "exposure")
        for evidence in align_evidence(places)
    ]
    # 48 repetitions in all of 8 random words: more probable than each of 255 others.
    assert found[-1] == 8.0 and found[-1] >= found[0]


def test_a_recipe_without_canaries_has_none(tmp_path):
    recipe = check_recipe(
        {"model": {"name": "organism"}, "data": {"train": "wordmath:train[:20]"}, "output": str(tmp_path)},
        "test",
    )
    assert canaries_of(recipe) is None and inserted_examples(recipe, None) == ()
