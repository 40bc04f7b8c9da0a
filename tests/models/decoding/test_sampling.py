import numpy as np
import pytest
import torch

from overmem.models.batches import logits_at_once
from overmem.models.decoding.sampling import BLOCK, Sampling, choose, draw, seed_of


@pytest.mark.parametrize("vocabulary", [1, 7, BLOCK, BLOCK + 1, 3 * BLOCK + 17])
@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_a_draw_is_the_inverse_of_the_cumulative_distribution(vocabulary, temperature):
    # Searching blocks must not lose a token at a border, nor reach the padding.
    generator = torch.Generator().manual_seed(vocabulary)
    logits = 3 * torch.randn(400, vocabulary, generator=generator)
    uniform = torch.rand(400, generator=generator, dtype=torch.float64)
    uniform[:2] = torch.tensor([0.0, np.nextafter(1.0, 0.0)])
    cumulative = torch.softmax(logits.double() / temperature, -1).cumsum(-1)
    expected = (cumulative <= uniform[:, None]).sum(-1).clamp_max(vocabulary - 1)
    found = draw(logits, uniform, temperature)
    # Where the number falls within rounding of a border, either neighbour is right.
    gap = (cumulative - uniform[:, None]).abs().amin(-1)
    assert (found == expected)[gap > 1e-6].all()
    assert ((found - expected).abs() <= 1).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_tokens_chosen_a_few_rows_at_a_time_are_those_of_all_at_once(dtype):
    # 60,000 logits a row: 8 rows at a time, the last piece smaller. A piece that took the random numbers of
    # another's rows, or left rows out, would show.
    logits = (3 * torch.randn(19, 60_000, generator=torch.Generator().manual_seed(0))).to(dtype)
    assert 1 < logits_at_once("cpu", 60_000) < len(logits)
    uniform = torch.rand(19, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    everything = torch.log_softmax(logits.float(), -1)
    for given, expected in ((uniform, draw(logits.float(), uniform, 0.7)), (None, everything.argmax(-1))):
        tokens, logprobs = choose(logits, given, 0.7)
        assert tokens.tolist() == expected.tolist()
        assert logprobs.dtype == torch.float32
        assert torch.allclose(logprobs, everything.gather(1, expected[:, None])[:, 0], atol=1e-5)


def test_a_sample_is_named_by_seed_example_and_number():
    first = Sampling(samples=2, temperature=1.0, seed=0)
    assert (first.uniforms("a", 0, 9) == first.uniforms("a", 0, 12)[:9]).all()
    others = [first.uniforms("a", 1, 9), first.uniforms("b", 0, 9)]
    others.append(Sampling(samples=2, temperature=1.0, seed=1).uniforms("a", 0, 9))
    for other in others:
        assert (first.uniforms("a", 0, 9) != other).any()


def test_seeds_differ_between_samples_examples_and_audits_and_stay():
    seeds = {seed_of(s, name, k) for s in (0, 1) for name in ("a", "b") for k in range(50)}
    assert len(seeds) == 200 and all(0 <= seed < 2**31 for seed in seeds)
    assert seed_of(0, "a", 0) == seed_of(0, "a", 0)
