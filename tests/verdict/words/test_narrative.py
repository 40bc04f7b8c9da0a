"""The verdict in words: every stage, every undefined figure, and nothing that is not in the record.

Covers: overmem.verdict.words.extremes, overmem.verdict.words.headline, overmem.verdict.words.logged
"""

import math
import re
from dataclasses import replace

import pytest

from overmem.records import CheckpointSummary, Estimate, Onset, Recommendation, Severity, Verdict
from overmem.verdict.words.headline import headline
from overmem.verdict.words.narrative import plain_words

UNMEASURED = Estimate(math.nan, math.nan, math.nan, 0, "no grader was given")


def summary(step: int, stage: str, accuracy: float, nll: float, **more) -> CheckpointSummary:
    perplexity = math.exp(nll)
    return CheckpointSummary(
        name=f"checkpoint-{step}",
        step=step,
        stage=stage,
        confidence=more.pop("confidence", 0.93),
        leaning=more.pop("leaning", None),
        accuracy=Estimate(accuracy, accuracy - 0.04, accuracy + 0.04, 400),
        nll_nats=Estimate(nll, nll - 0.02, nll + 0.02, 400),
        perplexity=Estimate(perplexity, perplexity - 0.03, perplexity + 0.03, 400),
        **more,
    )


def verdict(stage: str = "over-memorized", **more) -> Verdict:
    last = summary(300, stage, 0.80, 0.50)
    fields = {
        "stage": stage,
        "confidence": 0.97,
        "checkpoints": (summary(100, "fit", 0.79, 0.31), summary(200, "fit", 0.82, 0.35), last),
        "onset": Onset(step=300, low=200, high=300, probability=0.98),
        "severity": Severity(
            excess_nll_nats=Estimate(0.19, 0.16, 0.22, 400),
            perplexity_ratio=1.21,
            own_path_share=0.91,
            temperature_recovers_share=0.58,
        ),
        "recommended": Recommendation(name="checkpoint-200", step=200, why="checkpoint-200 has the best"),
        "alternatives": {"lowest_perplexity": "checkpoint-100", "highest_accuracy": "checkpoint-200"},
        "alternative_costs": {"lowest_perplexity": "checkpoint-100 against checkpoint-200: accuracy -0.030."},
        "thresholds": {"accuracy_margin": 0.03, "perplexity_ratio": 1.10, "confidence_threshold": 0.8},
    }
    return Verdict(**{**fields, **more})


def with_last(base: Verdict, **changes) -> Verdict:
    last = replace(base.checkpoints[-1], **changes)
    return replace(base, checkpoints=(*base.checkpoints[:-1], last))


def undetermined(**changes) -> Verdict:
    fields = {
        "stage": "undetermined",
        "leaning": "over-memorized",
        "confidence": 0.62,
        "problems_to_settle": 900,
        "problems_to_settle_likely": 2100,
        "chance_to_settle": 0.9,
    }
    return with_last(verdict("undetermined", confidence=0.62), **{**fields, **changes})


def text(record: Verdict) -> str:
    return " ".join(plain_words(record))


def test_over_memorized_says_stage_onset_figures_reasons_and_choice() -> None:
    words = plain_words(verdict())
    assert 3 <= len(words) <= 6
    assert "checkpoint-300, is over-memorized (97% confidence)" in words[0]
    assert "since checkpoint-300; 95% interval: step 200 to 300" in words[1]
    assert "80.0% (76.0 to 84.0) on 400 problems, against 82.0% (78.0 to 86.0)" in words[2]
    assert "1.65 (1.62 to 1.68) on 400 problems, 1.21 times the lowest (1.10 counts as inflated)" in words[2]
    assert "0.190 (0.160 to 0.220) nats a token" in words[3]
    assert "Tokens that the model itself would not write account for 91% of it" in words[3]
    assert "Dividing the logits by one temperature would remove 58% of it" in words[3]
    assert words[4] == "Ship checkpoint-200: it has the best."
    assert "highest accuracy alone would have found the same" in words[5]
    assert (
        "lowest perplexity alone would have shipped checkpoint-100; against checkpoint-200: accuracy -0.030."
        in words[5]
    )


@pytest.mark.parametrize(
    ("stage", "phrase"),
    [
        ("learning", "still more than 3 points below the best"),
        ("fit", "within 3 points of the best checkpoint, and its perplexity has not risen to 1.10 times"),
        ("over-memorized", "still answers within 3 points"),
        ("overfit", "accuracy is more than 3 points below the best checkpoint's, and it finds"),
        ("unstable", "accuracy fell to more than 3 points below"),
    ],
)
def test_each_stage_has_its_own_meaning(stage: str, phrase: str) -> None:
    words = plain_words(verdict(stage))
    assert f"is {stage} (97% confidence)" in words[0]
    assert phrase in words[0]
    assert 3 <= len(words) <= 6


def test_healthy_run_has_no_onset_and_no_excess() -> None:
    healthy = verdict("fit", onset=Onset(step=None, low=None, high=None, probability=0.02))
    words = text(healthy)
    assert "does not end over-memorized or overfit; the probability that it does is 2%" in words
    assert "first choice" not in words


def test_both_naive_choices_right_is_one_sentence() -> None:
    same = {"lowest_perplexity": "checkpoint-200", "highest_accuracy": "checkpoint-200"}
    said = plain_words(verdict(alternatives=same))[-1]
    assert said.startswith("Picking by lowest perplexity alone or by highest accuracy alone would have found")


def test_undetermined_says_leaning_threshold_and_what_settles_it() -> None:
    first, second, *_ = plain_words(undetermined())
    assert "undetermined: it leans over-memorized (62%), below the 80% needed" in first
    assert (
        "A stage would be given with about 900 problems with a chance of 50%, with about 2,100 with a chance "
        "of 80%; 400 were measured."
    ) in first
    assert second.startswith("If it is, it has been so since")


def test_undetermined_near_a_threshold_gives_the_chance_that_is_left() -> None:
    none = {"problems_to_settle": None, "problems_to_settle_likely": None}
    words = text(undetermined(**none, chance_to_settle=0.23))
    assert "Even a hundred times as many problems would settle it with a chance of 23% only" in words
    assert "None" not in words


def test_insufficient_evidence_names_what_is_missing() -> None:
    thin = replace(
        undetermined(),
        recommended=None,
        alternatives={},
        reason="insufficient evidence: 7 problem(s) were scored",
    )
    words = plain_words(thin)
    assert words[0].startswith("There is not enough evidence")
    assert words[0].endswith("7 problem(s) were scored.")
    assert "leans" not in words[0]
    assert "above the lowest of the run" not in " ".join(words)
    assert "No checkpoint is recommended: 7 problem(s)" in " ".join(words)


def test_undefined_accuracy_and_perplexity_come_with_their_reasons() -> None:
    blind = with_last(verdict(), accuracy=UNMEASURED, perplexity=replace(UNMEASURED, reason="no rows"))
    words = text(blind)
    assert "Its accuracy is undefined: no grader was given." in words
    assert "Its perplexity is undefined: no rows." in words


@pytest.mark.parametrize(
    ("own", "heat", "phrases"),
    [
        (math.nan, math.nan, ["on which tokens it rose is undefined: too few rows."]),
        (0.9, math.nan, ["account for 90% of it", "a temperature would remove is undefined: too few rows."]),
        (math.nan, 0.4, ["remove 40% of it", "would not write is undefined: too few rows."]),
    ],
)
def test_undefined_shares_are_called_undefined(own: float, heat: float, phrases: list[str]) -> None:
    severity = replace(
        verdict().severity, own_path_share=own, temperature_recovers_share=heat, reason="too few rows"
    )
    words = text(verdict(severity=severity))
    assert all(phrase in words for phrase in phrases)


def test_undefined_onset_of_an_inflated_run_gives_the_reason() -> None:
    assert "Since when is undefined: draws disagree." in text(
        verdict(onset=Onset(step=None, low=None, high=None, reason="draws disagree"))
    )


def test_no_checkpoints_still_speaks() -> None:
    words = plain_words(verdict(checkpoints=(), recommended=None, reason="all were skipped"))
    assert len(words) == 3
    assert "all were skipped." in words[1]


@pytest.mark.parametrize("stage", ["learning", "fit", "over-memorized", "overfit", "unstable"])
def test_no_nan_reaches_the_text(stage: str) -> None:
    nan = Estimate(math.nan, math.nan, math.nan, 0)
    bare = with_last(
        verdict(
            stage,
            confidence=math.nan,
            onset=Onset(step=None, low=None, high=None),
            severity=Severity(excess_nll_nats=nan, perplexity_ratio=math.nan),
            thresholds={},
            recommended=None,
        ),
        accuracy=nan,
        nll_nats=nan,
        perplexity=nan,
    )
    assert not re.search(r"\bnan\b|\bNone\b|\binf\b", text(bare))


def test_words_ignore_the_words_they_replace() -> None:
    assert plain_words(replace(verdict(), words=("stale",))) == plain_words(verdict())


@pytest.mark.parametrize(
    ("record", "stage", "confidence", "ship"),
    [
        (verdict(), "over-memorized", "97% confidence", "checkpoint-200"),
        (undetermined(), "undetermined", "leans over-memorized, 62% confidence", "checkpoint-200"),
        (undetermined(confidence=math.nan), "undetermined", "leans over-memorized", "checkpoint-200"),
        (
            replace(undetermined(), evidence="logged", recommended=None),
            "undetermined",
            "leans over-memorized, read from the training log alone",
            "none yet",
        ),
        (
            replace(undetermined(leaning=None), evidence="logged", recommended=None),
            "undetermined",
            "read from the training log alone",
            "none yet",
        ),
        (
            replace(undetermined(), recommended=None),
            "insufficient evidence",
            "no stage can be given",
            "none yet",
        ),
        (
            replace(undetermined(), recommended=None, checkpoints=()),
            "insufficient evidence",
            "no stage can be given",
            "none yet",
        ),
    ],
)
def test_the_headline_says_the_stage_how_sure_it_is_and_what_to_ship(
    record: Verdict, stage: str, confidence: str, ship: str
) -> None:
    found = headline(record)
    assert (found.stage, found.confidence, found.ship) == (stage, confidence, ship)
    assert found.line == f"{stage}, {confidence}"
    assert bool(found.meaning) == (stage == "over-memorized")
