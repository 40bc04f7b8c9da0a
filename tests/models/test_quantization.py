"""Quantized weights are measured as plain transformers and PEFT compute them, in the precision asked for."""

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass

import bitsandbytes
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForCausalLM

import overmem
from overmem.errors import CheckpointError, OvermemError, RunError
from overmem.models import placement, quantization
from overmem.models.likelihood.scoring import score_all
from overmem.models.loading import ModelHost
from overmem.models.pretrained import unwrap_adapter
from overmem.records import Checkpoint
from tests.conftest import save_checkpoint
from tests.helpers.adapters import logits
from tests.helpers.quantized import make_models, plain, save_adapters, settings


@dataclass(frozen=True)
class Text:
    """What scoring reads of an example."""

    prompt_ids: Sequence[int]
    completion_ids: Sequence[int]

    @property
    def scored_mask(self):
        return [1] * len(self.completion_ids)

    def __len__(self):
        return len(self.prompt_ids) + len(self.completion_ids)


EXACT = {"atol": 1e-6, "rtol": 0}


@pytest.fixture(scope="module")
def models(tmp_path_factory, tokenizer):
    return make_models(tmp_path_factory.mktemp("quantized"), tokenizer)


@pytest.fixture(scope="module")
def runs(tmp_path_factory, tokenizer, models):
    """Two adapters on each model."""
    root = tmp_path_factory.mktemp("runs")
    for name, base in models.items():
        save_adapters(root / name, base, tokenizer)
    return {name: root / name for name in models}


def host_of(run, **options):
    opened = overmem.open_run(run)
    host = ModelHost(opened, device=torch.device("cpu"), dtype=torch.float32, **options)
    return host, opened.checkpoints


def load(folder, quantize=None):
    checkpoint = Checkpoint(name=folder.name, step=0, path=folder, kind="full")
    run = overmem.records.Run(path=folder.parent, checkpoints=(checkpoint,))
    host = ModelHost(run, device=torch.device("cpu"), dtype=torch.float32, quantize=quantize)
    return host.load(checkpoint), host.quantization(checkpoint)


def edit_config(folder, **changes):
    file = folder / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


@pytest.mark.parametrize("bits", ["4bit", "8bit"])
def test_weights_that_are_quantized_in_their_file_are_measured_so(models, bits):
    model, said = load(models[bits])
    assert said == f"bitsandbytes {bits[0]} bit"
    torch.testing.assert_close(logits(model), logits(plain(models[bits])), **EXACT)
    apart = (logits(model) - logits(plain(models["floats"]))).abs().max()
    assert apart > 0.01, "else nothing is shown"


@pytest.mark.parametrize(("name", "quantize"), [("4bit", None), ("8bit", None), ("floats", "4bit")])
def test_each_adapter_stands_on_a_quantized_base_that_nothing_went_through(models, runs, name, quantize):
    host, checkpoints = host_of(runs[name], quantize=quantize)
    seen = []
    for checkpoint in (*checkpoints, checkpoints[-1], checkpoints[0]):
        model = host.load(checkpoint)
        expected = logits(plain(models[name], quantize, checkpoint.path))
        torch.testing.assert_close(logits(model), expected, **EXACT)
        # Where a CPU does not pack weights anew, figures alone do not show that the base is a fresh one.
        assert not any(unwrap_adapter(model) is other for other in seen)
        seen.append(unwrap_adapter(model))


@pytest.mark.parametrize("quantize", ["4bit", "8bit"])
def test_floats_are_quantized_on_request_as_qlora_does(models, quantize):
    model, said = load(models["floats"], quantize)
    assert said == f"bitsandbytes {quantize[0]} bit"
    torch.testing.assert_close(logits(model), logits(plain(models["floats"], quantize)), **EXACT)
    as_stored, _ = load(models[quantize], quantize)
    torch.testing.assert_close(logits(as_stored), logits(plain(models[quantize])), **EXACT)


def test_in_8_bits_no_text_is_scored_with_another(models):
    """A feature that is large in one text is computed otherwise in all that are read with it."""
    texts = [Text(range(3, 3 + n), range(40, 40 + n)) for n in (30, 9, 20)]
    model, _ = load(models["8bit"])
    alone = plain(models["8bit"])
    for text, found in zip(texts, score_all(model, texts), strict=True):
        ids = torch.tensor([[*text.prompt_ids, *text.completion_ids]])
        with torch.no_grad():
            ln_p = alone(input_ids=ids).logits[0].log_softmax(-1)
        at = torch.arange(len(text.prompt_ids), len(text))
        torch.testing.assert_close(torch.tensor(found.logprob), ln_p[at - 1, ids[0, at]], **EXACT)


def unpacked_into(model, packed):
    """A model in floats with the weights of a packed one, by bitsandbytes' own function."""
    with torch.no_grad():
        for name, module in packed.named_modules():
            if isinstance(module, bitsandbytes.nn.Linear4bit):
                weight = bitsandbytes.functional.dequantize_4bit(module.weight, module.weight.quant_state)
                model.get_submodule(name).weight.copy_(weight)
    return model


def test_none_takes_packed_weights_back_to_floats(models):
    expected = unpacked_into(plain(models["floats"]), plain(models["4bit"]))
    model, said = load(models["4bit"], "none")
    assert said == "" and not quantization.is_quantized(model)
    torch.testing.assert_close(logits(model), logits(expected), **EXACT)
    floats, _ = load(models["floats"], "none")
    torch.testing.assert_close(logits(floats), logits(plain(models["floats"])), **EXACT)


@pytest.fixture(scope="module")
def saved_in_16_bits(tmp_path_factory, models, tokenizer):
    """Packed weights beside floats of 16 bits, as Unsloth and most others save them."""
    folder = tmp_path_factory.mktemp("16bits") / "4bit"
    asked = {"dtype": torch.bfloat16, "quantization_config": settings("4bit")}
    save_checkpoint(folder, AutoModelForCausalLM.from_pretrained(models["floats"], **asked), tokenizer, 0)
    return folder


def dtypes_of(model):
    return {weight.dtype for weight in model.parameters()}


def test_floats_beside_packed_weights_are_in_the_dtype_that_rows_are_named_by(models, saved_in_16_bits):
    packed = plain(saved_in_16_bits)
    assert torch.bfloat16 in dtypes_of(packed), "transformers leaves them as they are"
    model, _ = load(saved_in_16_bits)
    assert dtypes_of(model) == {torch.float32, torch.uint8}
    unpacked, _ = load(saved_in_16_bits, "none")
    assert dtypes_of(unpacked) == {torch.float32}
    in_16_bits = AutoModelForCausalLM.from_pretrained(models["floats"], dtype=torch.bfloat16).float()
    torch.testing.assert_close(logits(unpacked), logits(unpacked_into(in_16_bits, packed)), **EXACT)


def test_another_dtype_than_the_one_that_rows_are_named_by_is_said_where_it_has_to_stay(models, caplog):
    model = plain(models["floats"]).bfloat16()
    model.is_quantized, model.config.quantization_config = True, {"quant_method": "gptq", "bits": 4}
    for _ in range(2):
        quantization.finish(model, None, "X", CheckpointError, torch.float16)
    assert dtypes_of(model) == {torch.bfloat16}
    (said,) = [record.getMessage() for record in caplog.records]
    assert "by gptq are measured in the dtype of their file, torch.bfloat16, and not in torch.float16" in said
    quantization.finish(model, None, "X", CheckpointError, torch.bfloat16)
    assert len(caplog.records) == 1


def test_packed_weights_that_the_devices_do_not_hold_are_refused(models, runs, monkeypatch):
    monkeypatch.setattr(placement, "get_max_memory", lambda: {"cpu": 100_000})
    host, (checkpoint, _) = host_of(runs["4bit"], device_map="auto")
    with pytest.raises(RunError, match="and quantized weights are not offloaded"):
        host.load(checkpoint)


@pytest.fixture
def fp8(tmp_path, models):
    """Weights in 8-bit floats with a scale for each block, as DeepSeek saves them; and them as floats."""
    made = {}
    for name in ("fp8", "rounded"):
        made[name] = shutil.copytree(models["floats"], tmp_path / name)
    tensors = load_file(made["fp8"] / "model.safetensors")
    packed, rounded = dict(tensors), dict(tensors)
    for name, weight in tensors.items():
        if "proj" in name:
            scale = weight.abs().max() / 448
            packed[name] = (weight / scale).to(torch.float8_e4m3fn)
            packed[f"{name}_scale_inv"] = scale.reshape(1, 1)
            rounded[name] = packed[name].float() * scale
    save_file(packed, made["fp8"] / "model.safetensors", metadata={"format": "pt"})
    save_file(rounded, made["rounded"] / "model.safetensors", metadata={"format": "pt"})
    method = {"quant_method": "fp8", "activation_scheme": "dynamic", "weight_block_size": [128, 128]}
    edit_config(made["fp8"], quantization_config=method)
    return made


@pytest.mark.parametrize("quantize", [None, "none"])
def test_fp8_is_read_where_transformers_reads_it(fp8, quantize):
    if torch.accelerator.is_available() and quantize is None:
        pytest.skip("activations are rounded too")
    model, _ = load(fp8["fp8"], quantize)
    torch.testing.assert_close(logits(model), logits(plain(fp8["rounded"])), atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    ("method", "said"),
    [
        ({"quant_method": "gptq", "bits": 4}, r"by gptq, which[\s\S]*pip install optimum gptqmodel"),
        ({"quant_method": "awq", "bits": 4}, r"by awq, which[\s\S]*pip install gptqmodel, or name the model"),
        ({"quant_method": "compressed-tensors"}, r"compressed-tensors[\s\S]*pip install compressed-tensors"),
        ({"quant_method": "modelopt"}, r"by modelopt, which[\s\S]*Unknown quantization type"),
        ({"bits": 4}, "by a method that is not named"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_names_its_package(models, tmp_path, monkeypatch, method, said):
    for module, names in {"gptq": ["is_optimum_available"], "awq": ["is_gptqmodel_available"]}.items():
        for name in names:
            monkeypatch.setattr(f"transformers.quantizers.quantizer_{module}.{name}", lambda: False)
    monkeypatch.setattr(
        "transformers.quantizers.quantizer_compressed_tensors.is_compressed_tensors_available",
        lambda *_: False,
    )
    folder = shutil.copytree(models["floats"], tmp_path / "packed")
    edit_config(folder, quantization_config=method)
    with pytest.raises(CheckpointError, match=said):
        load(folder)


@pytest.mark.parametrize(("name", "quantize"), [("4bit", None), ("8bit", None), ("floats", "4bit")])
def test_without_bitsandbytes_pip_is_named_once_for_all_checkpoints(runs, monkeypatch, name, quantize):
    for bits in (4, 8):
        module = f"transformers.quantizers.quantizer_bnb_{bits}bit.is_bitsandbytes_available"
        monkeypatch.setattr(module, lambda: False)
    host, (checkpoint, _) = host_of(runs[name], quantize=quantize)
    with pytest.raises(RunError, match=r'bitsandbytes[\s\S]*pip install "overmem\[quantized\]"'):
        host.load(checkpoint)


@pytest.mark.parametrize(
    ("name", "quantize", "said"),
    [
        ("4bit", "8bit", r"not quantized again[\s\S]*8bit of bitsandbytes 4 bit[\s\S]*4bit or none"),
        ("8bit", "4bit", r"not quantized again[\s\S]*bitsandbytes 8 bit[\s\S]*8bit or none"),
    ],
)  # fmt: skip
def test_packed_weights_are_not_packed_again(models, name, quantize, said):
    with pytest.raises(CheckpointError, match=said):
        load(models[name], quantize)


def test_a_method_without_a_way_back_is_refused(models, tmp_path):
    folder = shutil.copytree(models["floats"], tmp_path / "bitnet")
    edit_config(folder, quantization_config={"quant_method": "bitnet"})
    with pytest.raises(CheckpointError, match=r"not turn back into floats[\s\S]*--quantize none of bitnet"):
        load(folder, "none")


def test_a_model_in_which_nothing_was_quantized_is_refused(models):
    floats = plain(models["floats"])
    with pytest.raises(CheckpointError, match="no weights that bitsandbytes quantizes"):
        quantization.finish(floats, "4bit", "odd", CheckpointError)
    quantization.finish(plain(models["floats"], "4bit"), "4bit", "usual", CheckpointError)


def rename_base(run, **changes):
    for file in run.glob("checkpoint-*/adapter_config.json"):
        file.write_text(json.dumps(json.loads(file.read_text()) | changes))
    return run


def test_an_adapter_of_a_4_bit_base_on_floats_is_told(models, runs, tmp_path, caplog):
    named = {"base_model_name_or_path": "unsloth/Pico-unsloth-bnb-4bit"}
    run = rename_base(shutil.copytree(runs["4bit"], tmp_path / "run"), **named)
    cases = [("floats", None, 1), ("floats", "4bit", 0), ("floats", "none", 0), ("4bit", None, 0)]
    for base, quantize, told in cases:
        caplog.clear()
        host, checkpoints = host_of(run, base_model=str(models[base]), quantize=quantize)
        for checkpoint in checkpoints:
            host.load(checkpoint)
        said = [text for text in caplog.messages if "--quantize 4bit to measure it as it was trained" in text]
        assert len(said) == told, (base, quantize)
    host, (checkpoint, _) = host_of(run)
    with pytest.raises(RunError, match="the model from before quantization will do, with --quantize 4bit"):
        host.load(checkpoint)


def test_what_was_taken_out_of_packed_weights_is_not_guessed(models, runs, tmp_path):
    run = rename_base(shutil.copytree(runs["4bit"], tmp_path / "run"), init_lora_weights="pissa")
    host, (checkpoint, _) = host_of(run)
    with pytest.raises(CheckpointError, match="the base model here is quantized"):
        host.load(checkpoint)


def test_a_lower_adapter_goes_into_floats_only(models, runs, tmp_path):
    lower = runs["4bit"] / "checkpoint-1"
    run = rename_base(shutil.copytree(runs["4bit"], tmp_path / "run"), base_model_name_or_path=str(lower))
    host, (_, checkpoint) = host_of(run)
    with pytest.raises(OvermemError, match=r"rounded again[\s\S]*bitsandbytes 4 bit[\s\S]*--quantize none"):
        host.load(checkpoint)
    host, _ = host_of(run, quantize="none")
    below = plain(models["4bit"]).dequantize()
    from peft import PeftModel

    below = PeftModel.from_pretrained(below, lower).merge_and_unload()
    expected = logits(PeftModel.from_pretrained(below, checkpoint.path))
    torch.testing.assert_close(logits(host.load(checkpoint)), expected, atol=5e-5, rtol=0)


@pytest.mark.parametrize("name", ["4bit", "8bit"])
def test_bytes_of_packed_weights_are_those_in_memory(models, name):
    packed, floats = plain(models[name]), plain(models["floats"])
    held = sum(weight.numel() * weight.element_size() for weight in packed.parameters())
    parameters = sum(weight.numel() for weight in floats.parameters())
    said = quantization.measured_as(AutoConfig.from_pretrained(models[name]), None)
    assert quantization.weight_bytes(floats, parameters, said, torch.float32) == held
    assert quantization.weight_bytes(floats, parameters, "", torch.float32) == 4 * parameters
