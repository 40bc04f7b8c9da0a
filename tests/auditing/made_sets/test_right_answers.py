"""References of several hands end to end on pico models: scored apart, resumed, told in the verdict."""

import json
import math

import pytest

import overmem
from overmem.artifacts.store import Store
from overmem.auditing.flags.reading import _read_named as parse_named
from overmem.auditing.options import saved_options
from overmem.errors import RunError
from overmem.verdict.words.narrative import plain_words
from tests.conftest import VAL_ROWS, make_pico, save_checkpoint

QUICK = {"max_new_tokens": 8, "grader": "regex:([a-z])", "checkpoints": "all"}


@pytest.fixture
def files(tmp_path):
    """Val and train by one hand, and the problems of val, and one more, by another."""
    found = {}
    for name, hand in (("val", "{}"), ("train", "{}"), ("other", " By another hand, in other words:{}")):
        of = "val" if name == "other" else name
        rows = [
            row
            | {"id": f"{of}{i}", "prompt": f"Question: {of} {i}?\nAnswer:", "answer": "abcdefgh"[i % 8]}
            | {"completion": hand.format(row["completion"])}
            for i, row in enumerate(VAL_ROWS * 4)
        ]
        rows += [rows[0] | {"id": "extra", "prompt": "Something else"}] if name == "other" else []
        path = tmp_path / f"{name}.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        found[name] = str(path)
    return found


@pytest.fixture
def run(tmp_path, tokenizer):
    """Two checkpoints, the last of which finds every reference less probable."""
    for step, spread in ((10, 0.02), (20, 0.5)):
        model = make_pico(tokenizer, seed=step, initializer_range=spread)
        save_checkpoint(tmp_path / "run" / f"checkpoint-{step}", model, tokenizer, step)
    return tmp_path / "run"


def test_each_kind_of_reference_is_scored_and_the_verdict_tells_them_apart(run, files, ending):
    data = {"val": files["val"], "train": files["train"], "references": {"other": files["other"]}}
    done = overmem.audit(run, **data, **QUICK)
    splits = done.manifest.splits
    # Only the problems of val are kept of the other hand's, to be compared in pairs.
    assert splits["references/other"].example_ids == splits["val"].example_ids
    author = splits["answers"].source
    assert author == "checkpoint-10"
    written = done.store.read_rows(author, "generations").filter(split="val", correct=1.0)
    texts = done.store.read_texts().filter(set="answers")
    said = dict(texts.select("example_id", "completion").iter_rows())
    assert {name: text + "<|end|>" for name, text in written.select("example_id", "text").iter_rows()} == said
    verdict = overmem.diagnose(done)
    costs = {c.measure: c for c in verdict.costs if c.axis == "references"}
    assert {"gap_other", "nll_in_distribution", "nll_other"} <= set(costs)
    gap, val, other = (costs[name] for name in ("gap_other", "nll_in_distribution", "nll_other"))
    assert gap.headline and gap.direction == "context"
    expected = other.difference.value - val.difference.value
    assert gap.difference.value == pytest.approx(expected, abs=1e-9)
    assert math.isfinite(costs["nll_same_right_answers"].difference.low)
    assert math.isfinite(costs["nll_own_right_answers"].value)
    assert "on those of `other`" in " ".join(verdict.words)
    assert verdict.references.source == files["val"] and verdict.references.other_style is False
    unseen = f"was found (a part of less than {verdict.references.unlike.high:.0%} would not be seen)."
    assert unseen in " ".join(plain_words(verdict))
    assert saved_options(done.manifest).references == {"other": files["other"]}


def test_right_answers_are_not_scored_twice(run, files, ending, monkeypatch):
    settings = {"val": files["val"], "axes": ("references",), **QUICK}
    first = overmem.audit(run, **settings)
    monkeypatch.setattr(
        "overmem.auditing.jobs.loaded_model.LoadedModel.at", None
    )  # nothing is left to compute
    again = overmem.audit(run, **settings)
    assert again.manifest.splits == first.manifest.splits


def test_a_val_in_another_style_than_train_is_noted(run, files):
    done = overmem.audit(run, val=files["other"], train=files["train"], **QUICK)
    verdict = overmem.diagnose(done)
    notes = [note for note in verdict.notes if "another style" in note]
    assert len(notes) == 1 and "--references NAME=SOURCE" in notes[0] and "% of val's references" in notes[0]
    assert verdict.references.telling[0] in notes[0] and "in 0% of train and 100% of these" in notes[0]
    record = json.loads((Store.of_run(run).root / "verdict.json").read_text())
    assert record["references"]["other_style"] is True and record["schema"] == "overmem.verdict/1"


def test_bad_names_are_refused():
    with pytest.raises(RunError, match=r"a set of references needs a name[\s\S]*human=gsm8k"):
        parse_named(["human"], "a set of references", "human=gsm8k:test.jsonl")
    with pytest.raises(RunError, match="named twice"):
        parse_named(["a=x", "a=y"], "a set of references", "human=gsm8k:test.jsonl")
