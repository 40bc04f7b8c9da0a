"""What the names of logged metrics mean: which way is better, and which speaks for a run before another."""

from __future__ import annotations

import re

LOWER = (
    "loss",
    "wer",
    "cer",
    "mer",
    "ter",
    "eer",
    "mse",
    "rmse",
    "mae",
    "perplexity",
    "ppl",
    "bpb",
    "bits_per_byte",
    "error",
    "error_rate",
    "nll",
)
HIGHER = (
    "overall_f1",
    "f1",
    "exact_match",
    "em",
    "pass",
    "rougelsum",
    "rougel",
    "rouge_l",
    "rouge1",
    "rouge_1",
    "rouge2",
    "rouge_2",
    "rouge",
    "sacrebleu",
    "bleu",
    "chrf",
    "meteor",
    "bertscore",
    "matthews_correlation",
    "matthews",
    "mcc",
    "auroc",
    "roc_auc",
    "auc",
    "average_precision",
    "map",
    "mean_average_precision",
    "accuracy",
    "acc",
    "overall_accuracy",
    "spearmanr",
    "spearman",
    "pearson",
    "pearsonr",
    "r2",
    "ndcg",
    "mrr",
    "iou",
    "precision",
    "recall",
    "reward",
    "rewards/accuracies",
    "rewards/margins",
)
PRIMARY = ("wer", "cer", "mer", "ter", "eer", *HIGHER[: HIGHER.index("precision")], "mse", "rmse", "mae")
"""Metrics that may pick a checkpoint, the earlier before the later; precision and recall alone are none."""
TOKEN_ACCURACY = (
    "mean_token_accuracy",
    "token_accuracy",
    "token_acc",
    "masked_accuracy",
    "next_token_accuracy",
)
"""Share of next tokens guessed right with the reference before them: no accuracy of answers."""
NO_METRIC = (
    "runtime",
    "samples_per_second",
    "steps_per_second",
    "tokens_per_second",
    "model_preparation_time",
    "jit_compilation_time",
    "num_tokens",
    "num_input_tokens_seen",
    "samples",
    "gen_len",
    "entropy",
    "epoch",
    "min_reward",
    "mean_reward",
    "max_reward",
    "reward_std",
    "frac_reward_zero_std",
)
"""What is logged beside the metrics of an evaluation."""


_DISTANCES = ("err", "distance", "divergence")


def base_name(measure: str) -> str:
    """A metric's name as it is looked up: lower case, underscores, no `_score`, no number of a cut-off."""
    name = re.sub(r"[-. ]+", "_", measure.lower()).removesuffix("_score")
    return re.sub(r"(?:@|_at_?)\d+$", "", name)


def lower_is_better(measure: str) -> bool | None:
    """Which way a metric is better; None where its name does not say."""
    name = base_name(measure)
    for names, answer in ((LOWER, True), (HIGHER, False)):
        if name in names:
            return answer
    parts = re.split(r"[_/]", name)
    if name.endswith(tuple(f"_{known}" for known in LOWER)) or parts[-1] in (*LOWER, *_DISTANCES):
        return True
    if any(part in HIGHER for part in (parts[-1], parts[0])) or any(
        name.endswith(f"_{known}") for known in HIGHER
    ):
        return False
    return None


def is_token_accuracy(measure: str) -> bool:
    """Whether a metric counts tokens that follow the reference."""
    return base_name(measure) in TOKEN_ACCURACY or "token_acc" in base_name(measure)


def rank(measure: str) -> int | None:
    """The place of a metric among those that may pick a checkpoint, 0 first; None where it may not."""
    name = base_name(measure)
    if is_token_accuracy(measure):
        return None
    if name in PRIMARY:
        return PRIMARY.index(name)
    parts = [place for place, known in enumerate(PRIMARY) if name.endswith((f"_{known}", f"/{known}"))]
    return min(parts) + len(PRIMARY) if parts else None
