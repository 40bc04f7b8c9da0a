"""What a monitor reads from its points, what it keeps on disk, and how it behaves in another's model."""

import io
import math
import random

import numpy as np
import pytest
import torch
from rich.console import Console

import overmem
from overmem.cli.demo import run_demo
from overmem.errors import OvermemError
from overmem.monitor.problem_set import choose_problems
from overmem.monitor.retention import CheckpointRetention
from overmem.monitor.visit import preserving_state, why_not_measurable
from overmem.recipe.schema import check_recipe, dump_recipe
from overmem.records import Example
from overmem.verdict.live import LiveRule, Point, TokenRow, read_points, steps_to_keep

RULE = LiveRule()


def points_of(nll, n=64, noise=0.02, accuracy=None, seed=0):
    """Points whose true NLL a token is given, on problems of 20 tokens that differ among themselves."""
    rng = np.random.default_rng(seed)
    level_N = 20 * rng.lognormal(-(0.3**2) / 2, 0.3, n)
    made = []
    for place, value in enumerate(nll):
        row_N = value * level_N * rng.lognormal(-(noise**2) / 2, noise, n)
        right = () if accuracy is None else tuple(map(float, np.arange(n) < accuracy[place] * n))
        epoch = place + 1.0
        made.append(Point(step=100 * (place + 1), epoch=epoch, nll_nats_N=tuple(row_N), correct_K=right))
    return made, [20] * n


def test_one_point_gives_no_stage():
    reading = read_points(*points_of([0.5]), RULE)
    assert reading.stage == "undetermined" and math.isnan(reading.confidence) and not reading.onset
    assert reading.lowest_step == 100 and reading.perplexity_ratio.value == 1
    assert "overmem/confidence" not in reading.to_logs() and reading.to_logs()["overmem/stage"] == -1


def test_perplexity_alone():
    points, tokens = points_of([0.6, 0.40, 0.42, 0.55])
    stages = [read_points(points[: end + 1], tokens, RULE) for end in range(4)]
    assert [reading.stage for reading in stages] == [
        "undetermined", "not inflated", "not inflated", "inflated",
    ]  # fmt: skip
    last = stages[-1]
    assert last.onset and last.lowest_step == 200 and last.confidence > 0.99
    assert last.perplexity_ratio.low < math.exp(0.15 * 1.05) and last.perplexity_ratio.high > 1.1
    assert last.accuracy is None and last.to_logs()["overmem/stage"] == 2
    assert "1.1" in last.describe() and "inflated (" in last.describe()


def test_probability_and_interval_hold_over_draws_of_the_problems():
    """Truly at the threshold: 0.8 is passed in a fifth of the draws, and the interval covers in 95%."""
    sure, covered = [], []
    for seed in range(400):
        reading = read_points(*points_of([0.4, 0.4 + math.log(1.1)], noise=0.15, seed=seed), RULE)
        sure.append(reading.probability_inflated >= 0.8)
        covered.append(reading.perplexity_ratio.low <= 1.1 <= reading.perplexity_ratio.high)
    assert 0.15 < np.mean(sure) < 0.25
    assert 0.93 < np.mean(covered) < 0.975


def test_too_few_problems_give_no_stage():
    points, tokens = points_of([0.4, 0.9], n=20)
    assert read_points(points, tokens, RULE).stage == "undetermined"


def test_answers_bring_the_whole_rule():
    points, tokens = points_of([0.6, 0.4, 0.42, 0.7], n=200, accuracy=[0.3, 0.8, 0.82, 0.83])
    reading = read_points(points, tokens, RULE)
    assert reading.stage == "over-memorized" and reading.onset and reading.accuracy.value == 0.83
    worse, _ = points_of([0.6, 0.4, 0.42, 0.7], n=200, accuracy=[0.3, 0.8, 0.82, 0.5])
    assert read_points(worse, tokens, RULE).stage == "overfit"


def test_the_own_path_share():
    points, tokens = points_of([0.4, 0.6])
    then = TokenRow(step=100, logprob_T=np.array([-0.1, -0.1]), is_top1_T=np.array([True, True]))
    now = TokenRow(step=200, logprob_T=np.array([-0.2, -0.4]), is_top1_T=np.array([True, False]))
    assert read_points(points, tokens, RULE, (now, then)).own_path_share == pytest.approx(0.75)
    assert math.isnan(read_points(points, tokens, RULE).own_path_share)
    close, _ = points_of([0.4, 0.401], noise=0.1)
    assert math.isnan(read_points(close, tokens, RULE, (now, then)).own_path_share)


def test_what_to_keep():
    assert steps_to_keep([], [], 1.1) == []
    points, tokens = points_of([0.6, 0.40, 0.42, 0.44, 0.7], noise=0)
    assert steps_to_keep(points, tokens, 1.1) == [200, 400]
    points, tokens = points_of([0.6, 0.40, 0.42, 0.44, 0.7], noise=0, accuracy=[0.2, 0.5, 0.9, 0.6, 0.9])
    assert steps_to_keep(points, tokens, 1.1) == [200, 300]


def test_checkpoints_come_back_without_the_optimizer(tmp_path):
    def save(step):
        folder = tmp_path / f"checkpoint-{step}"
        folder.mkdir()
        for name in ("model.safetensors", "optimizer.pt", "trainer_state.json"):
            (folder / name).write_text(str(step))

    for step in (1, 2, 3):
        save(step)
    before = (tmp_path / "checkpoint-1").stat().st_mtime_ns
    retention = CheckpointRetention(tmp_path)
    retention.keep([1, 2])
    for step in (1, 2):
        rotated = tmp_path / f"checkpoint-{step}"
        for path in rotated.iterdir():
            path.unlink()
        rotated.rmdir()
    retention.keep([1])
    assert retention.steps() == {1, 3}
    back = tmp_path / "checkpoint-1"
    assert {path.name for path in back.iterdir()} == {"model.safetensors", "trainer_state.json"}
    assert back.stat().st_mtime_ns == before
    assert (back / "model.safetensors").stat().st_nlink == 2
    retention.finish()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint-1", "checkpoint-3"]


def test_a_visit_leaves_no_trace():
    model = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Dropout(0.5), torch.nn.BatchNorm1d(2))
    model[2].eval()
    model[0](torch.ones(1, 2)).sum().backward()
    grad = model[0].weight.grad.clone()
    states = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()
    buffers = model[2].running_mean.clone()
    with pytest.raises(KeyError), preserving_state(model):
        assert not any(module.training for module in model.modules()) and not torch.is_grad_enabled()
        model(torch.rand(4, 2)), np.random.rand(), random.random()
        raise KeyError
    assert [module.training for module in model.modules()] == [True, True, True, False]
    assert torch.equal(model[0].weight.grad, grad) and torch.equal(model[2].running_mean, buffers)
    assert torch.equal(torch.get_rng_state(), states[0])
    assert (np.random.get_state()[1] == states[1]).all() and random.getstate() == states[2]


def test_spread_weights_are_left_alone(tmp_path):
    from torch.distributed.fsdp import fully_shard

    model = torch.nn.Linear(2, 2)
    assert why_not_measurable(model) is None
    model.weight.ds_id = 3
    assert "ZeRO-3" in why_not_measurable(model)
    torch.distributed.init_process_group("gloo", store=torch.distributed.HashStore(), rank=0, world_size=1)
    try:
        mesh = torch.distributed.device_mesh.init_device_mesh("cpu", (1,))
        assert "FSDP2" in why_not_measurable(fully_shard(torch.nn.Linear(2, 2), mesh=mesh))
    finally:
        torch.distributed.destroy_process_group()


def test_subsets_are_the_audit_s_and_the_answered_come_first():
    from overmem.auditing.problems import subset

    examples = [Example(f"p{i}", "q", "a", "1") for i in range(200)]
    chosen = choose_problems(examples, examples, limit=64, answers=40, grader=None, seed=0)
    ids = [example.id for example in examples]
    assert {e.id for e in chosen.val} == {ids[i] for i in subset(ids, 64, 0)}
    assert {e.id for e in chosen.val[:40]} == {ids[i] for i in subset(ids, 40, 0)}
    assert len(chosen.train) == 64 and chosen.answers == 40 and chosen.grader == "math"


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"every": "day"}, "when to measure"),
        ({"every": 0}, "when to measure"),
        ({"limit": 0}, "limit=0"),
        ({"answers": 10}, "at least 30"),
        ({"perplexity_ratio": 0.9}, "perplexity_ratio"),
        ({"on_onset": "panic"}, "at the onset"),
        ({"val": "no-such-file.jsonl"}, "no-such-file"),
        ({"val": []}, "no examples"),
        ({"val": ["text"]}, "str"),
        ({"val": [Example("a", "q", "c")], "answers": 30}, "answer"),
    ],
)
def test_impossible_settings_are_refused_at_once(keywords, message):
    with pytest.raises(OvermemError, match=message):
        overmem.OverMemorizationMonitor(**({"val": [Example("a", "q", "c", "1")]} | keywords))


def test_recipes_turn_it_on_by_default_and_old_ones_still_load():
    written = {"model": {"name": "organism"}, "data": {"train": "wordmath:train"}, "output": "x"}
    recipe = check_recipe(written, "test")
    assert recipe.monitor.enabled and recipe.monitor.every == "epoch"
    off = check_recipe(written | {"monitor": False}, "test")
    assert not off.monitor.enabled and "enabled: false" in dump_recipe(off)
    assert check_recipe(written | {"monitor": {"every": 50, "answers": 40}}, "test").monitor.every == 50
    with pytest.raises(OvermemError, match=r"monitor\.evry[\s\S]*keep_checkpoints"):
        check_recipe(written | {"monitor": {"evry": 50}}, "test")


def test_the_demo_shows_what_the_monitor_reads(monkeypatch, tmp_path):
    class Trained(Exception):
        pass

    def train(recipe, *, watch, **others):
        watch(read_points(*points_of([0.4, 0.7]), RULE))
        raise Trained

    monkeypatch.setattr("overmem.training.trainer.train", train)
    monkeypatch.setattr("overmem.cli.progress.quiet_libraries", lambda: None)
    console = Console(file=io.StringIO(), width=80)
    with pytest.raises(Trained):
        run_demo(tmp_path, 0, console)
    assert "monitor: step 200: val ppl 2.0" in console.file.getvalue()
