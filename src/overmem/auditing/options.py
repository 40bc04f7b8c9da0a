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

from overmem.artifacts.jobs import OOD, REFERENCES, RETENTION
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


def _joined(written: Any) -> Any:
    """Names one by one, as in Python, joined by commas; a text is as it is."""
    return ",".join(map(str, written)) if isinstance(written, list | tuple) else written


Source = Annotated[
    str, BeforeValidator(lambda written: str(written) if isinstance(written, Path) else written)
]
"""A data source; a path is one."""


class AuditOptions(Strict):
    """What to measure and how. The manifest saves it as it was resolved.

    The first sentence under each field is its help on the command line.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True, use_attribute_docstrings=True)

    val: Source = ""
    """Validation problems, which were not trained on; by default those of the run's recipe. A source as in
    `overmem.tasks.sources`."""
    columns: str | None = None
    """Which columns of val and train are what, as prompt=COLUMN,answer=COLUMN. Also completion, system,
    context and options. A text with columns in braces, such as "{question}\\n{hint}", joins several."""
    group: str | None = None
    """Column of val that is equal for problems that belong together; errors are computed over these groups.
    By default equal prompts form a group, and so do the wordings of one template that training does not
    have. Training data and OOD sets are grouped by it where they have it."""
    groups: dict[str, str] | None = None
    """Group label of each val problem by its id, if another audit has already found the groups."""
    train: Source | None = None
    """Training data: to measure memorization, and to check val for leaks. A subset as large as val is
    measured."""
    all_train: bool = False
    """Measure every training row, to find which are memorized. See `overmem data memorized`."""
    canaries: Source | None = None
    """Folder of the canaries that were put into the training data; by default the run's own."""
    ood: dict[str, Source] = Field(default_factory=dict)
    """NAME=SOURCE: problems of another distribution; can be repeated."""
    references: dict[str, Source] = Field(default_factory=dict)
    """NAME=SOURCE: references in another writing style than training; can be repeated. No answers are
    written."""
    retention: dict[str, Source] = Field(default_factory=dict)
    """NAME=SOURCE: other skills that the fine-tune should keep; can be repeated. They are added to prompts
    made by rule, and are compared with the base model. A task of lm-eval can be a source too."""
    variants: dict[str, Source | None] | None = None
    """Rewording of val: a built-in NAME, or NAME=FILE; by default all built-in ones; can be repeated."""
    axes: Annotated[tuple[str, ...], BeforeValidator(_names)] = CORE
    """all, or names such as likelihood,accuracy,calibration; by default likelihood and accuracy."""
    checkpoints: Annotated[str, BeforeValidator(_joined)] = "key"
    """Where the other axes are measured: key, all, or checkpoint names joined by commas. Key checkpoints are
    those that a verdict compares: lowest perplexity, most accurate, recommended and last."""
    checkpoints_glob: str | None = None
    """Pattern of the checkpoint folders, such as 'my-*/actor', if they have other names than usual. Relative
    to RUN; the step is the number in the name."""
    limit: int | None = None
    """At most N problems of each set, chosen by --seed; AXIS=N limits one axis; can be repeated. A larger
    limit keeps the problems of a smaller one."""
    limits: dict[str, int] = Field(default_factory=dict)
    """At most so many problems of each set, by axis."""
    samples: int = 8
    """Sampled answers to each problem, for the axes that need them."""
    temperature: float = 0.8
    """Temperature of the sampled answers."""
    budget_minutes: float | None = None
    """Minutes for the whole plan; what does not fit is measured on fewer problems."""
    until_decided: bool = False
    """Stop early, when more problems would not change the verdict. See `overmem.auditing.until_decided`."""
    seed: int = 0
    """Seed of all random choices."""
    half: Half | None = None
    """Only one random half of val and its rewordings. What is chosen on one half is proved on the other."""
    grader: str | None = None
    """What grades the answers: math, exact, choice, mixed, code, regex:PATTERN, python:FILE.py:function or
    none; by default chosen from the answers of val."""
    template: Template = Template()
    """How examples become text; the run's recipe by default."""
    max_new_tokens: int | None = None
    """Longest answer, in tokens; by default twice the longest reference of a set, at least 64."""
    base_model: str | None = None
    """The model that the fine-tune started from, if the run does not name it. Adapters are loaded on it, and
    it is shown as step 0."""
    base_row: bool = True
    """Measure the base model too, as step 0, if it is known. On val and on the OOD sets."""
    strict_overlap: bool = False
    """Leave renumbered problems out of the verdict too. Copies and rewordings are always left out."""
    allow_overlap: bool = False
    """Give a verdict even if much of val is in the training data. Without it, above a fifth it is refused."""
    device: str = "auto"
    """Device: auto, cpu, cuda, cuda:1 or mps."""
    device_map: DeviceMap | None = None
    """auto: spread one model over all devices, then CPU memory and disk. For a model that is too large for
    one device (docs/devices.md)."""
    dtype: str = "auto"
    """Precision of the weights: auto, float32, bfloat16 or float16."""
    quantize: Quantize | None = None
    """Other precision than that of the weight files: 4bit, 8bit, or none for floats. `4bit` and `8bit`
    quantize with bitsandbytes while loading, under adapters the base model; `none` makes quantized weights
    floats."""
    batch_tokens: int | None = None
    """Most tokens in a batch; by default what fits into memory. Padding counts; 8,192 are scored at once."""
    engine: str = "hf"
    """What writes the answers: hf, vllm, or a server as openai:http://HOST:PORT."""
    engine_scores: bool = False
    """Let the engine score the references too. For models that only vLLM can hold (docs/engines.md)."""
    engine_model: str | None = None
    """Name of a checkpoint at the server, with {name}, {path} or {step}; by default its path or name."""
    engine_on_demand: bool = False
    """The server loads any model on request, also one that it does not list."""
    engine_concurrency: int = 16
    """Most requests to the server at the same time."""
    engine_timeout_seconds: float = 600.0
    """Most seconds for one request to the server."""
    allow_pickle: bool = False
    """Allow .bin weights, which can run code when they are loaded."""
    trust_remote_code: bool = False
    """Allow model code that comes with the checkpoint or its base model."""
    allow_code_execution: bool = False
    """Allow the grader `code` to run answers, in a sandbox (docs/code.md)."""
    rule: Rule = DEFAULT_RULE
    """Thresholds of the verdict. They decide which checkpoints are key, and when --until-decided stops."""

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
            "a model that is spread over all devices leaves no device for other workers",
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
"""Options that give permission to run code. They are recorded, and never read back from a folder."""


def saved_options(manifest: Manifest) -> AuditOptions:
    """The options that a manifest describes, with the axes and data of all its sittings; to be shown.

    They give no permission to run code, but may name some, such as a grader. Whoever measures by them takes
    them from `overmem.auditing.consent.options_to_go_on`.

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
        "ood": manifest.named_sources(OOD),
        "references": manifest.named_sources(REFERENCES),
        "retention": manifest.named_sources(RETENTION),
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
