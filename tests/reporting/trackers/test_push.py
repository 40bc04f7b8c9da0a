"""A verdict in each tracker's offline mode, read back with the tool's own reader.

CI has neither W&B nor MLflow, so what they are called with is checked against their recorded signatures.

Covers: overmem.reporting.trackers.published, overmem.reporting.trackers.to_wandb,
    overmem.reporting.trackers.to_mlflow, overmem.reporting.trackers.to_trackio,
    overmem.reporting.trackers.to_tensorboard, overmem.reporting.trackers.to_model_card
"""

import json
import sys
from operator import attrgetter
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
from tests.helpers.tracker_api import SIGNATURES, Context, Recorder, parameters


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


def test_mlflow_is_called_as_it_is_written(run, monkeypatch):
    fake = Recorder("mlflow")
    fake.answers = {"start_run": Context(info=Context(run_id="r1")), "get_tracking_uri": "file:///here"}
    monkeypatch.setitem(sys.modules, "mlflow", fake)
    assert push_report(run, ["mlflow:demo"]) == ["mlflow: file:///here, run r1"]
    said = read_published(run)
    assert fake.given("set_experiment") == [{"experiment_name": "demo"}]
    assert fake.given("start_run")[0]["description"] == said.answer
    assert fake.given("log_metrics") == [{"metrics": dict(f), "step": step} for step, f in said.figures]
    (tags,) = fake.given("set_tags")
    assert tags["tags"]["overmem/stage"] == "over-memorized"
    assert all(isinstance(value, str) and len(value) <= 5000 for value in tags["tags"].values())
    kept = {call["artifact_file"]: call for call in (*fake.given("log_dict"), *fake.given("log_text"))}
    assert kept["overmem/verdict.json"]["dictionary"]["schema"] == "overmem.verdict/1"
    assert [row["step"] for row in kept["overmem/checkpoints.json"]["dictionary"]["checkpoints"]] == [*STEPS]
    assert "<html" in kept["overmem/report.html"]["text"] and len(kept) == 4
    assert fake.answers["start_run"].left == [None]
    push_report(run, ["mlflow"])
    assert len(fake.given("set_experiment")) == 1  # its own default, where none is named


def test_wandb_is_called_as_it_is_written(run, monkeypatch):
    summary: dict[str, object] = {}
    logged = Recorder("wandb", "Run.", summary=summary, url=None, dir="/offline")
    fake = Recorder("wandb")
    fake.answers = {"init": logged}
    monkeypatch.setitem(sys.modules, "wandb", fake)
    assert push_report(run, ["wandb:demo"]) == ["wandb: /offline"]
    said = read_published(run)
    (opened,) = fake.given("init")
    assert (opened["project"], opened["job_type"]) == ("demo", "overmem")
    assert opened["notes"] == said.answer
    stage, ship = said.answer.splitlines()
    assert stage == "Stage: over-memorized, over 99% confidence" and ship.startswith(
        "Ship: checkpoint-200 (fit,"
    )
    assert {"name": "overmem/*", "step_metric": "overmem/step"} in logged.given("define_metric")
    *figures, page = [call["data"] for call in logged.given("log")]
    assert figures == [{"overmem/step": step, **found} for step, found in said.figures]
    assert page["overmem/checkpoints"]["data"] == [list(row) for row in said.table]
    assert page["overmem/checkpoints"]["columns"] == list(COLUMNS)
    assert page["overmem/report"]["inject"] is False and "<html" in page["overmem/report"]["data"]
    assert summary == said.summary
    assert len(logged.given("finish")) == 1

    def breaks(*_, **__):
        raise OSError("no room")

    logged.log = breaks
    with pytest.raises(OSError, match="no room"):
        push_report(run, ["wandb"])
    assert len(logged.given("finish")) == 2 and fake.given("init")[1]["project"] is None


def test_a_wrong_call_of_a_tracker_is_refused_as_the_package_would():
    wandb, mlflow = Recorder("wandb"), Recorder("mlflow")
    for wrong in (
        lambda: wandb.init(projects="x"),
        lambda: wandb.Html(),
        lambda: mlflow.log_dict({"a": 1}),
        lambda: mlflow.get_tracking_uri("x"),
    ):
        with pytest.raises(TypeError):
            wrong()
    with pytest.raises(AttributeError):
        _ = mlflow.log_figures


@pytest.mark.parametrize("name", SIGNATURES)
def test_what_was_recorded_of_a_tracker_is_true(name):
    package = pytest.importorskip(name)
    for function, recorded in SIGNATURES[name].items():
        owner = package.sdk.wandb_run if function.startswith("Run.") else package
        real = parameters(attrgetter(function)(owner))
        # A later version may have more that need not be given.
        known = parameters(recorded)
        assert {key: real.get(key) for key in known} == known, function
        assert not [key for key, must in real.items() if must and key not in known], function


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
