"""What overmem uses of vLLM, with our own decoding behind it; strict about what real vLLM refuses."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM

from overmem.models.decoding.generation import generate
from overmem.models.decoding.sampling import Sampling

TAKEN = {
    "model", "dtype", "trust_remote_code", "skip_tokenizer_init", "disable_log_stats", "use_tqdm_on_load",
    "enforce_eager", "enable_lora", "max_lora_rank", "max_model_len", "gpu_memory_utilization",
}  # fmt: skip
SAMPLING = {
    "temperature", "seed", "max_tokens", "stop_token_ids", "ignore_eos", "logprobs", "detokenize",
    "prompt_logprobs",
}  # fmt: skip


class SamplingParams:
    def __init__(self, **given):
        assert set(given) <= SAMPLING, given
        self.__dict__.update({"seed": None} | given)


class LoRARequest:
    def __init__(self, lora_name, lora_int_id, lora_path):
        assert lora_int_id >= 1
        self.number, self.path = lora_int_id, Path(lora_path)


def install(monkeypatch, tokenizer):
    """Put it where `import vllm` finds it; every engine started is in the list returned."""
    started = []

    class LLM:
        def __init__(self, **given):
            if unknown := set(given) - TAKEN:
                raise TypeError(f"EngineArgs.__init__() got an unexpected keyword argument {min(unknown)!r}")
            assert not any(other.running for other in started), "two engines at once"
            self.given, self.running, self.adapters, self.requests = given, True, {}, []
            self.model = load(given)
            self.llm_engine = SimpleNamespace(engine_core=SimpleNamespace(shutdown=self.end))
            started.append(self)

        def end(self):
            self.running = False

        def generate(self, prompts, params, lora_request=None, use_tqdm=True):
            assert self.running and not use_tqdm
            self.requests += params
            model = self.model if lora_request is None else self.adapted(lora_request)
            return [self.answer(model, p, s) for p, s in zip(prompts, params, strict=True)]

        def adapted(self, request):
            config = json.loads((request.path / "adapter_config.json").read_text())
            assert self.given["enable_lora"] and config["r"] <= self.given["max_lora_rank"]
            assert not config.get("use_dora") and not config.get("modules_to_save")
            # As vLLM: an adapter is known by its number, and its start is not looked at.
            assert config["init_lora_weights"] is True
            if request.number not in self.adapters:
                self.adapters[request.number] = PeftModel.from_pretrained(load(self.given), request.path)
            return self.adapters[request.number].eval()

        def answer(self, model, prompt, params):
            if getattr(params, "prompt_logprobs", None):
                seen = prompt_logprobs(model, prompt["prompt_token_ids"], params.prompt_logprobs)
                entries = [e and {t: SimpleNamespace(**x) for t, x in e.items()} for e in seen]
                return SimpleNamespace(outputs=[], prompt_logprobs=entries)
            assert params.ignore_eos and params.logprobs == 0 and not params.detokenize
            drawn = (
                Sampling(samples=1, temperature=params.temperature, seed=params.seed)
                if params.temperature
                else None
            )
            [[answer]] = generate(
                model, [prompt["prompt_token_ids"]], tokenizer, stops=params.stop_token_ids,
                max_new_tokens=params.max_tokens, sampling=drawn, example_ids=["x"],
            )  # fmt: skip
            reason = "stop" if answer.finished else "length"
            total = answer.mean_logprob * answer.n_tokens
            output = SimpleNamespace(
                token_ids=list(answer.tokens), finish_reason=reason, cumulative_logprob=total
            )
            return SimpleNamespace(outputs=[output])

    for name, content in {
        "vllm": {"LLM": LLM, "SamplingParams": SamplingParams, "__version__": "0.0"},
        "vllm.lora": {},
        "vllm.lora.request": {"LoRARequest": LoRARequest},
    }.items():
        module = ModuleType(name)
        module.__dict__.update(content)
        monkeypatch.setitem(sys.modules, name, module)
    return started


@torch.inference_mode()
def prompt_logprobs(model, ids, beside):
    """ln p and rank of each token of a prompt but the first, and of the likeliest, by plain transformers."""
    logprobs = torch.log_softmax(model(input_ids=torch.tensor([list(ids)])).logits[0].float(), -1)
    found = [None]
    for row, token in zip(logprobs, ids[1:], strict=False):
        shown = [token, *row.topk(beside).indices.tolist()]
        found.append({t: {"logprob": row[t].item(), "rank": int((row > row[t]).sum()) + 1} for t in shown})
    return found


def load(given):
    dtype = getattr(torch, given["dtype"])
    return AutoModelForCausalLM.from_pretrained(given["model"], dtype=dtype).eval()
