"""The scores of membership inference, against zlib and by hand."""

from __future__ import annotations

import zlib

import numpy as np

from overmem.axes.privacy.attacks import loss_score, reference_score, zlib_score


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
