"""Batches hold every problem once, in the sizes that were asked for, and stay the same after a kill."""

from dataclasses import replace
from types import SimpleNamespace as Stub

import pytest

from overmem.auditing.jobs.batches import BatchSize, missing_batches
from overmem.auditing.jobs.compute_rows import RECALL_TOKENS
from overmem.models.lm_eval.tasks import CHUNK
from overmem.rendering.rendered import Rendered

LENGTHS = [(7 * i) % 23 + 1 for i in range(150)]
ITEMS = [
    Rendered(example_id=str(i), prompt_ids=(1,) * n, completion_ids=(2,), prompt_text="", completion_text="")
    for i, n in enumerate(LENGTHS)
]
PROBLEMS = Stub(task=None, rendered=ITEMS)
CHOSEN = list(range(10, 150))
SIZE = BatchSize(answers=3, max_new_tokens=20, batch_tokens=300, in_flight=None)


def batches(kind, missing=CHOSEN, problems=PROBLEMS, **size):
    return list(missing_batches(kind, problems, CHOSEN, missing, replace(SIZE, **size)))


@pytest.mark.parametrize("kind", ["score", "greedy", "sample", "continue"])
@pytest.mark.parametrize("size", [{}, {"batch_tokens": None}, {"in_flight": 30}], ids=str)
def test_all_are_there_once_and_a_kill_changes_no_batch(kind, size):
    whole = batches(kind, **size)
    assert sorted(i for batch in whole for i in batch) == CHOSEN
    left = batches(kind, missing=[i for i in CHOSEN if i not in whole[0]], **size)
    assert left == whole[1:]
    some = batches(kind, missing=CHOSEN[::3], **size)
    assert all(any(set(batch) <= set(one) for one in whole) for batch in some)


def test_sizes():
    assert {len(batch) for batch in batches("greedy", in_flight=30)} == {10}
    assert len(batches("greedy", in_flight=2)) == len(CHOSEN)  # one problem has three answers at once
    for more, kind in ((0, "score"), (RECALL_TOKENS, "continue")):
        for batch in batches(kind):
            assert len(batch) * max(LENGTHS[i] + 1 + more for i in batch) <= 300
    task = Stub(task=Stub())
    assert [len(batch) for batch in batches("lm_eval", problems=task)] == [CHUNK, CHUNK, 140 - 2 * CHUNK]
