"""A verdict that nobody judged, with every part there is."""

import math
from typing import Any

from overmem.records import CheckpointSummary, Cost, Estimate, Onset, Recommendation, Severity, Verdict
from overmem.verdict.words.narrative import plain_words

HOSTILE = '</script><script>alert(1)</script><img src=x onerror=alert(2)>%{x}[red]"'


def make_verdict(count: int = 6, **more: Any) -> Verdict:
    stages = ["learning", "fit", "fit", "undetermined", "over-memorized", "over-memorized"]
    checkpoints = []
    for i in range(count):
        stage = stages[i * len(stages) // count]
        accuracy, nll = 0.5 + 0.3 * min(1, 3 * i / count), 0.3 + abs(i / count - 0.4)
        checkpoints.append(
            CheckpointSummary(
                name=f"checkpoint-{(i + 1) * 1000}",
                step=(i + 1) * 1000,
                stage=stage,
                confidence=0.9,
                leaning="over-memorized" if stage == "undetermined" else None,
                problems_to_settle=1234 if stage == "undetermined" else None,
                accuracy=Estimate(accuracy, accuracy - 0.04321, accuracy + 0.04, 400),
                nll_nats=Estimate(nll, nll - 0.02, nll + 0.02, 400),
                perplexity=Estimate(math.exp(nll), math.exp(nll - 0.02), math.exp(nll + 0.02), 400),
                train_nll_nats=Estimate(nll / 2, nll / 2 - 0.01, nll / 2 + 0.01, 200),
                epoch=i / 3,
            )
        )
    fields = {
        "stage": "over-memorized",
        "confidence": 0.97,
        "checkpoints": tuple(checkpoints),
        "onset": Onset(step=checkpoints[-2].step, low=checkpoints[-3].step, high=checkpoints[-1].step),
        "severity": Severity(
            excess_nll_nats=Estimate(0.2, 0.15, 0.25, 400), perplexity_ratio=1.22, own_path_share=0.9
        ),
        "recommended": Recommendation(name=checkpoints[2].name, step=checkpoints[2].step, why="it is best"),
        "alternatives": {"lowest_perplexity": checkpoints[1].name, "highest_accuracy": checkpoints[-1].name},
        "alternative_costs": {"lowest_perplexity": "accuracy 0.031 lower"},
        "costs": (
            Cost(
                axis="diversity",
                measure="pass_at_8",
                against=checkpoints[2].name,
                difference=Estimate(-0.04, -0.06, -0.02, 400),
                direction="higher",
                p_holm=0.0002,
            ),
        ),
        "thresholds": {"accuracy_margin": 0.03, "perplexity_ratio": 1.10, "resamples": 2000, "seed": 0},
        "notes": ("checkpoint-9 was skipped: `pickled` weights",),
    }
    verdict = Verdict(**{**fields, **more})
    return Verdict(**{**verdict.__dict__, "words": plain_words(verdict)})
