"""What is said of logs that TRL 1.16 wrote of a random llama: kind, what to keep, and no talk of perplexity.

`written_by_trl.json` holds some rows of each log, with the figures of the objectives left in.

"""

import json
from pathlib import Path
from typing import Any

import pytest

from overmem.logs.history import LoggedHistory
from overmem.logs.judged import judge_history
from overmem.records.logged import LoggedRun

LOGS = json.loads(Path(__file__).with_name("written_by_trl.json").read_text())


def judged(rows: list[dict[str, Any]], **settings: Any) -> LoggedRun:
    return judge_history(LoggedHistory(rows=tuple(rows), source="log", kind="t", settings=settings), "run")


@pytest.mark.parametrize(
    ("name", "task", "by"),
    [
        ("dpo", "preference", "eval_loss"),
        ("kto", "preference", "eval_loss"),
        ("orpo", "preference", "eval_loss"),
        ("cpo", "preference", "eval_loss"),
        ("grpo", "reinforcement", "eval_reward"),
        ("reward", "reward model", "eval_loss"),
        ("sft", "SFT", "eval_loss"),
        ("sft-packing", "SFT", "eval_loss"),
        ("sft-dft", "SFT", "eval_loss"),
    ],
)
def test_kind_and_what_is_picked_by(name: str, task: str, by: str) -> None:
    run = judged(LOGS[name])
    assert (run.task, run.keep and run.keep.by) == (task, by)
    assert run.cross_entropy is (name in ("sft", "sft-packing"))
    assert {one.set_name for one in run.series} == {""}
    said = " ".join(finding.sentence for finding in run.findings)
    assert "over-memorization" not in said
    assert ("Gap to unseen text" in said) is (name == "sft")  # with packing it ends within one epoch
    assert ("`overmem audit " in run.settle) is (name != "reward")


def test_a_reward_is_better_higher_and_its_spread_is_no_metric() -> None:
    run = judged(LOGS["grpo"])
    assert {one.measure: one.lower_is_better for one in run.series} == {"reward": False, "loss": True}
    assert {finding.kind for finding in run.findings} >= {"reward", "answers_cut_off"}
    assert {one.measure for one in judged(LOGS["reward"]).series} == {"loss", "accuracy"}


def test_an_evaluated_reward_without_its_prefix_is_one() -> None:
    rows = [{"step": s, "eval_loss": 1e-8, "reward": 1.0 + s, "completions/mean_length": 9} for s in (1, 2)]
    run = judged([{"step": 1, "loss": 0.0, "reward": 9.0}, *rows])
    assert run.keep is not None and (run.keep.by, run.keep.value) == ("eval_reward", 3.0)


def test_dft_is_named_as_what_it_may_be() -> None:
    assert "such as DFT" in (judged(LOGS["sft-dft"]).not_cross_entropy or "")
    assert "objective, which is dft" in (judged(LOGS["sft-dft"], loss_type="dft").not_cross_entropy or "")


def pairs(losses: list[float], shares: list[float], task: str = "DPOConfig") -> LoggedRun:
    rows = [
        {"step": s, "eval_loss": loss, "eval_rewards/accuracies": share, "eval_rewards/margins": loss}
        for s, (loss, share) in enumerate(zip(losses, shares, strict=True), 1)
    ]
    return judged(rows, arguments_class=task)


RISES = [0.6, 0.5, 0.6, 0.7, 0.8, 0.9]


@pytest.mark.parametrize(
    ("shares", "kind"),
    [
        ([0.6, 0.7, 0.7, 0.7, 0.7, 0.7], "pairs_loss_up_metric_better"),
        ([0.6, 0.8, 0.7, 0.6, 0.5, 0.4], "pairs_loss_up_metric_worse"),
    ],
)
def test_of_pairs_the_share_ranked_right_speaks_and_not_the_margin(shares: list[float], kind: str) -> None:
    found = {finding.kind: finding for finding in pairs(RISES, shares).findings}
    assert kind in found and "margins" not in found[kind].sentence


def test_a_loss_of_pairs_near_zero_is_about_pairs() -> None:
    (found,) = (f for f in pairs([0.3, 0.001], [0.9, 1.0]).findings if f.kind == "eval_near_zero")
    assert "pairs are in the training data" in found.sentence and "unseen text" not in found.sentence


def test_no_reward_that_was_evaluated_means_nothing_to_keep() -> None:
    rows = [{"step": s, "eval_loss": 0.0, "eval_completions/clipped_ratio": 0.1} for s in (1, 2, 3)]
    run = judged(rows, arguments_class="GRPOConfig")
    assert run.keep is None and run.series and not run.findings
