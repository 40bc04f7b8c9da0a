import math
import shutil

import pytest

from overmem.errors import RunError
from overmem.logs.formats import mlflow
from tests.helpers.written_logs import WRITTEN, differences, make_database, truth

STORE = WRITTEN / "mlruns"
(RUN,) = (STORE / "0").glob("*/")


@pytest.mark.parametrize(
    "path", [WRITTEN, STORE, STORE / "0", RUN], ids=["above", "store", "experiment", "run"]
)
def test_the_rows_of_the_folder_are_those_that_the_trainer_logged(path):
    assert mlflow.recognizes(path)
    (history,) = mlflow.read(path)
    assert differences(history.rows, truth()) == []
    assert (history.source, history.planned_epochs, history.max_steps) == (str(RUN), 3, None)


def test_the_rows_of_the_database_are_those_that_the_trainer_logged(tmp_path):
    database = make_database("mlflow.sql", tmp_path / "mlflow.db")
    for path in (database, tmp_path):
        assert mlflow.recognizes(path)
        (history,) = mlflow.read(path)
        assert differences(history.rows, truth("hf_sqlite")) == []
        assert history.source == f"{database}, run tiny" and history.planned_epochs == 3


def test_a_figure_that_was_not_a_number_is_none(tmp_path):
    import sqlite3

    database = make_database("mlflow.sql", tmp_path / "mlflow.db")
    with sqlite3.connect(database) as connection:
        connection.execute("update metrics set value = 0, is_nan = 1 where key = 'loss' and step = 4")
    connection.close()
    (history,) = mlflow.read(database)
    assert math.isnan(next(row["loss"] for row in history.rows if row["step"] == 4))


def copy_store(tmp_path, names):
    for name in names:
        shutil.copytree(RUN, tmp_path / "mlruns" / "0" / name)
    shutil.copy(STORE / "0" / "meta.yaml", tmp_path / "mlruns" / "0" / "meta.yaml")
    return tmp_path / "mlruns"


def edit(file, old, new):
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def test_several_runs_come_as_they_began_and_deleted_ones_not(tmp_path):
    store = copy_store(tmp_path, "abc")
    edit(store / "0" / "a" / "meta.yaml", "start_time: 1", "start_time: 9")
    edit(store / "0" / "c" / "meta.yaml", "lifecycle_stage: active", "lifecycle_stage: deleted")
    assert [one.source.rpartition("/")[2] for one in mlflow.read(store)] == ["b", "a"]


def test_lines_that_are_none_are_left_out_and_said(tmp_path):
    store = copy_store(tmp_path, "a")
    with (store / "0" / "a" / "metrics" / "loss").open("a") as file:
        file.write("1795986464999 0.5\ninf 0.5 9\n")
    (history,) = mlflow.read(store)
    assert history.notes == ("2 of 11 lines of metrics/loss cannot be read and were left out.",)
    assert differences(history.rows, truth()) == []


def test_a_store_without_a_loss_is_no_log(tmp_path):
    store = copy_store(tmp_path, "a")
    shutil.rmtree(store / "0" / "a" / "metrics")
    (store / "0" / "a" / "metrics").mkdir()
    with pytest.raises(RunError, match="holds no log of a training"):
        mlflow.read(store)


def test_a_cut_off_database_is_one_clear_error(tmp_path):
    whole = make_database("mlflow.sql", tmp_path / "whole.db").read_bytes()
    (tmp_path / "mlflow.db").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(RunError, match="cannot be read as a SQLite database"):
        mlflow.read(tmp_path)


def test_other_folders_and_files_are_not_taken_for_it(tmp_path):
    (tmp_path / "a.db").write_bytes(b"hello")
    assert not mlflow.recognizes(tmp_path) and not mlflow.recognizes(tmp_path / "a.db")
    assert not mlflow.recognizes(make_database("trackio.sql", tmp_path / "trackio.db"))
