"""What a log is of, by its keys and configuration, and which way its metrics are better.

Covers: overmem.logs.metrics
"""

import math
from typing import Any

import pytest

from overmem.logs.kinds import find_task
from overmem.logs.metrics import is_token_accuracy, lower_is_better, rank

CAUSAL = {"architectures": ["QwenForCausalLM"]}


@pytest.mark.parametrize(
    ("keys", "settings", "name", "is_perplexity"),
    [
        (["loss", "eval_loss"], {}, "unknown", False),
        (["loss", "eval_loss", "eval_mean_token_accuracy"], {}, "SFT", True),
        (["loss", "eval_loss"], CAUSAL, "language model", True),
        (["loss", "eval_loss", "eval_accuracy"], CAUSAL, "language model", True),
        (["loss", "eval_loss"], {"task_type": "CAUSAL_LM"}, "language model", True),
        (["loss", "eval_loss"], CAUSAL | {"stage": "pt"}, "pretraining", True),
        (["loss", "eval_loss"], CAUSAL | {"label_smoothing_factor": 0.1}, "language model", False),
        (["loss", "eval_loss", "num_tokens"], {"loss_type": "dft"}, "SFT", False),
        (["loss", "eval_loss", "eval_rewards/chosen"], CAUSAL, "preference", False),
        (["loss", "eval_logps/rejected", "eval_loss"], {"rlhf_type": "dpo"}, "preference", False),
        (["loss", "reward", "kl", "completions/mean_length"], CAUSAL, "reinforcement", False),
        (["eval_loss", "eval_f1", "eval_accuracy"], {}, "classification", False),
        (["eval_loss"], {"task_type": "SEQ_CLS"}, "classification", False),
        (
            ["eval_loss", "eval_f1"],
            {"architectures": ["BertForTokenClassification"]},
            "token classification",
            0,
        ),
        (["eval_loss", "eval_overall_f1"], {}, "token classification", False),
        (["eval_loss", "eval_rouge-1", "eval_gen_len"], {}, "seq2seq", False),
        (["eval_loss", "eval_sacrebleu"], {}, "seq2seq", False),
        (["eval_loss", "eval_wer"], {}, "speech", False),
        (["eval_loss", "eval_spearmanr"], {}, "regression", False),
        (["eval_loss"], {"architectures": ["BertForMaskedLM"]}, "masked language model", False),
        (["loss", "eval_loss"], {"arguments_class": "DPOConfig"} | CAUSAL, "preference", False),
        (["loss", "eval_loss", "reward"], {"arguments_class": "RewardConfig"}, "reward model", False),
        (["loss", "eval_loss"], {"arguments_class": "GRPOConfig"} | CAUSAL, "reinforcement", False),
        (["loss", "eval_loss"], {"arguments_class": "SFTConfig"}, "SFT", True),
        (["loss", "eval_loss"], {"arguments_class": "TrainingArguments"}, "unknown", False),
    ],
)
def test_the_task_and_whether_its_loss_is_a_perplexity(
    keys: list[str], settings: dict[str, Any], name: str, is_perplexity: bool
) -> None:
    task = find_task([dict.fromkeys(keys, 1.0)], settings)
    assert (task.name, task.cross_entropy) == (name, bool(is_perplexity))
    assert task.by


@pytest.mark.parametrize(("loss", "is_cross_entropy"), [(0.30, True), (0.27, False)])
def test_a_loss_below_what_token_accuracy_allows_is_no_cross_entropy(
    loss: float, is_cross_entropy: bool
) -> None:
    least = (1 - 0.5) * math.log(2)  # half of the tokens have a probability of one half at most
    assert 0.27 < 0.8 * least < 0.30
    rows = [{"step": s, "eval_loss": loss, "eval_mean_token_accuracy": 0.5} for s in (1, 2, 3)]
    task = find_task(rows, {})
    assert task.cross_entropy is is_cross_entropy
    assert find_task(rows[:2], {}).cross_entropy  # too few to say so


@pytest.mark.parametrize(
    "name", ["loss", "wer", "CER", "eval/mse", "perplexity", "dev_error_rate", "edit_distance"]
)
def test_lower_is_better(name: str) -> None:
    assert lower_is_better(name) is True


@pytest.mark.parametrize(
    "name",
    [
        "accuracy",
        "f1_score",
        "rouge-l",
        "exact_match",
        "rewards/accuracies",
        "macro_f1",
        "recall@5",
        "pass@1",
    ],
)
def test_higher_is_better(name: str) -> None:
    assert lower_is_better(name) is False


def test_a_name_that_says_nothing_has_no_direction() -> None:
    assert lower_is_better("logps/chosen") is None
    assert lower_is_better("banana") is None


def test_token_accuracy_picks_nothing_and_wer_comes_first() -> None:
    assert is_token_accuracy("mean_token_accuracy") and rank("mean_token_accuracy") is None
    assert rank("gen_len") is None
    ranks = [rank(name) for name in ("wer", "exact_match", "rouge-l", "f1", "accuracy")]
    assert None not in ranks
    assert ranks[0] == min(rank for rank in ranks if rank is not None)
