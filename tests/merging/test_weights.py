"""Settings that make no average are refused."""

from tests.conftest import make_pico
from tests.helpers.merging import refused, saved_pair


def test_settings_that_make_no_average_are_refused(tmp_path, tokenizer):
    a, b = saved_pair(tmp_path, tokenizer, make_pico)
    refused(r"at least two checkpoints\s+got:\s+1", [a])
    refused("unknown merge method\n.*avg\n.*pair, wise, soup", [a, b], method="avg")
    refused(r"greedy needs an evaluation[\s\S]*overmem repair", [a, b], method="greedy")
    refused("pair takes two checkpoints", [a, b, a])
    refused("slerp takes two checkpoints", [a, b, a], method="slerp", alpha=0.5)
    refused("slerp needs alpha", [a, b], method="slerp")
    refused(r"wise needs alpha[\s\S]*1.5[\s\S]*0 to 1", [a, b], method="wise", alpha=1.5)
    refused("ema needs decay", [a, b], method="ema", decay=1.0)
    refused("linear needs weights", [a, b], method="linear")
    refused("pair takes no alpha", [a, b], alpha=0.3)
    refused("soup takes no decay", [a, b], method="soup", decay=0.3)
    refused("wise takes no weights", [a, b], method="wise", alpha=0.5, weights=(0.5, 0.5))
    refused(r"sum to 1[\s\S]*sum to 0.8", [a, b], weights=(0.4, 0.4))
    refused("between 0 and 1", [a, b], weights=(-0.5, 1.5))
    refused("between 0 and 1", [a, b], weights=(float("nan"), 1.0))
    refused(r"one weight is needed[\s\S]*3 for 2", [a, b], weights=(0.4, 0.4, 0.2))
    refused("rank only applies", [a, b], rank=4)
