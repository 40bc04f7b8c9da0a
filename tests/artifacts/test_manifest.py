"""A manifest is read as it was written, key by key, and a damaged one is one message.

Covers: overmem.artifacts.manifest_parts.imported, overmem.artifacts.manifest_parts.measured_sets,
overmem.artifacts.manifest_parts.model_rows, overmem.artifacts.manifest_parts.plain_parts
"""

import json
from dataclasses import replace

import pytest

from overmem.artifacts.jobs import TRAIN_SCORES, VAL_ANSWERS, VAL_SCORES
from overmem.artifacts.manifest import MANIFEST_SCHEMA, Manifest, read_manifest, write_manifest
from overmem.artifacts.manifest_parts.measured_sets import MeasuredSet
from overmem.artifacts.rows import read_job
from overmem.artifacts.store import Store
from overmem.errors import ArtifactError

SPLIT = {
    "set": "val",
    "variant": "clean",
    "source": "val.jsonl",
    "shape": "prompt/completion",
    "grader": "exact",
    "n": 2,
    "fingerprint": "f",
    "answers": "a",
    "example_ids": ["p0", "p1"],
    "example_shas": ["s0", "s1"],
    "max_new_tokens": 64,
}
CHECKPOINT = {
    "name": "checkpoint-10",
    "step": 10,
    "epoch": 0.5,
    "kind": "full",
    "weights": "w",
    "folders": [{"folder": ".", "full": "w", "sampled": "s"}],
    "row_keys": {"score val": "k1", "greedy val": "k2"},
    "settings": {"score val": "s1", "greedy val": "s2"},
}
RECORD = {
    "schema": MANIFEST_SCHEMA,
    "created": "2026-01-01T00:00:00+00:00",
    "versions": {"overmem": "0.1.0"},
    "python": "3.11.7",
    "temperatures": [0.5, 1.0],
    "device": "cpu",
    "dtype": "float32",
    "engine": {"kind": "vllm", "version": "1"},
    "config": {"val": "val.jsonl", "limit": 1, "temperature": 0.8},
    "axes": ["accuracy", "likelihood"],
    "splits": {"val": SPLIT, "ood/hard": {**SPLIT, "set": "ood/hard", "source": "hard.jsonl"}},
    "base": {"name": "base", "model": "org/base", "weights": "b", "row_keys": {}, "settings": {}},
    "checkpoints": [CHECKPOINT],
    "cut": {"diversity": {"asked": 8, "measured": 2, "why": None}},
    "leaves_out_chat_template": True,
    "base_left_out": "too small",
    "until_decided": {"decided": True, "problems": 100, "of": 200, "most_chance": 0.05, "looks": []},
    "skipped": {"checkpoint-20": "damaged"},
    "gone": ["checkpoint-5"],
    "pending": ["checkpoint-30"],
    "carried": [{**CHECKPOINT, "name": "checkpoint-30", "step": 30}],
}
OPTIONAL = ("engine", "leaves_out_chat_template", "base_left_out", "until_decided")


@pytest.mark.parametrize("left_out", [(), *((name,) for name in OPTIONAL), OPTIONAL])
def test_what_is_read_is_written_again_byte_for_byte(tmp_path, left_out):
    record = {name: value for name, value in RECORD.items() if name not in left_out}
    store = Store(tmp_path)
    store.write_record("manifest", record)
    before = (tmp_path / "manifest.json").read_bytes()
    write_manifest(store, read_manifest(store))
    assert (tmp_path / "manifest.json").read_bytes() == before


def test_what_an_older_overmem_did_not_write_is_empty():
    newer = ("carried", "gone", "pending", "cut", "skipped", "base", *OPTIONAL)
    old = {name: value for name, value in RECORD.items() if name not in newer}
    old["checkpoints"] = [
        {name: value for name, value in CHECKPOINT.items() if name not in ("settings", "folders")}
    ]
    old["splits"] = {"val": {k: v for k, v in SPLIT.items() if k not in ("answers", "max_new_tokens")}}
    found = Manifest.from_dict(old)
    assert (found.gone, found.carried, found.base, found.cut) == ((), (), None, {})
    assert (found.checkpoints[0].settings, found.checkpoints[0].folders) == (
        {},
        (),
    ) and found.val.max_new_tokens is None


def test_what_readers_ask_for():
    found = Manifest.from_dict(RECORD)
    assert found.all_have(VAL_SCORES) and found.all_have(VAL_ANSWERS) and not found.all_have(TRAIN_SCORES)
    assert found.named_sources("ood/") == {"hard": "hard.jsonl"}
    assert (found.asked_val, found.sample_temperature) == (1, 0.8)
    with pytest.raises(KeyError):
        found.checkpoint("checkpoint-99")


def test_precision_and_engine_are_said():
    split = MeasuredSet(**SPLIT)
    made = Manifest(splits={"val": split}, checkpoints=(), dtype="bfloat16", quantization="fp8")
    assert made.measured_in == "bfloat16, weights in fp8"
    vllm = {"kind": "vllm", "version": "0.14", "arguments": {}}
    scored = replace(made, quantization="", engine=vllm, config={"engine_scores": True})
    assert scored.measured_in == "bfloat16, references and answers by vLLM 0.14"
    served = {"kind": "openai", "url": "http://here/v1", "prompts": "token ids", "logprobs": False}
    said = "answers by http://here/v1, prompts as token ids, without log-probabilities"
    assert replace(scored, engine=served, config={}).measured_in == f"bfloat16, {said}"


def test_the_key_follows_weights_and_problems_and_nothing_else():
    key = Manifest.from_dict(RECORD).key
    assert Manifest.from_dict({**RECORD, "device": "cuda", "axes": []}).key == key
    other = [{**CHECKPOINT, "weights": "other"}]
    assert Manifest.from_dict({**RECORD, "checkpoints": other}).key != key
    splits = {**RECORD["splits"], "val": {**SPLIT, "fingerprint": "other"}}
    assert Manifest.from_dict({**RECORD, "splits": splits}).key != key


@pytest.mark.parametrize(
    "damage",
    [
        {"checkpoints": None},
        {"checkpoints": [{"name": "checkpoint-10"}]},
        {"splits": []},
        {"splits": {"val": {"set": "val"}}},
        {"base": "org/base"},
    ],
)
def test_a_damaged_manifest_is_one_message(damage):
    with pytest.raises(ArtifactError, match=r"the manifest is damaged[\s\S]*audit"):
        Manifest.from_dict(json.loads(json.dumps({**RECORD, **damage})))


IMPORTED = {"tool": "csv", "task": "t", "metric": "m", "sources": ["s.csv"]}
OTHER = CHECKPOINT | {"name": "checkpoint-20"}
DISAGREEING = {
    "no val": {"splits": {"train": SPLIT}},
    "more fingerprints than ids": {"splits": {"val": SPLIT | {"example_ids": ["p0"]}}},
    "a negative number": {"splits": {"val": SPLIT | {"n": -1}}},
    "a name twice": {"checkpoints": [CHECKPOINT, CHECKPOINT]},
    "a name outside the folder": {"checkpoints": [CHECKPOINT | {"name": "../../other"}]},
    "no name": {"checkpoints": [CHECKPOINT | {"name": ""}]},
    "rows of unknown work": {"carried": [OTHER | {"row_keys": {"sing val": "k"}}]},
    "a step of 400 digits": {"checkpoints": [CHECKPOINT | {"step": 10**400}]},
    "a cut without numbers": {"cut": {"diversity": {}}},
    "a stop without a word": {"until_decided": {"looks": []}},
    "an engine without a url": {"engine": {"kind": "openai"}},
    "a limit in words": {"config": {"limit": "all"}},
    "a base model outside the folder": {"base": RECORD["base"] | {"name": ".."}},
    "an imported share above 1": {"imported": IMPORTED | {"scores": {"base": {"accuracy": 1.5, "n": 8}}}},
    "an imported loss of 0": {"imported": IMPORTED | {"eval_loss": {"checkpoint-10": 0.0}}},
}


@pytest.mark.parametrize("name", DISAGREEING)
def test_parts_that_do_not_agree_are_one_message(name):
    with pytest.raises(ArtifactError, match=r"^the manifest is damaged: [\s\S]*move manifest\.json away"):
        Manifest.from_dict(RECORD | DISAGREEING[name])


def test_rows_whose_problems_are_gone_are_one_message(tmp_path):
    keys = {str(TRAIN_SCORES): "k", str(VAL_SCORES): "k", str(VAL_ANSWERS): "k"}
    manifest = Manifest.from_dict(
        RECORD | {"splits": {"val": SPLIT}, "checkpoints": [CHECKPOINT | {"row_keys": keys}]}
    )
    with pytest.raises(ArtifactError, match=r"rows of `score train` and not their problems"):
        read_job(Store(tmp_path), manifest, manifest.checkpoints[0], TRAIN_SCORES)


def test_answers_of_which_only_some_are_graded_are_refused(tmp_path):
    manifest = Manifest.from_dict(RECORD)
    checkpoint = manifest.checkpoints[0]
    ids, shas = (getattr(manifest.splits["val"], name) for name in ("example_ids", "example_shas"))
    answer = {
        "row_key": checkpoint.row_keys[str(VAL_ANSWERS)],
        "split": "val",
        "variant": "clean",
        "sample": 0,
    }
    answer |= {"temperature": 0.0, "text": "", "finished": True, "n_tokens": 1, "grader": "none"}
    answers = [answer | {"example_id": i, "example_sha": sha} for i, sha in zip(ids, shas, strict=True)]
    for folder, grades in {"none": [None, None], "all": [1.0, 0.0], "some": [1.0, None]}.items():
        store = Store(tmp_path / folder)
        graded = [row | {"correct": grade} for row, grade in zip(answers, grades, strict=False)]
        store.append_rows(checkpoint.name, "generations", graded)
        if folder == "some":
            with pytest.raises(ArtifactError, match=r"are not graded[\s\S]*1 of 2"):
                read_job(store, manifest, checkpoint, VAL_ANSWERS)
        else:
            assert len(read_job(store, manifest, checkpoint, VAL_ANSWERS)) == 2


@pytest.mark.parametrize("field_name", ["example_ids", "example_shas"])
def test_names_with_half_of_a_character_are_refused(field_name):
    broken = SPLIT | {field_name: ["\ud800", *SPLIT[field_name][1:]]}
    with pytest.raises(ArtifactError, match="half of a character"):
        Manifest.from_dict(RECORD | {"splits": {"val": broken}})
