import json

import pytest

from overmem.errors import RunError
from overmem.logs.formats import json_lines
from tests.helpers.written_logs import WRITTEN, differences, truth

LOG = WRITTEN / "llamafactory" / "trainer_log.jsonl"


def write(path, rows):
    path.write_text("\n".join(json.dumps(row) for row in rows) + "\n")
    return path


@pytest.mark.parametrize("path", [LOG, LOG.parent], ids=["file", "folder"])
def test_the_rows_of_llama_factory_are_those_that_the_trainer_logged(path):
    assert json_lines.recognizes(path)
    (history,) = json_lines.read(path)
    kept = ("step", "epoch", "loss", "learning_rate", "eval_loss")
    assert differences(history.rows, truth("hf_llamafactory")[:-1], keys=kept) == []
    assert history.max_steps == 18 and history.kind == "trainer_log"
    assert set(history.rows[0]) == {"step", "epoch", "loss", "learning_rate"}


def test_a_second_training_into_one_folder_is_a_second_run(tmp_path):
    (tmp_path / "trainer_log.jsonl").write_text(LOG.read_text() * 2)
    assert [len(one.rows) for one in json_lines.read(tmp_path)] == [12, 12]


def test_accuracy_of_llama_factory_is_that_of_preferences(tmp_path):
    file = write(tmp_path / "trainer_log.jsonl", [{"current_steps": 1, "loss": 0.6, "accuracy": 0.75}])
    assert dict(json_lines.read(file)[0].rows[0]) == {"step": 1, "loss": 0.6, "rewards/accuracies": 0.75}


def test_swift_and_plain_rows_are_read(tmp_path):
    swift = write(
        tmp_path / "logging.jsonl",
        [
            {"loss": 2.5, "global_step/max_steps": "5/100"},
            {"eval_loss": 2.0, "global_step/max_steps": "10/100"},
        ],
    )
    (history,) = json_lines.read(swift)
    assert history.max_steps == 100
    assert [dict(row) for row in history.rows] == [{"loss": 2.5, "step": 5}, {"eval_loss": 2.0, "step": 10}]
    plain = write(tmp_path / "mine.jsonl", [{"_step": 1, "train/loss": "2.5", "lr": 0.1}])
    assert json_lines.recognizes(plain)
    assert dict(json_lines.read(plain)[0].rows[0]) == {"step": 1, "loss": 2.5, "learning_rate": 0.1}


def test_a_list_of_rows_is_read(tmp_path):
    file = tmp_path / "history.json"
    file.write_text(json.dumps(truth()))
    assert json_lines.recognizes(file)
    assert differences(json_lines.read(file)[0].rows, truth()) == []
    file.write_text(json.dumps(truth())[:-20])
    with pytest.raises(RunError, match="cannot be read as JSON"):
        json_lines.read(file)


def test_a_line_that_was_cut_off_is_left_out_and_said(tmp_path):
    file = tmp_path / "trainer_log.jsonl"
    file.write_text("\n".join(LOG.read_text().splitlines()[:4])[:-10])
    (history,) = json_lines.read(file)
    assert len(history.rows) == 3
    assert history.notes == ("Row 4 cannot be read and was left out: the file is cut off at its end.",)


@pytest.mark.parametrize(
    "text", ["", "hello\n", '{"current_steps": 1, "percentage": 3}\n', "[1, 2]", '{"question": "a"}\n', "[[["]
)
def test_what_is_no_log_is_one_clear_error(tmp_path, text):
    file = tmp_path / "trainer_log.jsonl"
    file.write_text(text)
    with pytest.raises(RunError, match=r"holds no log|cannot be read as JSON"):
        json_lines.read(file)


def test_a_pointer_of_git_lfs_is_named(tmp_path):
    file = tmp_path / "trainer_log.jsonl"
    file.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 3\n")
    with pytest.raises(RunError, match="Git LFS pointer"):
        json_lines.read(file)


def test_data_are_not_taken_for_a_log(tmp_path):
    data = write(tmp_path / "train.jsonl", [{"prompt": "a", "completion": "b"}])
    config = tmp_path / "config.json"
    config.write_text("{}")
    assert not any(map(json_lines.recognizes, (data, config, tmp_path)))
