"""Keys of rows are those that older versions wrote, for every kind of work and wherever it is done."""

from types import SimpleNamespace as Stub

import pytest

from overmem.artifacts.jobs import Job
from overmem.auditing.jobs.row_keys import RowKeys

VAL, TRAIN = {"score": Job("score", "val"), "greedy": Job("greedy", "val")}, Job("continue", "train")
BESIDE, SAMPLES = Job("greedy", "retention/general"), Job("sample", "val")
TASK, APART = Job("lm_eval", "ood/t"), Job("diverge", "val")
HERE = {
    VAL["score"]: "8f8617dcbfb5bcc9",
    VAL["greedy"]: "96711c26cde90f99",
    BESIDE: "5476081c0d7cfd16",
    SAMPLES: "049154d40893361b",
    TRAIN: "16ddcda3e388394e",
    TASK: "da194a828b1b02a9",
    APART: "853c2204cf888aa4",
}
"""As written by overmem at commit 05f2aa3, before this module was there."""
SERVED = HERE | {
    VAL["greedy"]: "fab62092b0549124",
    BESIDE: "51ac26976997cd03",
    SAMPLES: "84fa0ee9c112f9c8",
}
ENGINES = {
    "in memory": (Stub(local=True, scores=False, settings={}), HERE),
    "a server": (Stub(local=False, scores=False, settings={"engine": "there"}), SERVED),
    "an engine that scores": (
        Stub(local=False, scores=True, settings={"engine": "there"}),
        SERVED | {VAL["score"]: "9d86ab12b34ae047"},
    ),
}


@pytest.mark.parametrize("name", ENGINES)
def test_keys_are_those_of_older_versions(name):
    engine, keys = ENGINES[name]
    base = Stub()
    made = RowKeys(
        host=Stub(precision={"dtype": "torch.float32"}, attention="sdpa"),
        engine=engine,
        options=Stub(temperature=0.8, seed=3),
        problems={"ood/t": Stub(task=Stub(settings={"task": "t", "version": "1"}))},
        ends=Stub(
            max_new_tokens=lambda name: 128 if name.startswith("retention/") else 100,
            end_of_turn=lambda name: 7 if name.startswith("retention/") else 2,
        ),
        weights=Stub(fingerprint=lambda at: "weights of the base" if at is base else "weights"),
        base=Stub(checkpoint=base),
    )
    assert {job: made.of(job, Stub()) for job in keys} == keys
