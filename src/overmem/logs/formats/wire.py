"""Protocol buffers and checksums as TensorBoard and W&B write them, read without either package.

Importing `tensorboard` costs 0.35 s of a processor and `wandb` more, which is several times what a whole
diagnosis of a log costs; the scalars need a page of code. Source: the encoding as protobuf.dev specifies it,
and CRC-32C as in RFC 3720 (Castagnoli).
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
_SIZES = {FIXED64: 8, FIXED32: 4}
_POLYNOMIAL = 0x82F63B78


class WireError(ValueError):
    """Bytes that are no message."""


def fields(message: bytes) -> Iterator[tuple[int, int, int | bytes]]:
    """The fields of a message: number, wire type, and value.

    Args:
        message: one message without its length.

    Yields:
        A varint as an integer, everything else as its bytes.

    Raises:
        WireError: the message is cut off, or is none.
    """
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        number, wire = key >> 3, key & 7
        if number == 0:
            raise WireError("no message of protocol buffers")
        if wire == VARINT:
            value, at = _varint(message, at)
            yield number, wire, value
            continue
        if wire == BYTES:
            size, at = _varint(message, at)
        else:
            size = _SIZES.get(wire, -1)
        if size < 0 or at + size > len(message):
            raise WireError("no message of protocol buffers")
        yield number, wire, message[at : at + size]
        at += size


def _varint(message: bytes, at: int) -> tuple[int, int]:
    if at < len(message) and message[at] < 0x80:  # most are
        return message[at], at + 1
    value = shift = 0
    while at < len(message) and shift < 70:
        byte = message[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
    raise WireError("a number is cut off")


def signed(value: int) -> int:
    """A varint read as a signed 64-bit integer."""
    value &= (1 << 64) - 1
    return value - (1 << 64) if value >> 63 else value


def crc32c(data: bytes) -> int:
    """CRC-32C of bytes."""
    table, crc = _table(), 0xFFFFFFFF
    for byte in data:
        crc = table[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    return crc ^ 0xFFFFFFFF


def masked(crc: int) -> int:
    """A checksum as TFRecord and LevelDB store it, so that one of a text with checksums is another."""
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


@cache
def _table() -> tuple[int, ...]:
    made = []
    for byte in range(256):
        for _ in range(8):
            byte = (byte >> 1) ^ (_POLYNOMIAL if byte & 1 else 0)
        made.append(byte)
    return tuple(made)
