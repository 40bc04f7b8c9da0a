"""How figures and paths are written, the same in the words, the report and the terminal.

An undefined figure is called undefined; a confidence never claims certainty.
"""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from overmem.records import Cost, Estimate

DASH, MINUS, TIMES = "\u2013", "\u2212", "\u00d7"  # as escapes: they look like -, - and x
FULL = " (95% interval {})"
"""Frame of an interval where nothing around it says that it is one."""

_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]+")
"""Characters that are obeyed instead of shown: control characters but for the line break and the tab, other
line separators, those that turn the direction of what follows, and halves of characters."""

# An estimate with its interval.

Form = str | Callable[[float], str]
"""How a number is written: a format such as `+.3f` or `.1%`, or a function."""


def number(value: float, digits: int = 2) -> str:
    """A plain number; fewer digits from 100 on, powers of ten from 100,000 on."""
    return f"{value:.3g}" if abs(value) >= 1e5 else f"{value:.{digits if abs(value) < 100 else 1}f}"


def nats(value: float) -> str:
    """An NLL."""
    return number(value, 3)


def signed(value: float, digits: int = 3) -> str:
    """A difference with a typeset sign."""
    return f"{value:+.{digits}f}".replace("-", MINUS)


def estimate_text(
    estimate: Estimate, form: Form = number, *, to: str = " to ", frame: str = " ({})", why: bool = False
) -> str:
    """A figure with its 95% interval: `1.49 (1.48 to 1.51)`; `undefined` when it is.

    Args:
        estimate: the figure.
        form: how its numbers are written; a percent sign stands after the value only.
        to: what stands between both ends.
        frame: what stands around them.
        why: also give the reason for a figure or an interval that is undefined.
    """
    value, interval = estimate_parts(estimate, form, to)
    if interval:
        return value + frame.format(interval)
    if not why or not estimate.reason:
        return value
    defined = math.isfinite(estimate.value)
    return f"{value} (no interval: {estimate.reason})" if defined else f"{value}: {estimate.reason}"


def estimate_parts(estimate: Estimate, form: Form = number, to: str = " to ") -> tuple[str, str]:
    """A figure and its interval by themselves; the latter is empty when it is undefined."""
    write = form if callable(form) else lambda value: format(value, form)
    if not math.isfinite(estimate.value):
        return "undefined", ""
    ends = [write(end).rstrip("%") for end in (estimate.low, estimate.high) if math.isfinite(end)]
    return write(estimate.value), to.join(ends) if len(ends) == 2 else ""


def accuracy_text(estimate: Estimate, to: str = " to ") -> str:
    """An accuracy in percent with its 95% interval."""
    return estimate_text(estimate, ".1%", to=to)


def difference_text(cost: Cost) -> str:
    """A difference with its interval in little room: `-0.120 [-0.200,-0.050]`."""
    return estimate_text(cost.difference, "+.3f", to=",", frame=" [{}]")


def cost_figure(cost: Cost) -> str:
    """A measure's difference in words: `accuracy +5.0 points, 0.0 to 10.0`."""
    if cost.measure == "accuracy" or cost.measure.startswith("accuracy_"):
        found = cost.difference
        points = Estimate(100 * found.value, 100 * found.low, 100 * found.high, found.n, found.reason)
        value, interval = estimate_parts(points, "+.1f")
        return f"{spaced(cost.measure)} {value} points{f', {interval}' if interval else ''}"
    return f"{spaced(cost.measure)} {estimate_text(cost.difference, '+.3f', frame=', {}')}"


# Numbers by themselves.


def percent(share: float, digits: int = 1) -> str:
    """A share in [0, 1] as a percentage."""
    return f"{100 * share:.{digits}f}%"


def confidence_text(confidence: float | None) -> str:
    """A confidence as a whole percentage that never claims certainty; `none` when there is none."""
    if confidence is None or not math.isfinite(confidence):
        return "none"
    if confidence > 0.99:
        return "over 99%"
    return "under 1%" if confidence < 0.01 else percent(confidence, 0)


def short_number(value: float) -> str:
    """A figure of any measure in three to four digits; a dash when it is undefined."""
    return "-" if not math.isfinite(value) else f"{value:.1f}" if abs(value) >= 10 else f"{value:.3f}"


def time_text(seconds: float) -> str:
    """Seconds as a person says them."""
    if not math.isfinite(seconds):
        return "-"
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"


def count_text(value: float) -> str:
    """A count of tokens in at most three digits."""
    for unit, name in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= unit:
            return f"{value / unit:.3g} {name}"
    return f"{value:.0f}"


def epoch_number(value: float) -> str:
    """How many epochs, in three digits and without an exponent."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def epochs_text(value: float) -> str:
    """A number of epochs with its unit."""
    number = epoch_number(value)
    return f"{number} epoch{'' if number == '1' else 's'}"


def bytes_text(value: float) -> str:
    """Bytes as a person says them."""
    return f"{value / 1e9:.1f} GB" if value >= 1e9 else f"{value / 1e6:.0f} MB"


def points_text(share: float) -> str:
    """A difference of shares in percentage points."""
    points = f"{100 * share:.3g}"
    return f"{points} point" if points == "1" else f"{points} points"


# Words.


def stage_text(stage: str, leaning: str | None) -> str:
    """A stage, and which one it leans to where it is undetermined."""
    return stage if leaning is None else f"{stage}, leans {leaning}"


def certainty_text(leaning: str | None, confidence: float | None) -> str:
    """How sure a stage is: `over 99% confidence`, or `leans fit, 63% confidence` where it is undetermined."""
    sure = f"{confidence_text(confidence)} confidence"
    if leaning is None:
        return sure
    return f"leans {leaning}" if sure.startswith("none") else f"leans {leaning}, {sure}"


def joined(names: Sequence[str]) -> str:
    """Names as a person lists them: `loss`, `loss and zlib`, `loss, zlib and base`."""
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))


def spaced(key: object) -> str:
    """A key as words."""
    return str(key).replace("_", " ")


def visible(text: str) -> str:
    r"""Write out the characters that are obeyed instead of shown, such as `\x1b` and `\u202e`.

    On a page a solution is shown as it is, in a paragraph of its own; a name inside a sentence is not.
    """
    return _UNSEEN.sub(lambda found: "".join(map(_written_out, found[0])), text)


def markdown(text: object) -> str:
    """Text that Markdown shows as it is, in one line: no tags, tables, links or emphasis of its own."""
    out = visible(str(text)).replace("\\", "\\\\")
    for character in "`*_[]|#~":
        out = out.replace(character, f"\\{character}")
    # GitHub makes links of bare addresses.
    out = out.replace("://", ":\\//").replace("www.", "www\\.")
    out = out.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return " ".join(out.split())


def unseen(text: str) -> list[tuple[int, int]]:
    """Where a text holds what `visible` writes out: start and end of each stretch."""
    return [found.span() for found in _UNSEEN.finditer(text)]


def _written_out(character: str) -> str:
    code = ord(character)
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"


def engine_text(engine: Mapping[str, Any]) -> str:
    """The engine that a manifest names, and how it was asked."""
    if engine["kind"] == "vllm":
        return f"vLLM {engine['version']}"
    told = "with" if engine["logprobs"] else "without"
    return f"{engine['url']}, prompts as {engine['prompts']}, {told} log-probabilities"


def until_decided_text(stopping: Mapping[str, Any]) -> str:
    """What an audit that stops once it is decided left out, from the manifest's `until_decided`."""
    n, n_all = stopping["problems"], stopping["of"]
    if not stopping["decided"]:
        return f"not decided before all {n_all:,} problems were measured: none was skipped"
    chance = confidence_text(stopping["looks"][-1]["chance_of_change"])
    return (
        f"decided after {n:,} of {n_all:,} problems: the other {n_all - n:,} were skipped, which saved "
        f"{percent(1 - n / n_all, 0)} of the answers; the chance that they would have changed a stage is "
        f"{chance} (at most {percent(stopping['most_chance'], 0)} is allowed); run `overmem audit` again "
        "without --until-decided to measure them too"
    )


def base_left_out_text(why: str) -> str:
    """That nothing is compared with the base model, from the manifest's `base_left_out`."""
    return f"the base model was not measured, so it is not known what the fine-tune gained or lost: {why}"


def sentence(text: str | None) -> str:
    """A text with its full stop."""
    text = (text or "").strip()
    return text if not text or text[-1] in ".!?" else f"{text}."


def shell_word(path: object) -> str:
    """A path as it is typed into a shell, so that a command which is shown can be copied.

    Quoted where the shell would read a pattern or two words, and `./-x` where a command would read an option.
    """
    text = str(path)
    return shlex.quote(f"./{text}" if text.startswith("-") else text)
