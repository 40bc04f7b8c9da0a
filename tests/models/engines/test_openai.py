"""Answers from a server: the same rows as from the model in memory, whatever the server does meanwhile.

Covers: overmem.models.engines.protocol
"""

import dataclasses
import json
import os
import socket
import threading
import time

import pytest

import overmem
from overmem.artifacts.evidence import MeasuredCheckpoint, align_evidence
from overmem.artifacts.manifest import read_manifest
from overmem.artifacts.store import Store
from overmem.axes import all_axes
from overmem.errors import EngineError, RunError
from overmem.models.engines import openai
from overmem.models.engines.transport import RetryPolicy
from overmem.models.loading import ModelHost
from tests.conftest import VAL_ROWS, make_pico, save_checkpoint
from tests.helpers.command import run_command
from tests.helpers.completions_server import CompletionsServer

NAMES = ("checkpoint-10", "checkpoint-20", "checkpoint-100")
QUICK = {"max_new_tokens": 12, "grader": "regex:([A-Za-z]+)", "engine_concurrency": 4}


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    """Waits of milliseconds, and no proxy or key of the machine's own."""
    monkeypatch.setattr(
        openai.OpenAiEngine,
        "__init__",
        lambda self, *a, retry_policy, _init=openai.OpenAiEngine.__init__, **k: _init(
            self, *a, retry_policy=dataclasses.replace(retry_policy, first_wait_seconds=0.01), **k
        ),
    )
    for name in ("OPENAI_API_KEY", "OVERMEM_API_KEY"):
        monkeypatch.delenv(name, raising=False)


def models(run, names=NAMES):
    return {name: run / name for name in names}


@pytest.fixture
def server(pico_run, tokenizer):
    with CompletionsServer(models(pico_run), tokenizer) as running:
        yield running


def answers(store, name, hot=False):
    rows = store.read_rows(name, "generations")
    return rows.filter((rows["temperature"] > 0) == hot).sort("example_id", "sample").drop("row_key")


def test_a_server_gives_the_rows_of_the_model_in_memory(pico_run, val_file, server, tmp_path):
    here = overmem.audit(pico_run, val=str(val_file), out=tmp_path / "here", **QUICK)
    there = overmem.audit(pico_run, val=str(val_file), engine=server.engine, **QUICK)
    for name in NAMES:
        ours, theirs = answers(here.store, name), answers(there.store, name)
        assert ours.drop("mean_logprob").equals(theirs.drop("mean_logprob"))
        assert ours["mean_logprob"].to_list() == pytest.approx(theirs["mean_logprob"].to_list(), abs=1e-5)
        one, two = (a.store.read_rows(name, "likelihood") for a in (here, there))
        assert one.equals(two)
    assert len({row["text"] for row in answers(there.store, "checkpoint-10").to_dicts()}) > 1
    assert all(isinstance(body["prompt"], list) for body in server.requests)
    assert server.most_at_once > 1
    assert there.manifest.engine == {
        "kind": "openai",
        "url": f"http://127.0.0.1:{server.port}/v1",
        "model": None,
        "prompts": "token ids",
        "sampling": "extended",
        "logprobs": True,
    }
    assert here.manifest.engine is None
    overmem.diagnose(there)


def test_nothing_is_asked_twice_and_a_server_may_move(pico_run, val_file, server, tokenizer, monkeypatch):
    overmem.audit(pico_run, val=str(val_file), engine=server.engine, **QUICK)
    asked = len(server.requests)
    monkeypatch.setattr(ModelHost, "load", lambda *_: pytest.fail("a model was loaded"))
    overmem.audit(pico_run, val=str(val_file), engine=server.engine, **QUICK)
    assert len(server.requests) == asked
    # All rows are there, so a server that is gone is not missed, and where it was is not part of the key.
    done = overmem.audit(pico_run, val=str(val_file), engine="openai:http://127.0.0.1:9/v1", **QUICK)
    assert done.manifest.engine["url"].endswith(f":{server.port}/v1")


def test_rows_of_different_engines_do_not_mix(pico_run, val_file, server):
    here = overmem.audit(pico_run, val=str(val_file), **QUICK)
    local = here.manifest.checkpoints[0].row_keys
    there = overmem.audit(pico_run, val=str(val_file), engine=server.engine, **QUICK)
    remote = there.manifest.checkpoints[0].row_keys
    assert local["score val"] == remote["score val"] and local["greedy val"] != remote["greedy val"]
    named = (
        overmem.audit(pico_run, val=str(val_file), engine=server.engine, engine_model="{name}", **QUICK)
        .manifest.checkpoints[0]
        .row_keys
    )
    assert named["greedy val"] not in (local["greedy val"], remote["greedy val"])


@pytest.mark.slow
def test_samples_are_seeded_one_by_one(pico_run, val_file, server, tmp_path):
    settings = QUICK | {"val": str(val_file), "axes": ("diversity",), "checkpoints": "all", "limit": 5}
    few = overmem.audit(pico_run, engine=server.engine, samples=3, **settings)
    before = answers(few.store, "checkpoint-20", hot=True)
    assert len(before) == 3 * 5 and before["text"].n_unique() > 5
    overmem.audit(pico_run, engine=server.engine, samples=5, **settings)
    after = answers(few.store, "checkpoint-20", hot=True)
    fresh = overmem.audit(pico_run, engine=server.engine, samples=5, out=tmp_path / "fresh", **settings)
    assert after.equals(answers(fresh.store, "checkpoint-20", hot=True))
    assert before.equals(after.filter(after["sample"] < 3))
    seeds = [body["seed"] for body in server.requests if body["temperature"] == 0.8]
    assert len(set(seeds)) == 5 * 5 and all(0 <= seed < 2**31 for seed in seeds)


FAULTS = ("500", "429", "truncate", "half json", "hang up", "abort", "stall")


@pytest.mark.slow
def test_faults_in_passing_change_nothing(pico_run, val_file, server, tmp_path):
    settings = QUICK | {"val": str(val_file), "engine": server.engine, "engine_timeout_seconds": 1.0}
    undisturbed = overmem.audit(pico_run, out=tmp_path / "undisturbed", **settings)
    start = len(server.requests)
    # Also the first ones, with which the server is tried out; one request fails seven times in a row.
    server.faults = {start + 3 * i: fault for i, fault in enumerate(FAULTS * 2)}
    server.faults |= {start + i: "500" for i in range(7)}
    disturbed = overmem.audit(pico_run, **settings)
    assert len(server.requests) > 2 * start
    for name in NAMES:
        assert answers(disturbed.store, name).equals(answers(undisturbed.store, name))


def test_a_wait_that_the_server_asks_for_is_kept(pico_run, val_file, server):
    server.faults = {0: "429"}
    start = time.monotonic()
    overmem.audit(pico_run, val=str(val_file), engine=server.engine, limit=2, **QUICK)
    assert time.monotonic() - start > 0.2


def test_a_server_that_dies_midway_leaves_finished_rows_and_a_restart_completes_them(
    pico_run, val_file, tokenizer, tmp_path
):
    settings = QUICK | {"val": str(val_file), "engine_concurrency": 1}
    with CompletionsServer(models(pico_run), tokenizer) as first:
        undisturbed = overmem.audit(pico_run, out=tmp_path / "undisturbed", engine=first.engine, **settings)
    with CompletionsServer(models(pico_run), tokenizer, port=first.port) as second:
        # Dead for good in the middle of the second checkpoint, waiting requests included.
        second.faults = {2 + 12 + 6 + i: "hang up" for i in range(100)}
        with pytest.raises(EngineError, match=r"does not answer[\s\S]*8 attempts[\s\S]*same command again"):
            overmem.audit(pico_run, engine=second.engine, **settings)
    store = Store.of_run(pico_run)
    kept = {name: len(store.read_rows(name, "generations")) for name in NAMES}
    assert kept == {"checkpoint-10": 12, "checkpoint-20": 4, "checkpoint-100": 0}
    with CompletionsServer(models(pico_run), tokenizer, port=first.port) as third:
        done = overmem.audit(pico_run, engine=third.engine, **settings)
        assert len(third.requests) == 2 + 3 * 12 - 16
    for name in NAMES:
        assert answers(done.store, name).equals(answers(undisturbed.store, name))


def test_a_server_that_comes_back_in_time_is_not_noticed(pico_run, val_file, tokenizer, monkeypatch):
    monkeypatch.setattr(RetryPolicy, "wait_seconds", lambda *_: 0.3)
    first = CompletionsServer(models(pico_run), tokenizer)
    restarted = []

    def restart():
        while len(first.requests) < 10:
            time.sleep(0.01)
        first.close()
        time.sleep(0.3)
        restarted.append(CompletionsServer(models(pico_run), tokenizer, port=first.port))

    thread = threading.Thread(target=restart)
    thread.start()
    done = overmem.audit(pico_run, val=str(val_file), engine=first.engine, **QUICK)
    thread.join()
    restarted[0].close()
    assert restarted[0].requests and len(done.manifest.checkpoints) == 3


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


@pytest.mark.slow
def test_a_dead_server_is_one_message_and_nothing_is_written(pico_run, val_file):
    engine = f"openai:http://127.0.0.1:{free_port()}"
    done = run_command("audit", pico_run, "--val", val_file, "--engine", engine)
    assert done.returncode == 2
    assert done.stderr.startswith(f"overmem: the engine at {engine.removeprefix('openai:')}/v1 does not")
    assert "got:" in done.stderr and "next:" in done.stderr and "Traceback" not in done.stderr
    assert not (pico_run / "overmem").exists()


def test_a_stalled_server_does_not_outlive_the_first_failure(pico_run, val_file, server):
    """One request is refused while others wait for answers that do not come: the audit ends at once."""
    server.faults = {2: "stall", 3: "stall", 4: "stall"}
    server.faults |= {i: "500" for i in range(5, 40)}
    start = time.monotonic()
    with pytest.raises(EngineError, match="out of luck"):
        overmem.audit(pico_run, val=str(val_file), engine=server.engine, **QUICK)
    assert time.monotonic() - start < 8


def spoiled(**changes):
    return lambda content: content["choices"][0].update(changes)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda content: content.update(model="checkpoint-100"), "another model, 'checkpoint-100'"),
        (lambda content: content["choices"].append(content["choices"][0]), "2 choices"),
        (lambda content: content["usage"].update(completion_tokens=10**400), "a count that is none"),
        (spoiled(text="\ud800"), "half a character"),
        (spoiled(logprobs={"token_logprobs": [0.7]}), "above 0: 0.7"),
        (spoiled(finish_reason="because"), "unknown finish_reason, 'because'"),
    ],
)
def test_a_wrong_answer_is_one_message_and_rows_that_were_saved_stay(pico_run, val_file, server, spoil, said):
    settings = QUICK | {"val": str(val_file), "engine": server.engine, "engine_concurrency": 1}
    server.faults = {2 + 12 + i: spoil for i in range(40)}
    with pytest.raises(EngineError, match=rf"no usable answer[\s\S]*{said}[\s\S]*3 attempts"):
        overmem.audit(pico_run, **settings)
    store = Store.of_run(pico_run)
    assert [len(store.read_rows(name, "generations")) for name in NAMES] == [12, 0, 0]
    server.faults = {}
    assert len(overmem.audit(pico_run, **settings).manifest.checkpoints) == 3
    assert len(store.read_rows(NAMES[-1], "generations")) == 12


def test_names_that_are_not_served(pico_run, val_file, tokenizer):
    with CompletionsServer(models(pico_run, NAMES[:1]), tokenizer) as one:
        with pytest.raises(EngineError, match=r"none of the checkpoints[\s\S]*got: +checkpoint-10\n"):
            overmem.audit(pico_run, val=str(val_file), engine=one.engine, engine_model="mine-{step}", **QUICK)
        assert not (pico_run / "overmem").exists()
        # A server that holds one checkpoint at a time: the others are named, and wait for their turn.
        done = overmem.audit(pico_run, val=str(val_file), engine=one.engine, **QUICK)
    assert [c.name for c in done.manifest.checkpoints] == ["checkpoint-10"]
    assert "not served" in done.skipped["checkpoint-20"] and "checkpoint-10" in done.skipped["checkpoint-20"]
    with CompletionsServer(models(pico_run, NAMES[1:]), tokenizer) as others:
        done = overmem.audit(pico_run, val=str(val_file), engine=others.engine, **QUICK)
        assert {body["model"] for body in others.requests} == set(NAMES[1:])
    assert [c.name for c in done.manifest.checkpoints] == list(NAMES) and not done.skipped


def test_models_that_are_loaded_on_demand(pico_run, val_file, tokenizer):
    paths = {str((pico_run / name).resolve()): pico_run / name for name in NAMES}
    with CompletionsServer(paths, tokenizer) as server:
        done = overmem.audit(
            pico_run, val=str(val_file), engine=server.engine, engine_on_demand=True, **QUICK
        )
        assert {body["model"] for body in server.requests} == set(paths)
    assert len(done.manifest.checkpoints) == 3
    with CompletionsServer({}, tokenizer) as empty, pytest.raises(EngineError, match=r"404: no model /"):
        overmem.audit(
            pico_run,
            val=str(val_file),
            engine=empty.engine,
            engine_on_demand=True,
            out=pico_run / "x",
            **QUICK,
        )


def test_prompts_as_text_where_ids_are_refused(pico_run, val_file, tokenizer, tmp_path):
    here = overmem.audit(pico_run, val=str(val_file), out=tmp_path / "here", limit=5, **QUICK)
    with CompletionsServer(models(pico_run), tokenizer, takes_ids=False, extended=False) as server:
        done = overmem.audit(pico_run, val=str(val_file), engine=server.engine, limit=5, **QUICK)
    assert done.manifest.engine | {"url": ""} == {
        "kind": "openai",
        "url": "",
        "model": None,
        "prompts": "text",
        "sampling": "plain",
        "logprobs": True,
    }
    ours, theirs = (a.store for a in (here, done))
    assert answers(ours, "checkpoint-20")["text"].to_list() == (
        answers(theirs, "checkpoint-20")["text"].to_list()
    )
    with CompletionsServer(models(pico_run), tokenizer) as server:
        text = server.engine.replace("openai:", "openai-text:")
        overmem.audit(pico_run, val=str(val_file), engine=text, limit=5, out=tmp_path / "text", **QUICK)
        assert all(isinstance(body["prompt"], str) for body in server.requests)


def test_a_prompt_that_the_server_reads_otherwise_is_refused(pico_run, val_file, tokenizer):
    with (
        CompletionsServer(models(pico_run), tokenizer, adds=1) as server,
        pytest.raises(EngineError, match=r"reads a prompt otherwise[\s\S]*prompt tokens by the server's"),
    ):
        overmem.audit(pico_run, val=str(val_file), engine=server.engine, **QUICK)
    assert not (pico_run / "overmem").exists()


def test_an_answer_that_the_server_cuts_short_is_not_graded(pico_run, val_file, server):
    # The first two requests try out what the server takes.
    server.faults[4] = "full"
    with pytest.raises(EngineError, match=r"cuts answers short[\s\S]*longer context"):
        overmem.audit(pico_run, val=str(val_file), engine=server.engine, **QUICK)


def test_the_key_is_sent_and_never_kept(pico_run, val_file, tokenizer, monkeypatch):
    with CompletionsServer(models(pico_run), tokenizer, key="sk-hush") as server:
        with pytest.raises(EngineError, match="OVERMEM_API_KEY") as refused:
            overmem.audit(pico_run, val=str(val_file), engine=server.engine, **QUICK)
        monkeypatch.setenv("OPENAI_API_KEY", "sk-other")
        with pytest.raises(EngineError):
            overmem.audit(pico_run, val=str(val_file), engine=server.engine, **QUICK)
        monkeypatch.setenv("OVERMEM_API_KEY", "sk-hush")
        overmem.audit(pico_run, val=str(val_file), engine=server.engine, **QUICK)
        assert server.headers[-1]["Authorization"] == "Bearer sk-hush"
    assert refused.value.got.startswith("/models: status 401")
    for path in (pico_run / "overmem").rglob("*.*"):
        assert b"sk-hush" not in path.read_bytes()


def test_without_log_probabilities_the_measure_says_why(pico_run, val_file, tokenizer):
    with CompletionsServer(models(pico_run), tokenizer, logprobs=False) as server:
        done = overmem.audit(
            pico_run,
            val=str(val_file),
            engine=server.engine,
            axes=("calibration",),
            samples=2,
            checkpoints="all",
            **QUICK,
        )
    assert not done.manifest.engine["logprobs"]
    assert answers(done.store, "checkpoint-100")["mean_logprob"].null_count() == 12
    (evidence,) = align_evidence([MeasuredCheckpoint(done.store, done.manifest, "checkpoint-100")])
    measures = {measure.name: measure for measure in all_axes()["calibration"].measures(evidence)}
    assert "no token log-probabilities for 12 of 12" in measures["answer_ece_probability"].reason
    assert measures["token_ece"].reason is None
    overmem.diagnose(done)
    overmem.report(pico_run)


@pytest.mark.exhaustive
def test_adapters_by_name_and_what_needs_token_ids_stays_here(tmp_path, tokenizer, val_file):
    from peft import LoraConfig, get_peft_model

    base, run, merged = tmp_path / "base", tmp_path / "run", tmp_path / "merged"
    save_checkpoint(base, make_pico(tokenizer, seed=0), tokenizer, 0)
    for step in (10, 20):
        config = LoraConfig(r=2, lora_alpha=8, init_lora_weights=False, task_type="CAUSAL_LM")
        adapted = get_peft_model(make_pico(tokenizer, seed=0), config)
        adapted.peft_config["default"].base_model_name_or_path = str(base)
        adapted.save_pretrained(run / f"checkpoint-{step}")
        tokenizer.save_pretrained(run / f"checkpoint-{step}")
        save_checkpoint(merged / f"checkpoint-{step}", adapted.merge_and_unload(), tokenizer, step)
    served = models(merged, ("checkpoint-10", "checkpoint-20"))
    axes = ("accuracy", "recall")
    with CompletionsServer({"base": base, **served}, tokenizer) as server:
        done = overmem.audit(
            run, val=str(val_file), train=str(val_file), axes=axes, engine=server.engine, **QUICK
        )
        assert {body["model"] for body in server.requests} == {*served, "base"}
    keys = done.manifest.checkpoints[-1].row_keys
    here = overmem.audit(
        run, val=str(val_file), train=str(val_file), axes=axes, out=tmp_path / "here", **QUICK
    )
    local = here.manifest.checkpoints[-1].row_keys
    assert {job for job in keys if keys[job] == local[job]} == set(keys) - {"greedy val"}


@pytest.mark.exhaustive
def test_a_repair_of_such_an_audit_uses_the_model_in_memory(pico_run, tmp_path, server):
    from overmem.auditing.options import saved_options

    val_file = tmp_path / "many.jsonl"
    # As many as a proof needs.
    rows = [row | {"id": f"q{i}", "prompt": f"{i}. {row['prompt']}"} for i, row in enumerate(VAL_ROWS * 15)]
    val_file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    overmem.audit(pico_run, val=str(val_file), engine=server.engine, **(QUICK | {"max_new_tokens": 2}))
    assert saved_options(read_manifest(Store.of_run(pico_run))).engine == server.engine
    from overmem.repairing.setup import prepare_repair

    found = prepare_repair(pico_run)
    assert found.search.engine == found.confirm.engine == "hf"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"engine": "sglang"}, r"unknown engine[\s\S]*sglang[\s\S]*vllm[\s\S]*openai:http"),
        ({"engine": "openai:localhost:8000"}, "URL cannot be used"),
        ({"engine": "openai:http://host:port"}, "cannot be read"),
        ({"engine": "openai:http://me:secret@host"}, "password"),
        ({"engine": "openai:http://host", "engine_model": "mine"}, "one name at the server"),
        ({"engine_model": "{name}"}, "need a server as the engine"),
        ({"engine": "vllm", "engine_on_demand": True}, "need a server as the engine"),
        ({"engine": "openai:http://host", "engine_concurrency": 0}, "at least 1"),
        ({"engine": "openai:http://host", "engine_timeout_seconds": 0.0}, "above 0"),
    ],
)
def test_bad_options_are_refused(pico_run, val_file, options, said):
    with pytest.raises(RunError, match=said) as error:
        overmem.audit(pico_run, val=str(val_file), **options)
    assert "secret" not in str(error.value)
    assert not os.path.exists(pico_run / "overmem")
