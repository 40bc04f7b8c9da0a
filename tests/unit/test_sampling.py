import numpy as np
import pytest
import torch

from overmem.auditing.sampling import BLOCK, Sampling, draw


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


def test_a_sample_is_named_by_seed_example_and_number():
    first = Sampling(samples=2, temperature=1.0, seed=0)
    assert (first.uniforms("a", 0, 9) == first.uniforms("a", 0, 12)[:9]).all()
    others = [first.uniforms("a", 1, 9), first.uniforms("b", 0, 9)]
    others.append(Sampling(samples=2, temperature=1.0, seed=1).uniforms("a", 0, 9))
    for other in others:
        assert (first.uniforms("a", 0, 9) != other).any()
