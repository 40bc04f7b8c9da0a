import math

import pytest

from overmem.logs.formats import wandb_records
from overmem.logs.formats.wandb_records import read_record
from tests.helpers.written_logs import protobuf_field

# As wandb 0.31.0 wrote them offline; beside each what wandb 0.18.0 itself reads of it (DataStore, messages).
INFINITE = (
    b"\x08\x0f\x12\xa2\x01\n\x1d\x12\x0ftrain/grad_norm\x82\x01\t-Infinity\n\x17\x12\x11train/global_st"
    b"ep\x82\x01\x013\n%\x12\n_timestamp\x82\x01\x161.7960249393827486e+09\n\x17\x12\x08_runtime\x82"
    b"\x01\n0.54510799\n\x0b\x12\x05_step\x82\x01\x012\n\x17\x12\ntrain/loss\x82\x01\x08Infinity\x12"
    b"\x02\x08\x02"
)
TEXT = (
    b"\x08\x12\x12\x8f\x01\n\x18\x12\x08_runtime\x82\x01\x0b0.546387146\n\x0b\x12\x05_step\x82\x01\x013"
    b'\n\x10\x12\ntrain/loss\x82\x01\x012\n\x10\x12\x04note\x82\x01\x07"plain"\n\x17\x12\x11train/globa'
    b"l_step\x82\x01\x014\n%\x12\n_timestamp\x82\x01\x161.7960249393838656e+09\x12\x02\x08\x03"
)
ESCAPES = (
    b'\x08\x15\x12\xa8\x01\n\x12\x12\ntrain/loss\x82\x01\x032.5\n(\x12\x04note\x82\x01\x1f"quote \\" an'
    b'd \\\\ and \\n and \xc3\xa9"\n\x17\x12\x11train/global_step\x82\x01\x015\n$\x12\n_timestamp\x82'
    b"\x01\x151.796024939384451e+09\n\x18\x12\x08_runtime\x82\x01\x0b0.546799217\n\x0b\x12\x05_step\x82"
    b"\x01\x014\x12\x02\x08\x04"
)
FLAGS = (
    b"\x08\x18\x12\x9c\x01\n\x0b\x12\x05_step\x82\x01\x015\n\x12\x12\ntrain/loss\x82\x01\x032.5\n\r\x12"
    b"\x04flag\x82\x01\x04true\n\r\x12\x04none\x82\x01\x04null\n\x17\x12\x11train/global_step\x82\x01"
    b"\x016\n$\x12\n_timestamp\x82\x01\x151.796024940086683e+09\n\x18\x12\x08_runtime\x82\x01\x0b1.2516"
    b"21771\x12\x02\x08\x05"
)
NESTED = (
    b"\x08\x1b\x12\x9d\x01\n\x14\x12\x05train\x12\x04loss\x82\x01\x042.25\n\x14\x12\x05train\x12\x04dee"
    b"p\x12\x01x\x82\x01\x011\n\x17\x12\x11train/global_step\x82\x01\x017\n$\x12\n_timestamp\x82\x01"
    b"\x151.796024940089929e+09\n\x1f\x12\x08_runtime\x82\x01\x121.2524539670000001\n\x0b\x12\x05_step"
    b"\x82\x01\x016\x12\x02\x08\x06"
)
ACCENT = (
    b"\x08!\x12\x91\x01\n\x18\x12\x08_runtime\x82\x01\x0b1.253509102\n\x0b\x12\x05_step\x82\x01\x018\n"
    b"\x12\x12\ntrain/loss\x82\x01\x032.5\n\x10\x12\nverlust/\xc3\xa9\x82\x01\x013\n\x17\x12\x11train/g"
    b"lobal_step\x82\x01\x019\n%\x12\n_timestamp\x82\x01\x161.7960249400911455e+09\x12\x02\x08\x08"
)
OWN_STEP = (
    b"\x083\x12w\n\x0c\x12\x05_step\x82\x01\x0214\n\x0f\x12\teval/loss\x82\x01\x013\n\x11\x12\x0btrain/"
    b"epoch\x82\x01\x011\n%\x12\n_timestamp\x82\x01\x161.7960249400971928e+09\n\x18\x12\x08_runtime\x82"
    b"\x01\x0b1.259571537\x12\x02\x08\x0e"
)
READ = [
    (INFINITE, {"step": 3, "grad_norm": -math.inf, "loss": math.inf}),
    (TEXT, {"step": 4, "loss": 2, "note": "plain"}),
    (ESCAPES, {"step": 5, "loss": 2.5, "note": 'quote " and \\ and \n and é'}),
    (FLAGS, {"step": 6, "loss": 2.5, "flag": True, "none": None}),
    (NESTED, {"step": 7, "train.loss": 2.25, "train.deep.x": 1}),
    (ACCENT, {"step": 9, "loss": 2.5, "verlust/é": 3}),
    (OWN_STEP, {"step": 14, "eval_loss": 3, "epoch": 1}),
]


@pytest.mark.parametrize(("record", "row"), READ)
def test_a_call_is_what_wandb_itself_reads_of_it(record, row):
    assert read_record(record) == ([row], {})


@pytest.mark.parametrize(("record", "row"), READ)
def test_field_by_field_it_is_the_same(monkeypatch, record, row):
    monkeypatch.setattr(wandb_records, "_usual_call", lambda *_: None)
    assert read_record(record) == ([row], {})


def no_fields(message):
    raise AssertionError("read field by field")


@pytest.mark.parametrize(("record", "row"), [READ[0], READ[1], READ[3]])
def test_a_call_of_the_usual_shape_is_not_read_field_by_field(monkeypatch, record, row):
    """Which takes three times as long."""
    monkeypatch.setattr(wandb_records, "fields", no_fields)
    assert read_record(record) == ([row], {})


def test_a_summary_is_not_read(monkeypatch):
    monkeypatch.setattr(wandb_records, "fields", no_fields)
    assert read_record(INFINITE.replace(b"\x12\xa2", b"\x1a\xa2", 1)) == ((), {})


ITEMS = [
    protobuf_field(2, b"train/loss") + protobuf_field(16, b"2.5"),
    protobuf_field(1, b"train/global_step") + protobuf_field(16, b"7"),
    protobuf_field(2, b"long") + protobuf_field(16, b'"' + b"y" * 200 + b'"'),
    protobuf_field(2, b"_step") + protobuf_field(16, b"3"),
]


@pytest.mark.parametrize("first", range(len(ITEMS)))
@pytest.mark.parametrize(
    "before", [b"", b"\x08\x80\x01", b"\x08\x01\x82\x01\x00"], ids=["none", "number", "control"]
)
@pytest.mark.parametrize("after", [b"", b"\xc2\x0c\x00"], ids=["none", "info"])
def test_what_the_pattern_does_not_take_is_read_wherever_it_stands(first, before, after):
    """A long value first, in the middle or last; fields of the record before and after the call."""
    items = b"".join(protobuf_field(1, item) for item in ITEMS[first:] + ITEMS[:first])
    record = before + protobuf_field(2, items + protobuf_field(2, b"\x08\x03")) + after
    assert read_record(record) == ([{"loss": 2.5, "step": 7, "long": "y" * 200}], {})


@pytest.mark.parametrize("missing", range(1, 30))
def test_a_call_that_is_cut_off_is_an_error(missing):
    with pytest.raises(ValueError):
        read_record(OWN_STEP[:-missing])


def test_a_call_of_step_and_epoch_alone_is_no_row():
    items = [protobuf_field(2, b"train/epoch") + protobuf_field(16, b"1.0"), ITEMS[1]]
    assert read_record(protobuf_field(2, b"".join(protobuf_field(1, item) for item in items))) == ([], {})


def test_a_whole_number_with_a_sign_or_an_exponent_is_as_json_has_it():
    for text, value in (("-3", -3), ("1e3", 1000.0), ("1e-05", 1e-05), ("-0", 0), ("0.5", 0.5)):
        item = protobuf_field(2, b"train/loss") + protobuf_field(16, text.encode())
        ((row,), _) = read_record(protobuf_field(2, protobuf_field(1, item)))
        assert repr(row["loss"]) == repr(value)
