"""What a log is of, from its keys and the files beside it; and whether its loss is a cross entropy.

Perplexity is exp of a language model's mean cross entropy a token, and of nothing else. So it is spoken of
only where something says that a language model was trained, and nothing says that another loss was used.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from overmem.logs.arguments_file import CLASS
from overmem.logs.history import logged_number
from overmem.logs.metrics import TOKEN_ACCURACY, base_name

_PREFERENCE = ("rewards/chosen", "rewards/rejected", "rewards/margins", "logps/chosen", "log_odds_ratio")
_REINFORCEMENT = (
    "reward",
    "objective/kl",
    "objective/rlhf_reward",
    "policy/approxkl_avg",
    "completions/mean_length",
    "completions/mean_terminated_length",
    "reward_std",
    "env/reward_mean",
)
_REWARD_MODEL = ("min_reward", "mean_reward", "max_reward")
_SPEECH = ("wer", "cer")
_TOKENS = ("overall_f1", "overall_precision", "overall_recall", "overall_accuracy")
_TEXT = re.compile(r"(rouge|bleu|sacrebleu|chrf|meteor|gen_len)")
_CLASSES = ("f1", "precision", "recall", "matthews_correlation", "mcc", "roc_auc", "auroc", "auc")
_REGRESSION = ("mse", "rmse", "mae", "pearson", "pearsonr", "spearmanr", "r2")
_LANGUAGE = ("perplexity", "ppl", "bits_per_byte", "bpb")
_SETS = re.compile(r"^(?:train_|eval_|test_|predict_)+")
_HEADS = (
    ("ForSequenceClassification", "classification"),
    ("ForImageClassification", "classification"),
    ("ForAudioClassification", "classification"),
    ("ForMultipleChoice", "classification"),
    ("ForTokenClassification", "token classification"),
    ("ForQuestionAnswering", "question answering"),
    ("ForCTC", "speech"),
    ("ForSpeechSeq2Seq", "speech"),
    ("Whisper", "speech"),
    ("ForMaskedLM", "masked language model"),
    ("T5", "seq2seq"),
    ("Bart", "seq2seq"),
    ("Marian", "seq2seq"),
    ("Pegasus", "seq2seq"),
    ("ForCausalLM", "language model"),
    ("LMHeadModel", "language model"),
)
"""Model classes, the telling part of their names, and what they are trained for."""
_TRAININGS = {
    "preference": ("dpo", "kto", "orpo", "simpo", "cpo", "bco", "tpo", "onlinedpo", "nashmd", "xpo"),
    "reinforcement": ("grpo", "ppo", "rloo", "asyncgrpo"),
    "reward model": ("reward", "prm", "rm"),
    "SFT": ("sft",),
}
"""Kinds of training by what LLaMA-Factory, ms-swift and TRL's classes of arguments call them."""
_ADAPTERS = {
    "SEQ_CLS": "classification",
    "TOKEN_CLS": "token classification",
    "QUESTION_ANS": "question answering",
    "SEQ_2_SEQ_LM": "seq2seq",
    "CAUSAL_LM": "language model",
}
LANGUAGE_MODELS = ("language model", "SFT", "pretraining")
OF_PAIRS = ("preference", "reward model")
"""Tasks whose loss says how surely the better of two answers is told from the worse."""
AUDITED = (*LANGUAGE_MODELS, "preference", "reinforcement", "unknown")
"""Tasks that train what overmem can audit, or may."""
_FEWEST_ROWS = 3
_MEASURED = 0.8
"""Of the least loss: means over batches of different sizes may lie below it."""


@dataclass(frozen=True, kw_only=True)
class Task:
    """What was trained."""

    name: str
    """`SFT`, `pretraining`, `language model`, `masked language model`, `preference`, `reinforcement`,
    `reward model`, `classification`, `token classification`, `question answering`, `seq2seq`, `speech`,
    `regression` or `unknown`."""
    by: str
    """What tells that."""
    not_cross_entropy: str | None
    """Why the evaluation loss is no language model's cross entropy a token, or is not known to be."""

    @property
    def cross_entropy(self) -> bool:
        """Whether exp of the evaluation loss is a perplexity."""
        return self.not_cross_entropy is None


def find_task(rows: Iterable[Mapping[str, Any]], settings: Mapping[str, Any]) -> Task:
    """Say what a log is of.

    Args:
        rows: of the log.
        settings: of the training, flat; see `overmem.logs.configuration`.
    """
    rows = tuple(rows)
    names = {_SETS.sub("", key): key for key in sorted({key for row in rows for key in row})}
    by_key, by_head = _by_keys(names), _by_head(settings)
    unknown = ("unknown", "nothing in the log or beside it says what was trained")
    name, by = _by_arguments(settings) or by_key or by_head or unknown
    if by_head is not None and name in ("classification", "language model") and by_head[0] != name:
        name, by = by_head  # a head is surer than the names of metrics that several tasks share
    if name == "language model" and (more := _kind_of_language_model(names, settings)) is not None:
        name, by = more
    return Task(name=name, by=by, not_cross_entropy=_why_not(name, settings) or _too_low(name, rows))


def _by_keys(names: Mapping[str, str]) -> tuple[str, str] | None:
    """The task that the names of metrics tell, and the key that does."""
    bases = {base_name(name): key for name, key in names.items()}
    ends = {base.rsplit("/", 1)[-1]: key for base, key in bases.items()}
    tests = (
        ("preference", _has(bases, _PREFERENCE, ends_with=True)),
        ("reward model", _has(bases, _REWARD_MODEL)),
        ("reinforcement", _has(bases, _REINFORCEMENT)),
        ("speech", _has(ends, _SPEECH)),
        ("token classification", _has(ends, _TOKENS)),
        ("seq2seq", next((key for base, key in bases.items() if _TEXT.search(base)), None)),
        ("language model", _has(ends, (*TOKEN_ACCURACY, *_LANGUAGE, "num_tokens"))),
        ("question answering", bases.get("exact_match") if "f1" in bases else None),
        ("classification", _has(ends, _CLASSES)),
        ("regression", _has(ends, _REGRESSION)),
    )
    return next(((name, f"`{key}` in the log") for name, key in tests if key is not None), None)


def _has(found: Mapping[str, str], wanted: Iterable[str], *, ends_with: bool = False) -> str | None:
    for name in wanted:
        for base, key in found.items():
            if base == name or (ends_with and base.endswith(f"_{name}")):
                return key
    return None


def _by_arguments(settings: Mapping[str, Any]) -> tuple[str, str] | None:
    """The task that the arguments of the trainer tell, which is sure."""
    named = settings.get("rlhf_type") or settings.get("stage") or settings.get(CLASS) or ""
    kind = str(named).lower().removesuffix("config")
    said = (task for task, kinds in _TRAININGS.items() if kind in kinds)
    return next(((task, f"the training arguments say {named!s:.60}") for task in said), None)


def _by_head(settings: Mapping[str, Any]) -> tuple[str, str] | None:
    """The task that the configuration of the adapter or the model tells."""
    adapter = _ADAPTERS.get(str(settings.get("task_type")))
    if adapter is not None:
        return adapter, f"adapter_config.json says {settings['task_type']}"
    found = settings.get("architectures")
    for model in found if isinstance(found, list) else ():
        for part, name in _HEADS:
            if part in str(model):
                return name, f"config.json says {model!s:.60}"
    return None


def _kind_of_language_model(names: Mapping[str, str], settings: Mapping[str, Any]) -> tuple[str, str] | None:
    if settings.get("stage") == "pt":
        return "pretraining", "the training arguments say pt"
    key = next((names[name] for name in ("mean_token_accuracy", "num_tokens") if name in names), None)
    return None if key is None else ("SFT", f"`{key}` in the log, as TRL's SFTTrainer writes it")


def _why_not(name: str, settings: Mapping[str, Any]) -> str | None:
    if name == "unknown":
        return "nothing says that eval_loss is a language model's cross entropy"
    if name not in LANGUAGE_MODELS:
        return f"the eval_loss of {_ARTICLES.get(name, name)} is not a language model's cross entropy a token"
    smoothing = settings.get("label_smoothing_factor")
    if isinstance(smoothing, int | float) and smoothing > 0:
        return f"eval_loss has label smoothing in it ({smoothing:g})"
    loss = settings.get("loss_type")
    if isinstance(loss, str) and loss.lower() not in (
        "nll",
        "cross_entropy",
        "sft",
        "forcausallm",
        "chunked_nll",
    ):
        return f"eval_loss is the training objective, which is {loss:.40}"
    return None


def _too_low(name: str, rows: Sequence[Mapping[str, Any]]) -> str | None:
    """Why the loss is no cross entropy, as the token accuracy beside it tells.

    A token that is not the first choice has a probability of at most one half, so cross entropy is at least
    (1 - accuracy) ln 2. Losses that are weighted by probability, such as DFT, lie below.
    """
    if name not in LANGUAGE_MODELS:
        return None
    for loss, accuracy in (("eval_loss", "eval_mean_token_accuracy"), ("loss", "mean_token_accuracy")):
        pairs = [
            (logged_number(row[loss]), logged_number(row[accuracy]))
            for row in rows
            if loss in row and accuracy in row
        ]
        known = [
            (one, (1 - share) * math.log(2)) for one, share in pairs if one is not None and share is not None
        ]
        if len(known) >= _FEWEST_ROWS and all(one < _MEASURED * least for one, least in known):
            one, least = known[-1]
            return (
                f"`{loss}` is {one:.3g} where cross entropy is at least {least:.2g} by `{accuracy}`: another "
                "objective, such as DFT"
            )
    return None


_ARTICLES = {
    "preference": "a preference training",
    "reinforcement": "a reinforcement learning run",
    "reward model": "a reward model",
    "classification": "a classifier",
    "token classification": "a token classifier",
    "question answering": "an extractive question answering model",
    "masked language model": "a masked language model",
    "regression": "a regression",
    "speech": "a speech model",
    "seq2seq": "an encoder-decoder model",
}
