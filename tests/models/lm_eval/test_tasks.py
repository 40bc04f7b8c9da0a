"""Tasks of lm-evaluation-harness as OOD sets: the figures are lm-eval's own, and nothing else changes.

Covers: overmem.auditing.problem_sets.lm_eval_sets, overmem.models.lm_eval.library,
overmem.models.lm_eval.names
"""

import copy
import json
import logging
import random
import sys

import numpy as np
import pytest
import torch

import overmem
from overmem.artifacts.evidence import MeasuredCheckpoint, align_evidence
from overmem.artifacts.store import Store
from overmem.auditing.jobs import compute_rows as work
from overmem.axes import all_axes
from overmem.errors import DataError, MissingExtraError
from overmem.models.lm_eval import tasks as lm_eval_tasks
from overmem.models.preserving_state import quiet_and_seeded
from tests.conftest import make_pico

pytest.importorskip("lm_eval")

DATA = """dataset_path: json
dataset_kwargs: {{data_files: {{train: {train}, test: {test}}}, cache_dir: {cache}}}
training_split: train
test_split: test
fewshot_split: train
metadata: {{version: 1.5}}
"""
TASKS = {
    # Two shots, drawn anew for every document.
    "pico_choice": """task: pico_choice
include: data
output_type: multiple_choice
num_fewshot: 2
doc_to_text: "{{question}}\\nAnswer:"
doc_to_target: label
doc_to_choice: "{{choices}}"
metric_list: [{metric: acc_norm, higher_is_better: true, aggregation: mean},
              {metric: acc, higher_is_better: true, aggregation: mean}]
""",
    "pico_write": """task: pico_write
include: data
output_type: generate_until
doc_to_text: "{{question}} "
doc_to_target: letter
generation_kwargs: {until: ["9"], max_gen_toks: 8, do_sample: false}
filter_list:
- {name: first-letter, filter: [{function: regex, regex_pattern: "([a-h])"}, {function: take_first}]}
- {name: none, filter: [{function: take_first}]}
metric_list: [{metric: exact_match, higher_is_better: true, aggregation: mean}]
""",
    "pico_long": """task: pico_long
include: pico_write.yaml
generation_kwargs: {until: ["9"], max_gen_toks: 250}
""",
    "pico_unscored": """task: pico_unscored
include: data
output_type: loglikelihood_rolling
doc_to_text: ""
doc_to_target: question
metric_list: [{metric: word_perplexity, higher_is_better: false, aggregation: weighted_perplexity}]
""",
    "pico_broken": """task: pico_broken
include: pico_write.yaml
dataset_kwargs: {data_files: nowhere.jsonl}
""",
    "pico_group": "group: pico_group\ntask: [pico_choice, pico_write]\n",
}
ENDS = {"pico_choice": "\nAnswer:", "pico_write": " "}


@pytest.fixture
def folder(tmp_path):
    """A folder of tasks as a user would write them, with 12 documents each."""
    home = tmp_path / "tasks"
    home.mkdir()
    for split, first in (("test", 0), ("train", 50)):
        rows = [
            {
                "question": f"Tom has {first + i} apples and {3 * i} cups. How many?",
                "choices": [str(first + i), f"{first + i} apples", "none"],
                "label": i % 3,
                "letter": "abcdefgh"[i % 8],
            }
            for i in range(12)
        ]
        (home / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    files = {split: str(home / f"{split}.jsonl") for split in ("train", "test")}
    (home / "data").write_text(DATA.format(**files, cache=str(tmp_path / "cache")))
    for name, text in TASKS.items():
        (home / f"{name}.yaml").write_text(text)
    return home


@pytest.fixture
def audit(pico_run, val_file, folder):
    """Audit with named tasks of the folder as OOD sets."""

    def run(*names, **options):
        settings = {"axes": ("ood",), "checkpoints": "all", "max_new_tokens": 6, "grader": "regex:([a-z])"}
        settings["ood"] = {name: f"lm_eval:{name}@{folder}" for name in names}
        return overmem.audit(pico_run, val=str(val_file), **(settings | options))

    return run


def rows_of(run, checkpoint, name):
    table = Store.of_run(run).read_rows(checkpoint, "generations")
    return {row["example_id"]: row for row in table.filter(table["split"] == f"ood/{name}").to_dicts()}


def evaluate_directly(path, folder, name):
    """What a user of lm-eval would do with the same checkpoint."""
    with quiet_and_seeded(0, ("lm_eval", "transformers", "datasets")):
        from lm_eval import simple_evaluate
        from lm_eval.models.huggingface import HFLM
        from lm_eval.tasks import TaskManager

        found = simple_evaluate(
            HFLM(pretrained=str(path), device="cpu", dtype="float32", batch_size=3),
            tasks=[name],
            task_manager=TaskManager(include_path=str(folder), include_defaults=False),
            bootstrap_iters=0,
        )
    return found["results"][name], found["samples"][name]


@pytest.mark.parametrize(("name", "metric"), [("pico_choice", "acc"), ("pico_write", "exact_match")])
def test_rows_are_what_lm_eval_itself_gives(audit, pico_run, folder, name, metric):
    done = audit(name)
    split = done.manifest.splits[f"ood/{name}"]
    assert split["n"] == 12 and split["grader"] == f"lm_eval:{name}"
    assert metric in split["shape"] and "version 1.5" in split["shape"]
    texts = done.store.read_texts().filter(set=f"ood/{name}")
    assert texts["prompt"][11].endswith("Tom has 11 apples and 33 cups. How many?" + ENDS[name])
    assert texts["prompt"][11].count("Tom has") == (3 if name == "pico_choice" else 1)
    total = 0
    for checkpoint in ("checkpoint-10", "checkpoint-100"):
        rows = rows_of(pico_run, checkpoint, name)
        results, samples = evaluate_directly(pico_run / checkpoint, folder, name)
        first = samples[0]["filter"]
        samples = {str(s["doc_id"]): s for s in samples if s["filter"] == first}
        assert set(rows) == set(samples) == {str(i) for i in range(12)}
        for key, sample in samples.items():
            assert rows[key]["correct"] == sample[metric]
            if name == "pico_choice":
                likeliest = np.argmax([ll for ((ll, _),) in sample["resps"]])
                assert rows[key]["text"] == sample["doc"]["choices"][likeliest]
            else:
                assert rows[key]["text"] == sample["resps"][0][0]
                assert rows[key]["answer"] == sample["filtered_resps"][0]
        mean = np.mean([row["correct"] for row in rows.values()])
        assert mean == pytest.approx(results[f"{metric},{first}"])
        total += sum(row["correct"] for row in rows.values())
    assert 0 < total < 24  # random models are right now and then


def test_a_limit_is_a_subset_of_a_larger_one_and_nothing_is_computed_twice(audit, pico_run, monkeypatch):
    batches = []
    do = work.WORK["lm_eval"]
    monkeypatch.setitem(work.WORK, "lm_eval", lambda *a: batches.append(list(a[2])) or do(*a))
    audit("pico_choice", "pico_write", limit=5)
    few = rows_of(pico_run, "checkpoint-10", "pico_choice")
    assert len(few) == 5
    batches.clear()
    audit("pico_choice", "pico_write")
    # Three checkpoints and two tasks, of which 7 documents were missing.
    assert sorted(map(len, batches)) == [7] * 6
    many = rows_of(pico_run, "checkpoint-10", "pico_choice")
    assert len(many) == 12 and few.items() <= many.items()
    batches.clear()
    audit("pico_choice", "pico_write")
    assert batches == []


def test_a_kill_loses_at_most_a_chunk(audit, pico_run, monkeypatch):
    from overmem.auditing.jobs import batches

    monkeypatch.setattr(batches, "CHUNK", 5)
    do, sizes = work.WORK["lm_eval"], []

    def breaks(*arguments):
        if len(sizes) == 2:
            raise KeyboardInterrupt
        sizes.append(len(arguments[2]))
        return do(*arguments)

    monkeypatch.setitem(work.WORK, "lm_eval", breaks)
    with pytest.raises(KeyboardInterrupt):
        audit("pico_choice")
    assert len(rows_of(pico_run, "checkpoint-100", "pico_choice")) + len(
        rows_of(pico_run, "checkpoint-10", "pico_choice")
    ) == sum(sizes)
    monkeypatch.setitem(work.WORK, "lm_eval", do)
    audit("pico_choice")
    interrupted = [rows_of(pico_run, f"checkpoint-{n}", "pico_choice") for n in (10, 20, 100)]
    audit("pico_choice", out=pico_run / "again")
    assert interrupted == [
        rows_of(pico_run / "again", f"checkpoint-{n}", "pico_choice") for n in (10, 20, 100)
    ]


def test_they_count_beside_other_sets_and_regrading_leaves_them(audit, pico_run, folder, val_file):
    ood = {"far": str(val_file), "pico_choice": f"lm_eval:pico_choice@{folder}"}
    core = {"axes": ("likelihood", "accuracy", "ood"), "ood": ood}
    audit(**core)
    before = rows_of(pico_run, "checkpoint-100", "pico_choice")
    done = audit(**(core | {"grader": "regex:(e)"}))
    assert rows_of(pico_run, "checkpoint-100", "pico_choice") == before
    place = MeasuredCheckpoint(done.store, done.manifest, "checkpoint-100")
    figures = {m.name: m.value() for m in all_axes()["ood"].measures(align_evidence([place])[0])}
    assert set(figures) == {"accuracy", "accuracy_far", "accuracy_pico_choice", "nll_far"}
    assert figures["accuracy_pico_choice"] == np.mean([row["correct"] for row in before.values()])
    mean = (figures["accuracy_far"] + figures["accuracy_pico_choice"]) / 2
    assert figures["accuracy"] == pytest.approx(mean)
    overmem.diagnose(done)
    overmem.report(pico_run)


def test_scoring_that_changed_makes_other_rows(audit, pico_run, folder):
    audit("pico_write")
    before = rows_of(pico_run, "checkpoint-10", "pico_write")
    path = folder / "pico_write.yaml"
    path.write_text(path.read_text().replace("[a-h]", "[i-z]"))
    done = audit("pico_write")
    table = done.store.read_rows("checkpoint-10", "generations").filter(split="ood/pico_write")
    assert len(table) == 24 and table["row_key"].n_unique() == 2
    key = done.manifest.checkpoints[0].row_keys["lm_eval ood/pico_write"]
    assert table.filter(row_key=key)["correct"].sum() == 0 < sum(r["correct"] for r in before.values())


def test_nothing_global_changes_and_nothing_is_printed(folder, tokenizer, capfd):
    model = make_pico(tokenizer, seed=10)
    bare = copy.deepcopy(tokenizer)
    bare.pad_token = None
    ids = torch.tensor([[5, 6, 7]])
    logits = model(ids).logits
    settings, levels = model.generation_config, [logging.getLogger(n).level for n in ("lm_eval", "datasets")]
    shown = settings.to_dict()
    states = random.getstate(), np.random.get_state()[1].copy(), torch.get_rng_state()
    for name in ("pico_choice", "pico_write"):
        task = lm_eval_tasks.load_task(f"lm_eval:{name}@{folder}", bare)
        assert task.answer(model, [0, 3], 512) == task.answer(model, [0, 3], 100_000)
    assert random.getstate() == states[0]
    assert np.array_equal(np.random.get_state()[1], states[1])
    assert torch.equal(torch.get_rng_state(), states[2])
    assert model.generation_config is settings and settings.to_dict() == shown
    assert not model.training and bare.pad_token is None
    assert torch.equal(model(ids).logits, logits)
    assert [logging.getLogger(n).level for n in ("lm_eval", "datasets")] == levels
    assert capfd.readouterr() == ("", "")


def test_what_cannot_be_measured_is_refused_before_anything_is(audit, pico_run, folder):
    with pytest.raises(DataError, match=r"no task `pico_chioce`[\s\S]*perhaps pico_choice"):
        audit("pico_chioce")
    with pytest.raises(DataError, match=r"group of lm-eval tasks[\s\S]*2 tasks: pico_choice, pico_write"):
        audit("pico_group")
    with pytest.raises(DataError, match=r"no score of single documents[\s\S]*word_perplexity"):
        audit("pico_unscored")
    with pytest.raises(DataError, match=r"cannot load the task `pico_broken`[\s\S]*nowhere"):
        audit("pico_broken")
    with pytest.raises(
        DataError, match=r"pico_long` does not fit the context[\s\S]*at most 256[\s\S]*max_gen_toks"
    ):
        audit("pico_long")
    with pytest.raises(DataError, match="no such folder of lm-eval tasks"):
        audit(ood={"x": "lm_eval:pico_choice@nowhere"})
    assert not (pico_run / "overmem" / "manifest.json").exists()


def test_a_missing_package_is_named(audit, monkeypatch):
    monkeypatch.setitem(sys.modules, "lm_eval", None)
    with pytest.raises(MissingExtraError, match=r"needs the extra[\s\S]*pip install 'overmem\[lm-eval\]'"):
        audit("pico_choice")


def test_a_task_beside_the_task_is_asked_of_the_base_model_too(audit, pico_run, folder, tmp_path, tokenizer):
    base = tmp_path / "base"
    make_pico(tokenizer, seed=1).save_pretrained(base)
    named = {"choice": f"lm_eval:pico_choice@{folder}"}
    done = audit(axes=("retention",), retention=named, base_model=str(base), limit=6)
    asked = [
        done.store.read_rows(name, "generations").filter(split="retention/choice")
        for name in ("base", "checkpoint-100")
    ]
    assert [len(rows) for rows in asked] == [6, 6]
    [evidence] = align_evidence([MeasuredCheckpoint(done.store, done.manifest, "checkpoint-100")])
    found = {measure.name: measure for measure in all_axes()["retention"].measures(evidence)}
    lost = asked[0]["correct"].mean() - asked[1]["correct"].mean()
    assert found["accuracy_loss_choice"].value() == pytest.approx(lost)
    assert not {"kl_choice", "format_loss_choice"} & set(found) and "kl_sums" in found
