"""What a sweep says."""

import dataclasses
import subprocess
import sys

from overmem.records import Estimate
from overmem.sweeping.narrative import sweep_words
from tests.helpers.sweeps import learning_rates, result


def test_a_confirmed_sweep_says_its_figures_and_asks_for_no_other_confirmation():
    found = result(learning_rates(), confirm="test.jsonl")
    unconfirmed = " ".join(sweep_words(found))
    assert "--confirm" in unconfirmed and "test.jsonl" not in unconfirmed
    [family] = found.families
    figures = {"accuracy": Estimate(0.7, 0.6, 0.8, 90), "perplexity": Estimate(1.5, 1.4, 1.6, 90)}
    # The naive picks are the recommended point, so that there is nothing to compare it with.
    family = dataclasses.replace(family, confirmed_figures={family.recommended.label: figures})
    words = " ".join(sweep_words(dataclasses.replace(found, families=(family,))))
    assert "(test.jsonl): accuracy 70.0% (60.0 to 80.0), perplexity 1.50 (1.40 to 1.60)." in words
    assert "--confirm" not in words


LIGHT = """
import sys
import overmem.sweeping.page.html, overmem.cli.views.sweep
import overmem.sweeping.summary, overmem.sweeping.gather
print(sorted({"torch", "transformers", "trl", "datasets"} & set(sys.modules)))
"""


def test_what_a_sweep_says_needs_no_torch():
    done = subprocess.run([sys.executable, "-c", LIGHT], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
