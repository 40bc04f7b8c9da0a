"""A verdict in each tracker's offline mode, read back with the tool's own reader.

Covers: overmem.reporting.trackers.published, overmem.reporting.trackers.to_wandb,
    overmem.reporting.trackers.to_mlflow, overmem.reporting.trackers.to_trackio,
    overmem.reporting.trackers.to_tensorboard, overmem.reporting.trackers.to_model_card
"""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

import overmem
from overmem.cli.app import app
from overmem.errors import RunError
from overmem.reporting.trackers import published, to_model_card
from overmem.reporting.trackers.published import COLUMNS, read_published
from overmem.reporting.trackers.push import push_report
from overmem.results.run import import_results
from tests.helpers.results import STEPS, planted, write_checkpoints


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run that over-memorizes from checkpoint-400 on, judged on imported rows."""
    home = tmp_path_factory.mktemp("trackers")
    run = write_checkpoints(home / "run\x1b[31m")
    correct, nll = planted()
    lines = ["checkpoint,example_id,correct,nll_nats,n_tokens"]
    lines += [
        f"checkpoint-{step},q{i},{correct[c][i]:g},{nll[c][i]:.6f},20"
        for c, step in enumerate(STEPS)
        for i in range(200)
    ]
    (home / "rows.csv").write_text("\n".join(lines) + "\n")
    import_results("csv", home / "rows.csv", run)
    overmem.diagnose(run)
    return run


def test_what_is_published_is_the_verdict(run):
    found = read_published(run)
    verdict = overmem.diagnose(run, save=False)
    assert [step for step, _ in found.figures] == list(STEPS)
    assert found.figures[1][1]["overmem/accuracy"] == pytest.approx(verdict.checkpoints[1].accuracy.value)
    assert found.figures[3][1]["overmem/probability/over-memorized"] > 0.8
    assert dict(zip(COLUMNS, found.table[1], strict=True))["ship"] is True
    assert found.summary["overmem/stage"] == "over-memorized" and found.summary["overmem/evidence"] == "full"
    assert "\x1b" not in found.title + str(found.summary)


def test_tensorboard_reads_the_figures_back(run, tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    (line,) = push_report(run, [f"tensorboard:{tmp_path / 'tb'}"])
    assert line == f"tensorboard: {tmp_path / 'tb'}"
    events = EventAccumulator(str(tmp_path / "tb")).Reload()
    values = {item.step: item.tensor_proto.float_val[0] for item in events.Tensors("overmem/accuracy")}
    expected = {step: figures["overmem/accuracy"] for step, figures in read_published(run).figures}
    assert values == pytest.approx(expected, abs=1e-6)
    (report,) = events.Tensors("overmem/report")
    assert b"Over-memorized" in report.tensor_proto.string_val[0]


def test_trackio_keeps_the_run_on_this_machine(run, tmp_path, monkeypatch):
    trackio = pytest.importorskip("trackio")
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path))
    sqlite = pytest.importorskip("trackio.sqlite_storage")
    monkeypatch.setattr(sqlite, "TRACKIO_DIR", tmp_path)
    assert trackio is not None
    (line,) = push_report(run, ["trackio:demo"])
    assert line == "trackio: trackio show --project demo"
    name = sqlite.SQLiteStorage.get_runs("demo")[0]
    logged = sqlite.SQLiteStorage.get_logs("demo", name)
    by_step = {item["step"]: item for item in logged if "overmem/accuracy" in item}
    assert set(by_step) == set(STEPS)
    assert by_step[200]["overmem/perplexity"] == pytest.approx(
        read_published(run).figures[1][1]["overmem/perplexity"]
    )


def test_mlflow_keeps_the_run_in_its_store(run, tmp_path, monkeypatch):
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setattr("warnings.warn", lambda *given, **more: None)
    mlflow.set_tracking_uri((tmp_path / "mlruns").as_uri())
    (line,) = push_report(run, ["mlflow:demo"])
    key = line.rpartition(" ")[2]
    client = mlflow.MlflowClient()
    history = client.get_metric_history(key, "overmem/accuracy")
    assert [item.step for item in history] == list(STEPS)
    assert client.get_run(key).data.tags["overmem/stage"] == "over-memorized"
    record = json.loads(mlflow.artifacts.load_text(f"runs:/{key}/overmem/verdict.json"))
    assert record["schema"] == "overmem.verdict/1"


def test_wandb_writes_an_offline_run(run, tmp_path, monkeypatch):
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_DIR", str(tmp_path))
    monkeypatch.setenv("WANDB_SILENT", "true")
    (line,) = push_report(run, ["wandb:demo"])
    assert line.startswith("wandb: ")
    (folder,) = (tmp_path / "wandb").glob("offline-run-*")
    (log,) = folder.glob("*.wandb")
    assert b"overmem/accuracy" in log.read_bytes() and b"over-memorized" in log.read_bytes()
    assert list(folder.rglob("*.table.json")) and list(folder.rglob("*.html"))


def test_the_card_gets_a_model_index_and_keeps_what_others_wrote(run, tmp_path):
    hub = pytest.importorskip("huggingface_hub")
    model = tmp_path / "model"
    model.mkdir()
    (model / "README.md").write_text("---\nlicense: apache-2.0\ntags: [sft]\n---\n\n# Mine\n\nMy words.\n")
    for _ in range(2):  # the second time replaces what the first wrote
        push_report(run, [f"card:{model}"])
    card = hub.ModelCard.load(model / "README.md")
    assert card.data.license == "apache-2.0" and card.data.tags == ["sft"]
    found = {item.metric_type: item.metric_value for item in card.data.eval_results}
    verdict = overmem.diagnose(run, save=False)
    assert found["accuracy"] == pytest.approx(verdict.checkpoints[1].accuracy.value, abs=1e-6)
    assert len(card.data.eval_results) == 2
    assert card.text.count("## overmem") == 1 and card.text.startswith("# Mine\n\nMy words.")
    assert "model-index" in (model / "README.md").read_text()


def test_the_card_of_what_is_shipped_is_written_by_default(run):
    pytest.importorskip("huggingface_hub")
    (line,) = push_report(run, ["card"])
    assert line.endswith("checkpoint-200/README.md")
    card = (run / "checkpoint-200" / "README.md").read_text()
    assert card.startswith("---\nmodel-index:") and card.count("\n---\n") == 1
    assert "problems that chose this checkpoint" in card
    (run / "checkpoint-200" / "README.md").unlink()


class Hub:
    """Stands for the hub: the card that is there, and what is uploaded."""

    card = ""
    uploaded = None

    def hf_hub_download(self, repo, name):
        import huggingface_hub.errors

        if not Hub.card:
            raise huggingface_hub.errors.EntryNotFoundError("no README.md")
        return Hub.card

    def upload_file(self, **given):
        Hub.uploaded = given
        return f"https://example.invalid/{given['repo_id']}/commit/1"


def test_the_hub_gets_the_same_card(run, tmp_path, monkeypatch):
    hub = pytest.importorskip("huggingface_hub")
    monkeypatch.setattr(hub, "HfApi", Hub)
    (tmp_path / "README.md").write_text("---\nlicense: mit\n---\n# Theirs\n")
    Hub.card = str(tmp_path / "README.md")
    (line,) = push_report(run, ["hub:me/model"])
    assert line.endswith("me/model/commit/1")
    card = hub.ModelCard(Hub.uploaded["path_or_fileobj"].decode())
    assert card.data.license == "mit" and len(card.data.eval_results) == 2
    Hub.card = ""
    push_report(run, ["hub:me/model"])
    assert "# Theirs" not in Hub.uploaded["path_or_fileobj"].decode()
    with pytest.raises(RunError, match="which model on the hub"):
        push_report(run, ["hub"])

    def refuses(self, **given):
        raise hub.errors.HfHubHTTPError("403 Forbidden", response=None)

    monkeypatch.setattr(Hub, "upload_file", refuses)
    with pytest.raises(RunError, match="cannot be written"):
        push_report(run, ["hub:me/model"])


def test_damaged_front_matter_is_one_message_and_nothing_is_written(run, tmp_path):
    pytest.importorskip("huggingface_hub")
    path = tmp_path / "README.md"
    path.write_text("---\nlicense: [\n---\ntext\n")
    with pytest.raises(RunError, match="cannot be read"):
        push_report(run, [f"card:{tmp_path}"])
    assert path.read_text() == "---\nlicense: [\n---\ntext\n"


def test_a_missing_package_names_its_extra(run, monkeypatch):
    def missing(name):
        raise ImportError(f"No module named {name!r}")

    monkeypatch.setattr(published, "import_module", missing)
    for target in ("wandb", "mlflow", "trackio", "tensorboard"):
        with pytest.raises(RunError, match=rf"pip install 'overmem\[{target}\]'"):
            push_report(run, [target])


def test_an_unknown_tracker_is_refused_before_anything_is_written(run):
    with pytest.raises(RunError, match="unknown tracker"):
        push_report(run, ["card", "comet"])
    assert not (run / "checkpoint-200" / "README.md").exists()


def test_without_a_recommendation_there_is_no_card(tmp_path):
    (tmp_path / "rows.csv").write_text("checkpoint,accuracy,n\ncheckpoint-1,0.5,99\ncheckpoint-2,0.5,99\n")
    run = write_checkpoints(tmp_path / "run", steps=(1, 2))
    import_results("csv", tmp_path / "rows.csv", run)
    with pytest.raises(RunError, match="no checkpoint is recommended"):
        to_model_card.described(read_published(run))


def test_the_command_pushes_beside_the_report(run, tmp_path):
    out = tmp_path / "report.md"
    given = [
        "report",
        str(run),
        "--format",
        "md",
        "--out",
        str(out),
        "--push",
        f"tensorboard:{tmp_path / 'tb'}",
    ]
    answer = CliRunner().invoke(app, given)
    assert answer.exit_code == 0, answer.output
    assert out.is_file() and Path(tmp_path / "tb").is_dir()
