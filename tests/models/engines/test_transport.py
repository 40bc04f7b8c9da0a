"""How long a client waits."""

from email.utils import formatdate

import pytest

from overmem.models.engines.transport import RetryPolicy, _retry_after


def test_waits_grow_and_are_spread_and_bounded():
    retry_policy = RetryPolicy(timeout_seconds=1.0)
    for attempt in range(1, 30):
        most = min(0.5 * 2 ** (attempt - 1), 300)
        waits = [retry_policy.wait_seconds(attempt) for _ in range(20)]
        assert all(most / 2 <= wait <= most for wait in waits) and len(set(waits)) > 1


def test_retry_after_in_seconds_or_as_a_date():
    assert _retry_after({"retry-after": "7"}) == 7.0
    assert _retry_after({"Retry-After": formatdate(usegmt=True)}) == pytest.approx(0, abs=2.5)
    assert _retry_after({"Retry-After": "soon"}) is None and _retry_after({}) is None
