"""A sweep in the terminal."""

import re

from rich.console import Console

from overmem.cli.views.sweep import render_sweep
from tests.helpers.sweeps import learning_rates, result


def test_the_terminal_keeps_to_80_columns():
    console = Console(width=80, record=True, force_terminal=False)
    render_sweep(result(learning_rates()), console)
    text = console.export_text()
    assert max(map(len, text.splitlines())) <= 80
    assert re.search(r"learning rate +best at", text) and "failed" in text
    assert "chose the recommended point" in " ".join(text.split())
