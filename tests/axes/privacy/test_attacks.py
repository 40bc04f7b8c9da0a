"""The scores of membership inference, against zlib and full softmaxes."""

from __future__ import annotations

import math
import zlib

import numpy as np
import pytest

from overmem.axes.privacy.attacks import (
    loss_score,
    min_k_plus_plus_score,
    min_k_score,
    reference_score,
    zlib_score,
)


def test_loss_zlib_and_reference_by_hand():
    assert loss_score(np.array([6.0, 1.0]), np.array([3.0, 4.0])).tolist() == [-2.0, -0.25]
    assert reference_score(np.array([6.0]), np.array([9.0]), np.array([3.0])).tolist() == [1.0]
    # Three literals and their end are 34 bits, so 5 bytes; header and checksum are 2 and 4.
    assert len(zlib.compress(b"abc")) == 11
    assert zlib_score(22.0, "abc") == -2.0
    assert zlib_score(1.0, "é") == -1.0 / len(zlib.compress(b"\xc3\xa9"))


def test_zlib_discounts_what_is_repetitive():
    assert zlib_score(10.0, "the same words again " * 20) < zlib_score(
        10.0, "".join(map(chr, range(40, 460)))
    )


def test_min_k_is_the_mean_of_the_lowest_fifth():
    logprobs = [-1.0, -9.0, -2.0, -3.0, -4.0, -5.0, -0.5, -0.1, -7.0, 0.0]
    assert min_k_score(logprobs) == -8.0
    assert min_k_score(logprobs[:9]) == -9.0  # a fifth of 9 tokens is 1, rounded down
    assert min_k_score(logprobs[:3]) == -9.0  # and never none
    assert min_k_score(logprobs, share=1.0) == pytest.approx(np.mean(logprobs))
    assert math.isnan(min_k_score([]))
    with pytest.raises(ValueError, match="got 0"):
        min_k_score(logprobs, share=0)


@pytest.mark.parametrize(("tokens", "share"), [(1, 0.2), (4, 0.2), (23, 0.2), (50, 0.1), (50, 1.0)])
def test_min_k_plus_plus_against_full_softmaxes(tokens, share):
    rng = np.random.default_rng(tokens)
    logprobs, mus, sigmas, zs = [], [], [], []
    for _ in range(tokens):
        logits = rng.normal(scale=3, size=97)
        probs = np.exp(logits) / np.exp(logits).sum()
        token = rng.choice(97, p=probs)
        mu = sum(p * math.log(p) for p in probs)
        sigma = math.sqrt(sum(p * (math.log(p) - mu) ** 2 for p in probs))
        logprobs.append(math.log(probs[token]))
        mus.append(mu)
        sigmas.append(sigma)
        zs.append((math.log(probs[token]) - mu) / sigma)
    lowest = sorted(zs)[: max(1, int(tokens * share))]
    assert min_k_plus_plus_score(logprobs, mus, sigmas, share) == pytest.approx(sum(lowest) / len(lowest))


def test_a_certain_model_has_no_z_to_speak_of():
    assert min_k_plus_plus_score([0.0], [0.0], [0.0]) == 0.0
    assert min_k_plus_plus_score([-50.0], [0.0], [0.0]) < -1e6
