"""Which class of transformers a folder's weights are loaded with: the one that they fit, if it writes text.

Multimodal families keep their weights under other names than the language model inside them alone, and
folders of both forms are about. So nothing is concluded from a family's name: the classes that its
configuration allows are tried without weights (on the `meta` device, from the headers of the files), and the
first one that lacks no tensor is taken. Text alone is asked of each of them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

import transformers
from transformers import AutoModelForCausalLM, AutoModelForImageTextToText, AutoModelForMultimodalLM
from transformers.models.auto import modeling_auto

from overmem.errors import CheckpointError, OvermemError

WRITING: tuple[Any, ...] = (AutoModelForCausalLM, AutoModelForImageTextToText, AutoModelForMultimodalLM)
"""The automatic classes of models that go on with a text."""
_WRITES = ("CAUSAL_LM", "IMAGE_TEXT_TO_TEXT", "MULTIMODAL_LM")
_TASKS = {
    "SEQUENCE_CLASSIFICATION": "it puts texts into classes, or rewards them",
    "TOKEN_CLASSIFICATION": "it puts tokens into classes, or rewards them",
    "QUESTION_ANSWERING": "it finds answers in a text",
    "MULTIPLE_CHOICE": "it chooses between texts",
    "MASKED_LM": "it fills gaps, and sees what comes after them",
    "SEQ_TO_SEQ_CAUSAL_LM": "it has an encoder, which reads the prompt apart",
    "": "it has no head that predicts tokens",
}
"""What other classes of transformers do, by their mappings."""
_OTHER_HEAD = re.compile(
    r"(^|\.)(score|classifier|classification_head|reward_head|regression_head|value_head|rm_head|qa_outputs)"
    r"(\.|$)"
)
"""Of tensors that a language model does not have, those of a head in place of its own."""
_OTHER_NAME = re.compile(r"(Sequence|Token)Classif|QuestionAnswering|MultipleChoice|Reward", re.IGNORECASE)
ADAPTED_TASKS = {
    "SEQ_CLS": _TASKS["SEQUENCE_CLASSIFICATION"],
    "TOKEN_CLS": _TASKS["TOKEN_CLASSIFICATION"],
    "QUESTION_ANS": _TASKS["QUESTION_ANSWERING"],
    "SEQ_2_SEQ_LM": _TASKS["SEQ_TO_SEQ_CAUSAL_LM"],
    "FEATURE_EXTRACTION": _TASKS[""],
}
"""`task_type` of adapters over models that are no language models."""


def check_writes(config: Any, name: str) -> None:
    """Refuse a model that does not go on with a text.

    Args:
        config: its configuration.
        name: of its folder, for errors.

    Raises:
        CheckpointError: says what it does instead.
    """
    for architecture in getattr(config, "architectures", None) or ():
        why = _other_task(str(architecture))
        if why:
            raise no_language_model(name, str(architecture), why)


def check_head(unexpected: Iterable[str], name: str) -> None:
    """Refuse weights with a head for something else in place of a language model's, which may be tied.

    Args:
        unexpected: names of tensors that the language model does not have.
        name: of the folder, for errors.

    Raises:
        CheckpointError: names the tensor.
    """
    heads = sorted(key for key in unexpected if _OTHER_HEAD.search(key))
    if heads:
        raise no_language_model(name, heads[0], "its head scores or classifies texts")


def no_language_model(name: str, got: str, why: str) -> CheckpointError:
    """The refusal of a model that does something else."""
    return CheckpointError(
        f"{name} is no language model: {why}",
        got=got,
        expected="a model that goes on with a text, such as LlamaForCausalLM",
        next_step="audit the language model that was trained, not one that scores texts beside it",
    )


def candidates(config: Any) -> list[Any]:
    """The classes that a model can be loaded with, the one of its `architectures` first.

    Args:
        config: its configuration; `auto_map` counts, for code of its own.

    Returns:
        Automatic classes, or a class that no automatic one knows, such as `MllamaForCausalLM`.
    """
    own = getattr(config, "auto_map", None) or {}
    found: dict[str, Any] = {}
    for auto in WRITING:
        if type(config) in auto._model_mapping:
            found.setdefault(_class_name(auto, config), auto)
        elif auto.__name__ in own:
            found.setdefault(str(own[auto.__name__]).rpartition(".")[2], auto)
    named = getattr(config, "architectures", None) or ()
    for name in named:
        cls = getattr(transformers, name, None) if any(name in _classes(task) for task in _WRITES) else None
        if cls is not None and cls.config_class is type(config):
            found.setdefault(name, cls)
    return [found[name] for name in sorted(found, key=lambda name: name not in named)]


def first_that_fits(autos: list[Any], fits: Callable[[Any], bool]) -> Any:
    """The first class for which `fits` holds; the first of all where none does, so that its error is seen.

    Args:
        autos: at least one.
        fits: tries one; whatever it raises means no.
    """
    if len(autos) > 1:
        for auto in autos:
            try:
                if fits(auto):
                    return auto
            except OvermemError:
                raise
            except Exception:
                continue
    return autos[0]


def _class_name(auto: Any, config: Any) -> str:
    found = auto._model_mapping[type(config)]
    return str((found[0] if isinstance(found, list | tuple) else found).__name__)


def _other_task(architecture: str) -> str | None:
    """What a class does that does not go on with a text; None where it does, or is not known."""
    if any(architecture in _classes(task) for task in _WRITES):
        return None
    for task, why in _TASKS.items():
        if architecture in _classes(task):
            return why
    return _TASKS["SEQUENCE_CLASSIFICATION"] if _OTHER_NAME.search(architecture) else None


def _classes(task: str) -> set[str]:
    """Names of the classes of a task; of headless models where it is empty."""
    mapping = getattr(modeling_auto, f"MODEL_FOR_{task}_MAPPING_NAMES" if task else "MODEL_MAPPING_NAMES")
    return {
        name for names in mapping.values() for name in ([names] if isinstance(names, str) else list(names))
    }
