import math

import pytest

from overmem.errors import RunError
from overmem.logs.formats import tensorboard
from tests.helpers.written_logs import WRITTEN, differences, truth

(EVENTS,) = WRITTEN.glob("events.out.tfevents.*")
FLOAT32 = 2**-23


def write_events(folder, scalars, *, new_style=False):
    """Scalars in a folder, by tensorboard's own writer."""
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.compat.proto.tensor_pb2 import TensorProto
    from tensorboard.summary.writer.event_file_writer import EventFileWriter

    writer = EventFileWriter(str(folder))
    for step, tag, value in scalars:
        held = {"tensor": TensorProto(dtype=1, float_val=[value])} if new_style else {"simple_value": value}
        writer.add_event(Event(step=step, summary=Summary(value=[Summary.Value(tag=tag, **held)])))
    writer.close()


def test_the_rows_are_those_that_the_trainer_logged():
    (history,) = tensorboard.read(EVENTS)
    assert differences(history.rows, truth(), digits=FLOAT32) == []
    assert history.kind == "tensorboard" and history.notes == ()
    assert history.planned_epochs == 3 and history.settings["learning_rate"] == 0.05


@pytest.mark.parametrize("new_style", [False, True])
def test_scalars_are_those_that_tensorboard_reads(tmp_path, new_style):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    values = [(step, "train/loss", 3.0 / step) for step in range(1, 40)] + [(40, "train/loss", math.inf)]
    write_events(tmp_path, values, new_style=new_style)
    (history,) = tensorboard.read(tmp_path)
    ours = [(row["step"], row["loss"]) for row in history.rows]
    theirs = EventAccumulator(str(tmp_path), {"tensors": 0, "scalars": 0}).Reload()
    if new_style:
        found = [(event.step, event.tensor_proto.float_val[0]) for event in theirs.Tensors("train/loss")]
    else:
        found = [(event.step, event.value) for event in theirs.Scalars("train/loss")]
    assert ours == found and len(ours) == 40


def test_each_folder_with_events_is_a_run(tmp_path):
    for name in ("Nov28_a", "Nov29_b"):
        (tmp_path / "runs" / name).mkdir(parents=True)
        write_events(tmp_path / "runs" / name, [(1, "train/loss", 2.0), (2, "eval/loss", 3.0)])
    assert tensorboard.recognizes(tmp_path)
    found = tensorboard.read(tmp_path)
    assert [one.source for one in found] == [str(tmp_path / "runs" / name) for name in ("Nov28_a", "Nov29_b")]
    assert [dict(row) for row in found[0].rows] == [{"step": 1, "loss": 2.0}, {"step": 2, "eval_loss": 3.0}]


def test_what_was_cut_off_is_read_up_to_there_and_said(tmp_path):
    file = tmp_path / EVENTS.name
    file.write_bytes(EVENTS.read_bytes()[:-30])
    (history,) = tensorboard.read(file)
    assert len(history.rows) >= 12 and "is cut off at byte" in history.notes[0]


def test_a_damaged_record_ends_the_reading_and_is_said(tmp_path):
    data = bytearray(EVENTS.read_bytes())
    data[-200] ^= 1
    file = tmp_path / EVENTS.name
    file.write_bytes(data)
    (history,) = tensorboard.read(file)
    assert len(history.rows) < 14 and "is damaged at byte" in history.notes[0]


@pytest.mark.parametrize("data", [b"", b"hello, this is no event file at all", bytes(4000)])
def test_a_foreign_file_is_one_clear_error(tmp_path, data):
    file = tmp_path / "events.out.tfevents.1"
    file.write_bytes(data)
    with pytest.raises(RunError, match="is no event file of TensorBoard"):
        tensorboard.read(file)


def test_an_empty_file_beside_a_whole_one_is_said(tmp_path):
    (tmp_path / "events.out.tfevents.0").touch()
    (tmp_path / EVENTS.name).write_bytes(EVENTS.read_bytes())
    (history,) = tensorboard.read(tmp_path)
    assert len(history.rows) == 13 and "events.out.tfevents.0 is no event file" in history.notes[0]


def test_events_without_a_loss_are_no_log(tmp_path):
    write_events(tmp_path, [(1, "images_seen", 2.0)])
    with pytest.raises(RunError, match="holds no log of a training"):
        tensorboard.read(tmp_path)
