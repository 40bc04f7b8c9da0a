"""What follows an audit: its verdict and its page, and the few lines that a command ends with.

The audit is on disk by then. A verdict that cannot be given, or a page that cannot be written, takes nothing
from it: the reason is said in their place.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from overmem.auditing.run import Audit
from overmem.axes import CORE
from overmem.cli.screen import say
from overmem.cli.views.verdict import render_headline
from overmem.errors import OvermemError
from overmem.formatting import shell_word
from overmem.records import Verdict
from overmem.reporting.run import report
from overmem.rule import Rule
from overmem.verdict.diagnose import diagnose


@dataclass(frozen=True, kw_only=True)
class Conclusion:
    """What came after measuring."""

    verdict: Verdict | None = None
    no_verdict: str | None = None
    """Why there is none."""
    page: Path | None = None
    no_page: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """For programs."""
        return {
            "verdict": None if self.verdict is None else self.verdict.to_dict(),
            "no_verdict": self.no_verdict,
            "report": None if self.page is None else str(self.page),
            "no_report": self.no_page,
        }


def conclude(done: Audit, rule: Rule, place: Path) -> Conclusion:
    """Diagnose an audit and write its page, as `overmem diagnose` and `overmem report` do.

    Args:
        done: the audit.
        rule: thresholds of the verdict.
        place: run folder, or the artifact folder where that lies elsewhere.
    """
    missing = [axis for axis in CORE if axis not in done.manifest.axes]
    if missing:
        why = f"a verdict needs {' and '.join(CORE)}, and {' and '.join(missing)} was not measured"
        return Conclusion(no_verdict=why)
    try:
        verdict = diagnose(done, rule)
    except OvermemError as error:
        return Conclusion(no_verdict=str(error))
    try:
        return Conclusion(verdict=verdict, page=report(place))
    except OvermemError as error:
        return Conclusion(verdict=verdict, no_page=str(error))


def render_conclusion(found: Conclusion, place: Path, screen: Console) -> None:
    """Print Stage, Ship and where the page is, or why there are none.

    Args:
        found: what came after measuring.
        place: as for `conclude`.
        screen: where to.
    """
    if found.verdict is None:
        say(screen, f"no verdict: {found.no_verdict}")
        return
    say(screen, f"the verdict in full: overmem diagnose {shell_word(place)}")
    render_headline(found.verdict, screen)
    if found.page is not None:
        say(screen, f"page: {found.page}")
    else:
        say(screen, f"no page: {found.no_page}")
