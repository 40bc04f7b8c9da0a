"""Methods of mergekit, where it is installed; its use of numpy.core warns."""

import json
import shutil
import sys

import pytest
import torch

import overmem
from overmem.errors import MergeError, MissingExtraError
from tests.conftest import make_pico
from tests.helpers.merging import MAKERS, assert_same, load, refused, save_model, saved_pair, weights_of

in_mergekit = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")


def test_without_mergekit_the_extra_is_named(tmp_path, tokenizer, monkeypatch):
    pair = saved_pair(tmp_path, tokenizer, make_pico)
    monkeypatch.setitem(sys.modules, "mergekit", None)
    with pytest.raises(MissingExtraError, match=r"ties or dare needs[\s\S]*'overmem\[mergekit\]'"):
        overmem.merge(pair, tmp_path / "out", method="ties")


@in_mergekit
@pytest.mark.parametrize("method", ["ties", "dare"])
def test_ties_and_dare_through_mergekit(tmp_path, tokenizer, method):
    pytest.importorskip("mergekit")
    pair = saved_pair(tmp_path, tokenizer, make_pico, torch.bfloat16)
    refused("from before the fine-tune", pair, method=method)
    base = save_model(tmp_path / "base", make_pico(tokenizer, 0).bfloat16(), tokenizer)
    before = torch.random.get_rng_state()
    outs = [overmem.merge(pair, tmp_path / f"out{i}", method=method, base_model=str(base)) for i in (0, 1)]
    assert torch.equal(torch.random.get_rng_state(), before)
    one, other = map(weights_of, outs)
    assert_same(one, other)
    assert one.keys() == weights_of(base).keys()
    assert not torch.equal(one["model.embed_tokens.weight"], weights_of(base)["model.embed_tokens.weight"])
    load(outs[0])
    record = json.loads((outs[0] / "merge.json").read_text())
    assert (
        record["method"] == method and record["mergekit_version"] and (outs[0] / "tokenizer.json").is_file()
    )
    twins = [shutil.copytree(base, tmp_path / name) for name in ("twin+a", "twin@b")]
    same = overmem.merge(twins, tmp_path / "same", method=method, base_model=str(base))
    assert_same(weights_of(same), weights_of(base))
    with pytest.raises(MergeError, match=r"mergekit refuses[\s\S]*Duplicate"):
        overmem.merge([base, base], tmp_path / "never", method=method, base_model=str(base))


@in_mergekit
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("maker", MAKERS)
def test_ours_equals_mergekits_linear(tmp_path, tokenizer, maker, dtype):
    pytest.importorskip("mergekit")
    from mergekit.config import MergeConfiguration
    from mergekit.merge import run_merge
    from mergekit.options import MergeOptions

    pair = saved_pair(tmp_path, tokenizer, MAKERS[maker], dtype)
    models = [{"model": str(f), "parameters": {"weight": w}} for f, w in zip(pair, (0.3, 0.7), strict=True)]
    name = str(dtype).removeprefix("torch.")
    config = {"merge_method": "linear", "dtype": "float32", "out_dtype": name, "models": models}
    run_merge(MergeConfiguration.model_validate(config), str(tmp_path / "theirs"), MergeOptions(quiet=True))
    ours = weights_of(overmem.merge(pair, tmp_path / "ours", weights=(0.3, 0.7)))
    theirs = weights_of(tmp_path / "theirs")
    tolerance = {"rtol": 3e-7, "atol": 1e-7} if dtype == torch.float32 else {"rtol": 2**-7, "atol": 1e-7}
    assert_same(ours, {k: v for k, v in theirs.items() if k in ours}, **tolerance)
    different = sum(int((ours[k] != theirs[k]).sum()) for k in ours) / sum(v.numel() for v in ours.values())
    assert different < (0.005 if dtype == torch.bfloat16 else 0.6), different
