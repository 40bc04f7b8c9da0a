import math

import pytest
import torch

import overmem
from overmem.errors import DataError, RecipeError
from overmem.recipe.loss_formulas import (
    focal_weights,
    gem_loss,
    goldfish_weights,
    label_smoothing_loss,
    top20_entropy,
)
from overmem.recipe.losses import LOSSES, resolve_loss, token_weights

P = torch.tensor([0.5, 0.9, 0.1, 1.0])
H = torch.tensor([0.0, math.log(2), math.log(20), math.log(400)])
IDS = torch.randint(0, 50_000, (8, 600), generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("nll", {}, [1, 1, 1, 1]),
        ("mar", {}, [0.5, 0.1, 0.9, 0]),
        ("focal", {"gamma": 0}, [1, 1, 1, 1]),
        ("focal", {"gamma": 0.5}, [0.5**0.5, 0.1**0.5, 0.9**0.5, 0]),
        ("focal", {}, [0.25, 0.01, 0.81, 0]),
        ("dft", {}, [0.5, 0.9, 0.1, 1]),
        ("eaft", {}, [0, math.log(2) / math.log(20), 1, 1]),
        ("eaft", {"alpha": 2, "entropy_form": "top20"}, [0, (math.log(2) / math.log(20)) ** 2, 1, 1]),
        ("talr", {"tau": 1}, [0.5 / 0.625, 0.9 / 0.625, 0.1 / 0.625, 1 / 0.625]),
        ("talr", {"tau": 0.5}, [0.25 / 0.5175, 0.81 / 0.5175, 0.01 / 0.5175, 1 / 0.5175]),
    ],
)
def test_weights_by_hand(name, options, expected):
    weights = token_weights(name, P.log(), entropy=H, **options)
    torch.testing.assert_close(weights, torch.tensor(expected, dtype=torch.float32), atol=1e-6, rtol=1e-5)
    as_grid = token_weights(name, P.log().reshape(2, 2), entropy=H.reshape(2, 2), **options)
    torch.testing.assert_close(as_grid, weights.reshape(2, 2))


def test_it_is_public():
    assert overmem.token_weights is token_weights
    assert {"token_weights", "ReweightedSFTTrainer"} <= set(overmem.__all__)


def test_mar_is_focal_with_gamma_1_and_no_slope_through_p():
    logprobs = -torch.rand(1000).exponential_()
    assert torch.equal(token_weights("mar", logprobs), token_weights("focal", logprobs, gamma=1.0))


@pytest.mark.parametrize("name", [name for name, loss in LOSSES.items() if loss.weights])
def test_masked_tokens_weigh_nothing_and_do_not_count(name):
    logprobs = IDS[:, 1:].float().log().neg() / 10
    mask = torch.rand(logprobs.shape, generator=torch.Generator().manual_seed(1)) < 0.3
    tensors = {"entropy": -logprobs, "input_ids": IDS, "label_mask": mask}
    weights = token_weights(name, logprobs, **tensors)
    assert (weights[~mask] == 0).all() and not weights.requires_grad
    assert (weights >= 0).all() and weights.dtype == logprobs.dtype
    normalized = token_weights(name, logprobs, normalize=True, **tensors)
    assert normalized[mask].mean() == pytest.approx(1, abs=1e-5)
    # Proportional to what they were.
    torch.testing.assert_close(normalized * weights.sum(), weights * normalized.sum(), rtol=1e-4, atol=1e-3)


def test_normalizing_nothing_gives_nothing():
    assert (token_weights("mar", torch.zeros(4), normalize=True) == 0).all()
    empty = token_weights("talr", torch.zeros(4), label_mask=torch.zeros(4, dtype=torch.bool))
    assert not empty.isnan().any()


WRITTEN = {
    # The formula as in the paper, from logits, with sg() spelled out as detach().
    "nll": lambda p, h, o: -p.log(),
    "mar": lambda p, h, o: -(1 - p.detach()) * p.log(),
    "focal": lambda p, h, o: -((1 - (p if o["differentiate"] else p.detach())) ** o["gamma"]) * p.log(),
    "dft": lambda p, h, o: -p.detach() * p.log(),
    "eaft": lambda p, h, o: -((h.detach() / math.log(20)) ** o["alpha"]) * p.log(),
    "talr": lambda p, h, o: (
        -torch.exp(p.log().detach() / o["tau"]) / torch.exp(p.log().detach() / o["tau"]).mean() * p.log()
    ),
}


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("nll", {}),
        ("mar", {}),
        ("focal", {"gamma": 0.5}),
        ("focal", {"gamma": 2.0, "differentiate": True}),
        ("focal", {"gamma": 0.5, "differentiate": True}),
        ("dft", {}),
        ("eaft", {"alpha": 1.5}),
        ("talr", {"tau": 0.7}),
    ],
)
def test_gradients_are_those_of_the_written_formula(name, options):
    logits = torch.randn(64, 40, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    labels = torch.arange(64) % 40

    def loss(logits, written):
        logp = logits.log_softmax(-1)
        picked = logp.gather(1, labels[:, None])[:, 0]
        entropy = (-(logp.exp() * logp).sum(-1)).clamp(max=math.log(20) - 0.1)
        if written:
            return WRITTEN[name](picked.exp(), entropy, resolve_loss(name, options)[1]).sum()
        return -(token_weights(name, picked, entropy, **options) * picked).sum()

    ours, theirs = logits.clone().requires_grad_(), logits.clone().requires_grad_()
    values = loss(ours, False), loss(theirs, True)
    torch.testing.assert_close(*values)
    for value in values:
        value.backward()
    torch.testing.assert_close(ours.grad, theirs.grad)


def test_focal_has_a_finite_slope_at_certainty():
    logprobs = torch.zeros(3, requires_grad=True)
    (focal_weights(logprobs, 0.5, differentiate=True) * logprobs).sum().backward()
    assert torch.isfinite(logprobs.grad).all()


def test_label_smoothing_is_torch_s():
    logits = torch.randn(16, 30, generator=torch.Generator().manual_seed(3))
    labels = torch.arange(16)
    for epsilon in (0.0, 0.1, 1.0):
        theirs = torch.nn.functional.cross_entropy(logits, labels, reduction="none", label_smoothing=epsilon)
        torch.testing.assert_close(label_smoothing_loss(logits, labels, epsilon), theirs)
    # By hand: a uniform distribution over four costs ln 4 whatever epsilon.
    assert label_smoothing_loss(torch.zeros(1, 4), labels[:1], 0.3) == pytest.approx(math.log(4))


def test_gem_by_hand_and_its_gradient():
    logits, label = torch.tensor([[math.log(3.0), 0.0]]), torch.tensor([1])
    # p = (3/4, 1/4), q = softmax(2 ln 3, 0) = (9/10, 1/10): .9 ln .75 + .1 ln .25 - ln .25 = .9 ln 3.
    assert gem_loss(logits, label, 0.5) == pytest.approx(0.9 * math.log(3))
    logits = torch.randn(8, 30, dtype=torch.float64, generator=torch.Generator().manual_seed(4))
    labels = torch.arange(8)
    ours, written, nll = (logits.clone().requires_grad_() for _ in range(3))
    gem_loss(ours, labels, 0.7).sum().backward()
    logp, q = written.log_softmax(-1), (logits / 0.7).softmax(-1)
    (q * (logp - logp.gather(1, labels[:, None]))).sum().backward()
    torch.testing.assert_close(ours.grad, written.grad)
    at_one = logits.clone().requires_grad_()
    gem_loss(at_one, labels, 1.0).sum().backward()
    torch.nn.functional.cross_entropy(nll, labels, reduction="sum").backward()
    torch.testing.assert_close(at_one.grad, nll.grad)


def test_top20_entropy():
    logits = torch.full((1, 1000), -1e4)
    logits[0, :20] = 0
    assert top20_entropy(logits) == pytest.approx(math.log(20))
    # A flat vocabulary: the 20 are renormalised among themselves.
    assert top20_entropy(torch.zeros(1, 1000)) == pytest.approx(math.log(20))
    assert top20_entropy(torch.tensor([[50.0, 0.0, 0.0]])) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(("k", "h"), [(2, 1), (4, 13), (3, 5), (10, 2)])
def test_goldfish_drops_one_in_k(k, h):
    many = torch.randint(0, 50_000, (100, 600), generator=torch.Generator().manual_seed(k))
    dropped = goldfish_weights(many, k, h) == 0
    assert not dropped[:, : h - 1].any()  # too few predecessors
    expected = 1 / k
    assert dropped[:, h - 1 :].float().mean() == pytest.approx(expected, abs=0.01)
    # Neighbouring ids are not dropped together.
    steps = torch.arange(20_000).reshape(1, -1)
    assert (goldfish_weights(steps, k, h)[:, h:] == 0).float().mean() == pytest.approx(expected, abs=0.02)


def test_goldfish_hangs_on_the_h_predecessors_alone():
    k, h = 4, 13
    weights = goldfish_weights(IDS, k, h)
    moved = torch.cat([IDS[:, -7:], IDS], dim=1)
    assert torch.equal(goldfish_weights(moved, k, h)[:, 7 + h - 1 :], weights[:, h - 1 :])
    changed = IDS.clone()
    changed[:, 300] += 1
    differs = goldfish_weights(changed, k, h) != weights
    assert differs.any() and not differs[:, :300].any() and not differs[:, 300 + h :].any()
    assert (goldfish_weights(IDS[:, :h], k, h) == 1).all()


def test_goldfish_takes_documents_apart():
    one, two = IDS[:1, :40], IDS[1:2, :60]
    packed = torch.cat([one, two], 1)
    places = torch.cat([torch.arange(40), torch.arange(60)])[None]
    weights = goldfish_weights(packed, 4, 13, places)
    assert torch.equal(weights[:, :39], goldfish_weights(one, 4, 13))
    assert torch.equal(weights[:, 40:], goldfish_weights(two, 4, 13))


def test_goldfish_is_the_same_in_every_process_and_release():
    dropped = (goldfish_weights(torch.arange(60)[None] * 7919 % 50_000) == 0).nonzero()[:, 1]
    assert dropped.tolist() == [17, 20, 25, 30, 38, 40, 43, 45, 47, 50, 51, 53, 55, 58]


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("mse", {}, r"unknown loss\n  got:      mse\n  expected: dft, eaft"),
        ("mar", {"gamma": 1}, r"unknown option of the loss mar[\s\S]*gamma[\s\S]*no options"),
        ("focal", {"gama": 1}, "expected: differentiate, gamma"),
        ("focal", {"gamma": -1}, "at least 0"),
        ("focal", {"gamma": "2"}, "got:      '2'"),
        ("focal", {"gamma": True}, "a number"),
        ("focal", {"gamma": math.nan}, "a number"),
        ("focal", {"differentiate": 1}, "true or false"),
        ("talr", {"tau": 0}, "above 0"),
        ("goldfish", {"k": 1}, "at least 2"),
        ("goldfish", {"h": 2.5}, "whole number"),
        ("eaft", {"entropy_form": "top5"}, "full or top20"),
        ("gem", {"beta": 1.5}, "at most 1"),
        ("gem", {}, "not a weighted NLL"),
    ],
)
def test_unknown_names_and_options_are_refused(name, options, message):
    with pytest.raises(RecipeError, match=message):
        token_weights(name, P.log(), **options)


@pytest.mark.parametrize(
    ("name", "tensors", "message"),
    [
        ("eaft", {}, r"needs entropy[\s\S]*\(4,\)"),
        ("eaft", {"entropy": torch.zeros(5)}, r"entropy does not fit[\s\S]*\(5,\)[\s\S]*\(4,\)"),
        ("goldfish", {}, "needs input_ids"),
        ("goldfish", {"input_ids": torch.zeros(4, dtype=torch.long)}, r"input_ids[\s\S]*\(5,\)"),
        (
            "goldfish",
            {"input_ids": torch.zeros(5, dtype=torch.long), "position_ids": torch.zeros(4)},
            "position_ids",
        ),
        ("mar", {"label_mask": torch.ones(2, 2)}, "label_mask"),
    ],
)
def test_missing_or_misshapen_tensors_are_refused(name, tensors, message):
    with pytest.raises(DataError, match=message):
        token_weights(name, P.log(), **tensors)
