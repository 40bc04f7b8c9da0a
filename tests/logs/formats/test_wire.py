import pytest

from overmem.logs.formats.wire import WireError, crc32c, fields, masked, signed


@pytest.mark.parametrize(
    ("data", "crc"),
    [  # RFC 3720, B.4
        (bytes(32), 0x8A9136AA),
        (b"\xff" * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
        (b"123456789", 0xE3069283),
    ],
)
def test_the_checksum_is_that_of_the_rfc(data, crc):
    assert crc32c(data) == crc


def test_the_mask_is_that_of_tfrecord():
    event_pb2 = pytest.importorskip("tensorboard.compat.proto.event_pb2")
    from tensorboard.summary.writer.record_writer import masked_crc32c

    data = event_pb2.Event(step=7).SerializeToString()
    assert masked(crc32c(data)) == masked_crc32c(data)


def test_fields_are_those_of_protobuf():
    from tensorboard.compat.proto.event_pb2 import Event

    event = Event(wall_time=1.5, step=-3, file_version="v")
    found = {number: value for number, _, value in fields(event.SerializeToString())}
    assert signed(found[2]) == -3 and found[3] == b"v" and len(found[1]) == 8


@pytest.mark.parametrize("message", [b"\x0a\x05ab", b"\x80", b"\x0b\x00", b"\x00\x01", b"\xff" * 12])
def test_what_is_no_message_is_an_error(message):
    with pytest.raises(WireError):
        list(fields(message))
