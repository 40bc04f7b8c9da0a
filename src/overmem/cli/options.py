"""Options that commands share, and how those with a name are read: `--ood svamp=FILE`, `--limit ood=100`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from overmem.errors import RunError

if TYPE_CHECKING:
    from overmem.auditing.options import AuditConfig
    from overmem.auditing.planning.cost import Peaks
    from overmem.records import Run

RunArg = Annotated[Path, typer.Argument(metavar="RUN", help="Run folder with checkpoint-<step>/ folders.")]
Out = Annotated[Path | None, typer.Option(help="Artifact folder; RUN/overmem by default.")]
Val = Annotated[str | None, typer.Option(help="Problems that decide; the run's recipe by default.")]
Train = Annotated[str | None, typer.Option(help="Training data, to measure memorization on.")]
Axes = Annotated[
    list[str] | None,
    typer.Option(
        help="all, or some of likelihood,accuracy,calibration,...; repeatable; the first two by default."
    ),
]
Ood = Annotated[
    list[str] | None, typer.Option(help="NAME=SOURCE: problems of another distribution; repeatable.")
]
References = Annotated[
    list[str] | None,
    typer.Option(help="NAME=SOURCE: references by another hand than the training data's; repeatable."),
]
Variants = Annotated[
    list[str] | None,
    typer.Option(help="Perturbation of val: a built-in NAME, or NAME=FILE; all built-ins by default."),
]
Checkpoints = Annotated[
    str, typer.Option(help="Where axes beyond the first two are measured: key, all, or names.")
]
Limit = Annotated[
    list[str] | None,
    typer.Option(help="Most problems of each set, drawn by --seed; AXIS=N for one axis; repeatable."),
]
Samples = Annotated[int, typer.Option(help="Answers to each problem, for the axes that sample.")]
Temperature = Annotated[float, typer.Option(help="Of those answers.")]
Budget = Annotated[
    float | None, typer.Option(help="Minutes to share out; what does not fit is measured less.")
]
Grader = Annotated[str | None, typer.Option(help="math, exact, choice, code, regex:..., python:m:f, none.")]
MaxNewTokens = Annotated[int | None, typer.Option(help="Longest answer.")]
BaseModel = Annotated[
    str | None, typer.Option(help="The model the fine-tune started from, if the run does not say.")
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps.")]
Seed = Annotated[int, typer.Option(min=0, help="Seed of everything random.")]
Plan = Annotated[bool, typer.Option("--plan", help="Show the plan and its times; stop.")]
AccuracyMargin = Annotated[float, typer.Option(help="Accuracy below the peak still comparable.")]
PerplexityRatio = Annotated[float, typer.Option(help="Perplexity over the lowest that is inflated.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
UntilDecided = Annotated[
    bool, typer.Option("--until-decided", help="Stop answering once the rest would not change the verdict.")
]
Dtype = Annotated[str, typer.Option(help="auto, float32, bfloat16, float16.")]
BatchTokens = Annotated[
    int | None, typer.Option(help="Most tokens of a batch; what fits the memory by default.")
]
Engine = Annotated[
    str, typer.Option(help="Who writes the answers: hf, vllm, or a server, openai:http://HOST:PORT.")
]
EngineModel = Annotated[
    str | None, typer.Option(help="What the server calls a checkpoint, with {name}, {path} or {step}.")
]
EngineOnDemand = Annotated[
    bool, typer.Option("--engine-on-demand", help="The server loads any model it is asked for.")
]
EngineConcurrency = Annotated[int, typer.Option(help="Most requests at once.")]
EngineTimeout = Annotated[float, typer.Option(help="Seconds that one request may take.")]
TemplateKind = Annotated[str | None, typer.Option(help="chat, plain or auto; the recipe's by default.")]
PromptFormat = Annotated[str | None, typer.Option(help="Text around the question, with {prompt}.")]
CompletionFormat = Annotated[str | None, typer.Option(help="Around the reference, with {completion}.")]
System = Annotated[str | None, typer.Option(help="A system message to put first (chat).")]
Eos = Annotated[
    bool | None, typer.Option("--eos/--no-eos", help="Plain references end with the end-of-text token.")
]
AllowPickle = Annotated[bool, typer.Option(help="Load .bin weights, which can run code.")]
TrustRemoteCode = Annotated[bool, typer.Option(help="Run model code from the hub.")]
AllowCodeExecution = Annotated[
    bool,
    typer.Option(
        "--allow-code-execution", help="Let the grader code run answers, in a sandbox (docs/code.md)."
    ),
]


def audit_config(run: Run, given: Mapping[str, Any]) -> AuditConfig:
    """The configuration of an audit from the options above, by their names.

    Raises:
        RunError: an option that cannot be read, or no validation data.
    """
    from overmem.auditing.options import resolve_config, resolve_template
    from overmem.axes import CORE

    overall, limits = parse_limits(given["limit"] or [])
    same = (
        "val train checkpoints samples temperature until_decided grader max_new_tokens base_model seed "
        "device dtype batch_tokens engine engine_model engine_on_demand engine_concurrency allow_pickle "
        "trust_remote_code allow_code_execution"
    )
    return resolve_config(
        run,
        **{name: given[name] for name in same.split()},
        axes=",".join(given["axes"] or CORE),
        ood=parse_named(given["ood"] or [], "an OOD set", "svamp=svamp.json"),
        references=parse_named(given["references"] or [], "a set of references", "human=gsm8k:test.jsonl"),
        variants=parse_variants(given["variant"] or []),
        limit=overall,
        limits=limits,
        budget_minutes=given["budget"],
        engine_timeout_seconds=given["engine_timeout"],
        template=resolve_template(
            run,
            {"kind": given["template"]}
            | {name: given[name] for name in ("prompt_format", "completion_format", "system", "eos")},
        ),
    )


def parse_peaks(tflops: float | None, gbps: float | None) -> Peaks | None:
    """What a device can do at most, in plain units; None when nothing is said of one.

    Raises:
        RunError: one of the two is missing, or not above 0.
    """
    if tflops is None and gbps is None:
        return None
    if tflops is None or gbps is None or min(tflops, gbps) <= 0:
        raise RunError(
            "a device is told by both its peaks",
            got=f"--device-tflops {tflops}, --device-gbps {gbps}",
            expected="numbers above 0 from its data sheet, in the dtype of the audit",
        )
    from overmem.auditing.planning.cost import Peaks

    return Peaks(flops=tflops * 1e12, bandwidth=gbps * 1e9)


def parse_named(given: Sequence[str], what: str, such_as: str) -> dict[str, str]:
    """`NAME=SOURCE` pairs.

    Args:
        given: as written.
        what: what is named, for errors.
        such_as: an example.

    Raises:
        RunError: a pair without a name, or a name given twice.
    """
    found: dict[str, str] = {}
    for text in given:
        name, mark, source = text.partition("=")
        if not mark or not name or not source:
            raise RunError(f"{what} needs a name", got=text, expected=f"NAME=SOURCE, as in {such_as}")
        if name in found:
            raise RunError(f"{what} is named twice", got=name)
        found[name] = source
    return found


def parse_variants(given: Sequence[str]) -> dict[str, str | None] | None:
    """`NAME` for a built-in perturbation, `NAME=FILE` for one's own; None when none is given.

    Raises:
        RunError: a name without a file that is not built in.
    """
    from overmem.perturbations import VARIANTS

    found: dict[str, str | None] = {}
    for text in given:
        name, mark, source = text.partition("=")
        if not mark and name not in VARIANTS:
            raise RunError(
                "unknown perturbation", got=name, expected=f"{', '.join(VARIANTS)}, or NAME=FILE for your own"
            )
        if name == "clean" or not name:
            raise RunError("a perturbation needs another name", got=text)
        found[name] = source if mark else None
    return found or None


def parse_weights(given: str | None) -> list[float] | None:
    """`0.2,0.3,0.5` as numbers.

    Raises:
        RunError: something that is not a number.
    """
    if given is None:
        return None
    try:
        return [float(part) for part in given.split(",")]
    except ValueError:
        raise RunError("weights are numbers", got=given, expected="0.2,0.3,0.5") from None


def parse_limits(given: Sequence[str]) -> tuple[int | None, dict[str, int]]:
    """`N` for every set, `AXIS=N` for one axis.

    Raises:
        RunError: something that is not a whole number.
    """
    overall, limits = None, {}
    for text in given:
        axis, mark, number = text.rpartition("=")
        try:
            value = int(number)
        except ValueError:
            raise RunError("a limit is a whole number", got=text, expected="N or AXIS=N") from None
        if mark:
            limits[axis] = value
        else:
            overall = value
    return overall, limits
