"""What an audit measures and how: one model, from which the command line and the Python signature are made.

The options as asked for are resolved for a run (`overmem.auditing.resolve`), and saved, resolved, in the
manifest. `overmem.auditing.flags` writes and reads them as options of the command line.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import BeforeValidator, ConfigDict, Field, ValidationError

from overmem.artifacts.manifest import Manifest
from overmem.axes import CORE, choose_axes
from overmem.errors import ArtifactError, RunError
from overmem.keywords import refuse_unknown
from overmem.models.quantization import Quantize
from overmem.rendering.template import Template
from overmem.rule import DEFAULT_RULE, Rule
from overmem.strict_model import Strict, wrong_fields

F = TypeVar("F", bound=Callable[..., Any])
Half = Literal["search", "confirm"]
DeviceMap = Literal["auto"]


def _names(written: Any) -> Any:
    """Axis names joined by commas, or one by one."""
    return tuple(filter(None, written.split(","))) if isinstance(written, str) else written


Source = Annotated[
    str, BeforeValidator(lambda written: str(written) if isinstance(written, Path) else written)
]
"""A data source; a path is one."""


class AuditOptions(Strict):
    """What to measure and how; saved, resolved, in the manifest.

    The first sentence under each field is its help on the command line.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True, use_attribute_docstrings=True)

    val: Source = ""
    """Problems that decide; the run's recipe by default. A source as in `overmem.tasks.sources`."""
    columns: str | None = None
    """prompt=COLUMN,answer=COLUMN,...: which columns of val and train ask and answer. Also completion,
    system, context and options; a text with columns in braces, such as "{question}\n{hint}", joins some."""
    group: str | None = None
    """COLUMN of val that is equal in problems that stand for one another: errors are those of the groups. By
    default the same prompts are one group, and the wordings of one template that training does not have."""
    groups: dict[str, str] | None = None
    """Label of each val problem's group by its id, where another audit has settled them."""
    train: Source | None = None
    """Training data, to measure memorization on. A subset as large as val is measured."""
    all_train: bool = False
    """Measure every row of train, to tell which are memorized. See `overmem data memorized`."""
    canaries: Source | None = None
    """Folder of canaries that were put into the training data; the run's own by default."""
    ood: dict[str, Source] = Field(default_factory=dict)
    """NAME=SOURCE: problems of another distribution; repeatable."""
    references: dict[str, Source] = Field(default_factory=dict)
    """NAME=SOURCE: references in another style than the training data's; repeatable. Scored, never asked."""
    retention: dict[str, Source] = Field(default_factory=dict)
    """NAME=SOURCE: skills beside the task that the fine-tune should keep; repeatable. They come on top of
    prompts made by rule, and are compared with the base model's; a task of lm-eval is a source too."""
    variants: dict[str, Source | None] | None = None
    """Perturbation of val: a built-in NAME, or NAME=FILE; all built-ins by default."""
    axes: Annotated[tuple[str, ...], BeforeValidator(_names)] = CORE
    """all, or some of likelihood,accuracy,calibration,...; repeatable; the first two by default."""
    checkpoints: str = "key"
    """Where axes beyond the first two are measured: key, all, or names. `key` checkpoints are those that a
    verdict compares (lowest perplexity, recommended, last); names are joined by commas."""
    checkpoints_glob: str | None = None
    """Pattern of the folders that are checkpoints, in place of those found by name. Relative to RUN, such as
    `'my-*/actor'`; the step is the number in the name."""
    limit: int | None = None
    """Most problems of each set, drawn by --seed; AXIS=N for one axis; repeatable. A larger limit keeps the
    problems of a smaller one."""
    limits: dict[str, int] = Field(default_factory=dict)
    """The same for single axes."""
    samples: int = 8
    """Answers to each problem, for the axes that sample."""
    temperature: float = 0.8
    """Of those answers."""
    budget_minutes: float | None = None
    """Minutes to share out; what does not fit is measured less."""
    until_decided: bool = False
    """Stop answering once the rest would not change the verdict. See `overmem.auditing.until_decided`."""
    seed: int = 0
    """Seed of everything random."""
    half: Half | None = None
    """Only one random half of val and its perturbations. What is chosen on one is proved on the other."""
    grader: str | None = None
    """math, exact, choice, mixed, code, regex:..., python:FILE.py:function, none. Instead of val's own."""
    template: Template = Template()
    """How examples become text; the run's recipe by default."""
    max_new_tokens: int | None = None
    """Longest answer. Twice the longest reference completion of a set by default, at least 64."""
    base_model: str | None = None
    """The model the fine-tune started from, if the run does not say. It is under the adapters, and shown as
    step 0."""
    base_row: bool = True
    """Measure the base model as step 0, where it is known. It is scored and asked on val and the OOD sets."""
    strict_overlap: bool = False
    """Leave renumbered problems out of the verdict, too. Copies and rewordings always are."""
    allow_overlap: bool = False
    """Give a verdict however many val problems training had. Without, it is refused above a fifth."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1, mps."""
    device_map: DeviceMap | None = None
    """auto: share one model out over all devices, then the CPU's memory and the disk. For models that one
    device does not hold (docs/devices.md)."""
    dtype: str = "auto"
    """auto, float32, bfloat16, float16."""
    quantize: Quantize | None = None
    """4bit, 8bit or none: measure in another precision than the weights' file. `4bit` and `8bit` quantize
    with bitsandbytes while loading, the base model under adapters; `none` makes quantized weights floats."""
    batch_tokens: int | None = None
    """Most tokens of a batch; what fits the memory by default. Padding counts; 8,192 are scored at once."""
    engine: str = "hf"
    """Who writes the answers: hf, vllm, or a server, openai:http://HOST:PORT."""
    engine_scores: bool = False
    """The engine scores the references, too. For models that only vLLM holds (docs/engines.md)."""
    engine_model: str | None = None
    """What the server calls a checkpoint, with {name}, {path} or {step}. Its path or its name by default."""
    engine_on_demand: bool = False
    """The server loads any model it is asked for. It need not be listed."""
    engine_concurrency: int = 16
    """Most requests at once."""
    engine_timeout_seconds: float = 600.0
    """Seconds that one request may take."""
    allow_pickle: bool = False
    """Load .bin weights, which can run code."""
    trust_remote_code: bool = False
    """Run model code that the checkpoint or its base model brings along."""
    allow_code_execution: bool = False
    """Let the grader code run answers, in a sandbox (docs/code.md)."""
    rule: Rule = DEFAULT_RULE
    """Thresholds of the verdict to come: which checkpoints are key, and what --until-decided waits for."""

    def limit_of(self, axis: str) -> int | None:
        """Most problems for one axis."""
        return self.limits.get(axis, self.limit)

    def replace(self, **changes: Any) -> Self:
        """The same options with some changed, unchecked."""
        return self.model_copy(update=changes)

    def to_dict(self) -> dict[str, Any]:
        """The manifest's `config`; the rule is named where it is not the default."""
        saved = {name: value for name, value in self.__dict__.items() if name not in ("template", "rule")}
        saved["axes"] = list(self.axes)
        rule = {} if self.rule == DEFAULT_RULE else {"rule": self.rule.to_dict()}
        return {**saved, "template": dict(self.template.__dict__), **rule}


def make_options(given: Mapping[str, Any]) -> AuditOptions:
    """Options from keyword arguments; None stands for the default.

    Raises:
        UnknownOptionError: an option that does not exist.
        RunError: a value of the wrong kind.
    """
    said = {name: value for name, value in given.items() if value is not None}
    refuse_unknown(said, AuditOptions.model_fields, "an audit")
    try:
        return AuditOptions.model_validate(said)
    except ValidationError as error:
        raise RunError("an option of the audit has a wrong value", got=wrong_fields(error)) from None


def check_alone(device_map: DeviceMap | None, others: str) -> None:
    """Refuse to share one model out over the devices that others are to work on at the same time.

    Args:
        device_map: of the audit.
        others: how they were asked for.

    Raises:
        RunError: it is shared out.
    """
    if device_map is not None:
        raise RunError(
            "a model that is shared out over all devices leaves none to other workers",
            got=f"--device-map {device_map} with {others}",
            expected="one of the two",
            next_step=f"leave out {others}, or --device-map if one device holds the model",
        )


def takes_audit_options(function: F) -> F:
    """Show the options of an audit in the signature and docstring of a function that takes `**options`."""
    signature = inspect.signature(function)
    own = [p for p in signature.parameters.values() if p.kind is not inspect.Parameter.VAR_KEYWORD]
    fields = [
        inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=field.get_default(call_default_factory=True),
            annotation=AuditOptions.__annotations__[name],
        )
        for name, field in AuditOptions.model_fields.items()
    ]
    function.__signature__ = signature.replace(parameters=[*own, *fields])  # type: ignore[attr-defined]
    lines = [
        f"        {name}: {' '.join((field.description or '').split())}"
        for name, field in AuditOptions.model_fields.items()
    ]
    marker = "        **options: see `AuditOptions`."
    function.__doc__ = (function.__doc__ or "").replace(marker, "\n".join(lines))
    return function


CONSENT = ("trust_remote_code", "allow_pickle", "allow_code_execution")
"""Options that give leave to run code. They are recorded, and never read back from a folder."""


def saved_options(manifest: Manifest) -> AuditOptions:
    """The options that a manifest describes, with the axes and data of all its sittings; to be shown.

    They give no leave to run code, but may name some, such as a grader. Whoever measures by them takes them
    from `overmem.auditing.consent.options_to_go_on`.

    Args:
        manifest: of a finished audit.

    Raises:
        ArtifactError: options of the wrong kind.
    """
    saved = {name: value for name, value in manifest.config.items() if name in AuditOptions.model_fields}
    splits = manifest.splits.values()
    own = {
        split.variant: split.source
        for split in splits
        if split.variant != "clean" and split.source != saved.get("val")
    }
    variants = saved.get("variants")
    if own:
        built_in = [split.variant for split in splits if split.variant not in ("clean", *own)]
        variants = {**dict.fromkeys(variants or built_in), **own}
    found = {
        "template": Template(**saved.get("template", {})),
        "axes": choose_axes(manifest.axes),
        "train": next((split.source for split in splits if split.set == "train"), None),
        "ood": manifest.named_sources("ood/"),
        "references": manifest.named_sources("references/"),
        "retention": manifest.named_sources("retention/"),
        "variants": variants,
        **dict.fromkeys(CONSENT, False),
        "rule": Rule(**saved.get("rule", {})),
    }
    try:
        return AuditOptions(**saved | found)
    except ValidationError as error:
        raise ArtifactError(
            "the manifest holds options that an audit cannot have",
            got=wrong_fields(error),
            next_step="run `overmem audit` again; it measures only what is missing",
        ) from None
