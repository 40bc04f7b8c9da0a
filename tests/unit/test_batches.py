from hypothesis import given
from hypothesis import strategies as st

from overmem.auditing.batches import plan_batches


@given(st.lists(st.integers(1, 500), max_size=60), st.integers(1, 1000), st.integers(1, 8))
def test_every_index_once_within_budget(lengths, budget, max_rows):
    batches = plan_batches(lengths, budget, max_rows)
    assert sorted(index for batch in batches for index in batch) == list(range(len(lengths)))
    for batch in batches:
        padded = len(batch) * max(lengths[index] for index in batch)
        assert len(batch) <= max_rows
        assert padded <= budget or len(batch) == 1


def test_sorting_keeps_padding_small():
    lengths = [100, 1] * 20
    padded = sum(len(b) * max(lengths[i] for i in b) for b in plan_batches(lengths, 400))
    assert padded <= 1.1 * sum(lengths)
