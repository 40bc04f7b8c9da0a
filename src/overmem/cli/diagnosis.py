"""What `overmem diagnose RUN` does with one run, apart from its options.

Typer's options cost 0.2 s of a processor before a command begins (pydantic checks them), twice what it takes
to read, judge and show a log. So the call that has none of them is answered before typer is imported.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from overmem.artifacts.run_records import RunRecords, is_unaudited
from overmem.cli.screen import console, print_json, say
from overmem.formatting import shell_word
from overmem.logs.reading import is_run_folder
from overmem.records import Verdict


def show_diagnosis(verdict: Verdict, runs: Sequence[Path], *, full: bool = False) -> None:
    """Print a verdict, keep it among the run's artifacts, and say what comes next.

    Of several runs nothing is kept, and of a log that is no run's folder neither.
    """
    from overmem.cli.views.verdict import render_details, render_headline

    screen = console()
    render_details(verdict, screen, full=full)
    if len(runs) == 1:
        named = shell_word(runs[0])
        keeps = verdict.evidence != "logged" or is_run_folder(runs[0])
        unsaved = RunRecords.of_run(runs[0]).save_record("verdict", verdict.to_dict()) if keeps else None
        if unsaved is None:
            say(screen, f"\nnext: overmem report {named}")
        else:
            say(screen, f"\nnot saved: {unsaved}\nnext: overmem report {named} --out report.html")
    render_headline(verdict, screen)


def diagnose_plain(arguments: Sequence[str]) -> bool:
    """Do what `diagnose LOG` or `diagnose LOG --json` asks; False leaves it to the parser of options.

    Args:
        arguments: of the command line, without the program.
    """
    command, named, *options = [*arguments, "", ""][: max(len(arguments), 2)]
    if command != "diagnose" or not named or named.startswith("-") or options not in ([], ["--json"]):
        return False
    run = Path(named)
    if not run.exists() or not is_unaudited(run) or (run / "overmem.yaml").exists():
        return False
    from overmem.verdict.diagnose import diagnose

    verdict = diagnose(run, save=False)
    if options:
        print_json(verdict.to_dict())
    else:
        show_diagnosis(verdict, [run])
    return True
