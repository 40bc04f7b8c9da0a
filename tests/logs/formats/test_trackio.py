import math

import polars as pl
import pytest

from overmem.errors import RunError
from overmem.logs.formats import trackio
from tests.helpers.written_logs import WRITTEN, differences, make_database, truth


@pytest.fixture
def project(tmp_path):
    return make_database("trackio.sql", tmp_path / "huggingface.db")


def test_the_rows_are_those_that_the_trainer_logged(project):
    for path in (project, project.parent):
        assert trackio.recognizes(path)
        (history,) = trackio.read(path)
        assert differences(history.rows, truth()[: len(history.rows)]) == []
        assert len(history.rows) == 12 and history.planned_epochs == 3
        assert history.source == f"{project}, run tiny"


@pytest.mark.slow
def test_what_trackio_itself_writes_is_read(tmp_path):
    from tests.helpers.command import run_python

    program = (
        "import trackio\n"
        "for name in ('first', 'second'):\n"
        "    run = trackio.init(project='p', name=name, config={'num_train_epochs': 2}, embed=False)\n"
        "    for step in (5, 10):\n"
        "        run.log({'train/loss': 1 / step, 'train/epoch': step / 5, 'train/global_step': step})\n"
        "    run.log({'eval/loss': float('nan'), 'train/global_step': 10})\n"
        "    trackio.finish()\n"
    )
    import os

    env = os.environ | {"TRACKIO_DIR": str(tmp_path / "trackio"), "HF_HUB_OFFLINE": "1"}
    done = run_python("-c", program, env=env)
    assert done.returncode == 0, done.stderr
    first, second = trackio.read(tmp_path / "trackio")
    assert first.source.endswith("p.db, run first") and second.source.endswith("run second")
    assert [(row["step"], row.get("loss")) for row in first.rows] == [(5, 0.2), (10, 0.1), (10, None)]
    assert math.isnan(first.rows[2]["eval_loss"]) and first.planned_epochs == 2


def test_the_export_to_parquet_is_read_where_the_database_is_not(project):
    rows = [
        {"timestamp": "t", "run_name": "tiny", "step": at, "train/loss": row.get("loss"),
         "eval/loss": row.get("eval_loss"), "train/global_step": row["step"]}
        for at, row in enumerate(truth()[:-1])
    ]  # fmt: skip
    pl.DataFrame(rows, infer_schema_length=None).write_parquet(project.with_suffix(".parquet"))
    assert [one.source for one in trackio.read(project.parent)] == [f"{project}, run tiny"]
    project.unlink()
    (history,) = trackio.read(project.parent)
    keys = ("step", "loss", "eval_loss")
    assert differences(history.rows, truth()[:-1], keys=keys) == []


def test_runs_of_one_project_are_told_apart(project):
    import sqlite3

    with sqlite3.connect(project) as connection:
        connection.execute("update metrics set run_id = 'b', run_name = 'second' where id > 8")
    connection.close()
    assert [len(one.rows) for one in trackio.read(project)] == [8, 4]


def test_a_project_without_a_loss_is_no_log(project):
    import sqlite3

    with sqlite3.connect(project) as connection:
        connection.execute("update metrics set metrics = '{\"images\": 1}'")
    connection.close()
    with pytest.raises(RunError, match="holds no log of a training"):
        trackio.read(project)


def test_other_files_are_not_taken_for_it(tmp_path):
    (tmp_path / "a.db").write_bytes(b"hello")
    (tmp_path / "a.parquet").write_bytes(b"PAR1 hello")
    pl.DataFrame({"question": ["a"]}).write_parquet(tmp_path / "b.parquet")
    assert not any(trackio.recognizes(path) for path in (tmp_path, *tmp_path.iterdir()))
    assert not trackio.recognizes(make_database("mlflow.sql", tmp_path / "mlflow.db"))
    assert not trackio.recognizes(WRITTEN)
