"""vLLM as an engine, without a server: adapters by request over one base model, full checkpoints in turn.

Each full checkpoint gets a vLLM of its own: its `reload_weights` leaves an output layer that is tied to the
embeddings as it was (seen with 0.32), and so answers as neither checkpoint.

The prompts are the very tokens that the audit measures, and every answer is drawn from the whole
distribution and ends at the audit's own stops. vLLM shares the device with the model in memory, which
measures all that is not an answer, so it takes half of the device unless told otherwise.
"""

from __future__ import annotations

import importlib
import os
import shutil
import tempfile
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from overmem.checkpoints import ADAPTER_CONFIG
from overmem.errors import CheckpointError, EngineError
from overmem.extras import needs_extra
from overmem.models.adapters import changed_base
from overmem.models.base_models import adapter_folder, split_revision
from overmem.models.decoding.generation import Generation
from overmem.models.decoding.sampling import Sampling, seed_of
from overmem.models.decoding.unfinished import UnfinishedAnswers
from overmem.models.engines.prompt_logprobs import BESIDE, ids_of, likelihood_row
from overmem.models.engines.protocol import check_uncut
from overmem.models.likelihood.scored_logits import TokenIds
from overmem.models.loading import ModelHost
from overmem.parsing import read_json_or_empty
from overmem.records import Checkpoint
from overmem.rendering.decoded import answer_text

RANKS = (8, 16, 32, 64, 128, 256, 320, 512)
"""The `max_lora_rank` that vLLM takes."""
DEVICE_SHARE = 0.5
"""Of the accelerator's memory; vLLM's own 0.9 leaves no room for the model in memory."""
ENVIRONMENT = {"VLLM_LOGGING_LEVEL": "ERROR", "VLLM_NO_USAGE_STATS": "1"}
"""Unless set already: a quiet terminal."""
ON_CPU = {"VLLM_ENABLE_V1_MULTIPROCESSING": "0", "VLLM_CPU_OMP_THREADS_BIND": "nobind"}
"""In this process, which restarts faster, and on whatever cores it has been given."""
ON_GPU = {"VLLM_WORKER_MULTIPROC_METHOD": "spawn"}
"""In a process of its own, whose end gives all memory back."""
UNSUPPORTED = {
    "use_dora": "DoRA",
    "modules_to_save": "whole modules beside the adapter",
    "lora_bias": "trained biases",
}
"""Fields of an adapter's configuration that vLLM refuses where they are set."""


class VllmEngine:
    """Answers with vLLM, which holds one base model or one full checkpoint."""

    local = False
    in_flight = 1024

    def __init__(self, host: ModelHost, arguments: Mapping[str, Any], *, scores: bool = False) -> None:
        """Prepare; vLLM is started by `connect` or `generate`.

        Args:
            host: knows base models and dtype.
            arguments: more of `vllm.LLM`'s own, which win over those chosen here.
            scores: references are scored, too.
        """
        self.host, self.arguments, self.scores = host, dict(arguments), scores
        self._llm: Any = None
        self._holds: tuple[str, str] | None = None
        """Kind of checkpoint and path of the weights that vLLM was started with."""
        self._rank = 0
        self._plain: Path | None = None
        """Where adapters are made plain, until this engine goes."""
        self._adapters: dict[str, tuple[int, Path]] = {}
        """Number and plain folder of each adapter asked for so far."""

    @property
    def settings(self) -> Mapping[str, Any]:
        """Of the rows' key."""
        return {"engine": "vllm/1", "dtype": str(self.host.dtype), **self.arguments}

    def connect(
        self, checkpoints: Sequence[Checkpoint], tokenizer: Any, prompt: Sequence[int]
    ) -> dict[str, str]:
        """Start vLLM with what the first of the checkpoints that it can hold needs.

        Raises:
            EngineError: it is not installed or does not start.
        """
        self._library()
        refused = {c.name: why for c in checkpoints if (why := _refusal(c)) is not None}
        taken = [checkpoint for checkpoint in checkpoints if checkpoint.name not in refused]
        if taken:
            self._rank = max(map(_rank, taken))
            self._start(taken[0])
        return refused

    def describe(self) -> dict[str, Any] | None:
        """What was started; None before it was."""
        if self._llm is None:
            return None
        return {"kind": "vllm", "version": self._library().__version__, "arguments": self.arguments}

    def close(self) -> None:
        """End vLLM, which gives its memory back."""
        if self._llm is not None:
            self._llm.llm_engine.engine_core.shutdown()
        self._llm, self._holds = None, None

    def generate(
        self,
        model: Any,
        prompts: Sequence[Sequence[int]],
        tokenizer: Any,
        *,
        stops: Sequence[int],
        max_new_tokens: int,
        sampling: Sampling | None = None,
        example_ids: Sequence[str] | None = None,
        unfinished: UnfinishedAnswers | None = None,
    ) -> list[list[Generation]]:
        """Answer prompts as the checkpoint `model`; see `Engine.generate`.

        Raises:
            CheckpointError: vLLM cannot take the checkpoint.
            EngineError: vLLM fails.
        """
        checkpoint: Checkpoint = model
        if (why := _refusal(checkpoint)) is not None:
            raise CheckpointError(why)
        library = self._library()
        samples = 1 if sampling is None else sampling.samples
        common = {
            "max_tokens": max_new_tokens, "stop_token_ids": list(stops), "ignore_eos": True,
            "logprobs": 0, "detokenize": False,
        }  # fmt: skip
        # Each sample is a request of its own, so that more samples change nothing that is there already.
        wanted = [
            library.SamplingParams(temperature=0.0, **common)
            if sampling is None
            else library.SamplingParams(
                temperature=sampling.temperature,
                seed=seed_of(sampling.seed, (example_ids or ())[index], sample),
                **common,
            )
            for index in range(len(prompts))
            for sample in range(samples)
        ]
        asked = [prompt for prompt in prompts for _ in range(samples)]
        done = self._ask(checkpoint, asked, wanted)
        answers = [_read(request.outputs[0], tokenizer) for request in done]
        for answer in answers:
            check_uncut(answer, max_new_tokens, "vLLM")
        return [answers[start : start + samples] for start in range(0, len(answers), samples)]

    def score(self, model: Any, items: Sequence[TokenIds]) -> list[dict[str, Any]]:
        """Score references at the checkpoint `model`; see `ScoringEngine.score`.

        Raises:
            CheckpointError: vLLM cannot take the checkpoint.
            EngineError: vLLM fails, or says something else of the tokens.
        """
        checkpoint: Checkpoint = model
        if (why := _refusal(checkpoint)) is not None:
            raise CheckpointError(why)
        wanted = self._library().SamplingParams(
            temperature=0.0, max_tokens=1, ignore_eos=True, detokenize=False, prompt_logprobs=BESIDE
        )
        asked = [ids_of(item) for item in items]
        done = self._ask(checkpoint, asked, [wanted] * len(asked))
        try:
            return [
                likelihood_row(item, _plain(request.prompt_logprobs))
                for item, request in zip(items, done, strict=True)
            ]
        except ValueError as error:
            raise EngineError(
                f"vLLM does not score {checkpoint.name} as it was asked to",
                got=str(error),
                expected="ln p of every token of the prompt, by its id",
                next_step="leave out --engine-scores",
            ) from None

    def _ask(self, checkpoint: Checkpoint, prompts: Sequence[Sequence[int]], wanted: Sequence[Any]) -> Any:
        """What vLLM makes of prompts as a checkpoint."""
        asked = [{"prompt_token_ids": list(prompt)} for prompt in prompts]
        adapter = self._load(checkpoint)
        try:
            return self._llm.generate(asked, wanted, lora_request=adapter, use_tqdm=False)
        # Its errors have no base class of their own.
        except Exception as error:
            raise _failed(f"vLLM cannot answer as {checkpoint.name}", error) from error

    def _load(self, checkpoint: Checkpoint) -> Any:
        """Get ready to answer as a checkpoint; the request for its adapter, or None."""
        self._start(checkpoint)
        if checkpoint.kind != "adapter":
            return None
        number, folder = self._adapter(checkpoint)
        request = importlib.import_module("vllm.lora.request").LoRARequest
        return request(checkpoint.name, number, str(folder))

    def _adapter(self, checkpoint: Checkpoint) -> tuple[int, Path]:
        if checkpoint.name not in self._adapters:
            if self._plain is None:
                self._plain = Path(tempfile.mkdtemp(prefix="overmem-vllm-"))
                weakref.finalize(self, shutil.rmtree, self._plain, ignore_errors=True)
            number = len(self._adapters) + 1
            folder = self.host.adapted.plain_folder(checkpoint, self._plain / str(number))
            self._adapters[checkpoint.name] = number, folder
        return self._adapters[checkpoint.name]

    def _start(self, checkpoint: Checkpoint) -> None:
        """Start vLLM unless it holds what the checkpoint needs."""
        adapted = checkpoint.kind == "adapter"
        holds = (checkpoint.kind, self.host.base_of(checkpoint) if adapted else str(checkpoint.path))
        # Without an adapter in the request, vLLM answers as the base model that the adapters are on.
        if self._llm is not None and self._holds in (holds, ("adapter", holds[1])):
            return
        self.close()
        where, revision = split_revision(holds[1])
        if adapter_folder(holds[1]) is not None:
            raise EngineError(
                "vLLM cannot load an adapter on top of another adapter",
                got=f"{checkpoint.name} on {holds[1]}",
                next_step="merge the lower one into its base model with PEFT, or leave out --engine vllm",
            )
        arguments = {
            "model": where,
            **({} if revision is None else {"revision": revision}),
            "dtype": str(self.host.dtype).removeprefix("torch."),
            "trust_remote_code": self.host.trust_remote_code,
            "skip_tokenizer_init": True,
            "disable_log_stats": True,
            "use_tqdm_on_load": False,
        }
        if self.host.device.type == "cpu":
            arguments["enforce_eager"] = True
        else:
            arguments["gpu_memory_utilization"] = DEVICE_SHARE
        if adapted:
            rank = max(self._rank, _rank(checkpoint))
            arguments |= {"enable_lora": True, "max_lora_rank": next(r for r in RANKS if r >= rank)}
        try:
            self._llm = self._library().LLM(**(arguments | self.arguments))
        # Whatever vLLM, a compiler or a driver raises here is about this machine and these options.
        except Exception as error:
            raise _failed("vLLM does not start", error) from error
        self._holds = holds

    def _library(self) -> Any:
        for name, value in (ENVIRONMENT | (ON_CPU if self.host.device.type == "cpu" else ON_GPU)).items():
            os.environ.setdefault(name, value)
        with needs_extra("vllm", "--engine vllm", otherwise="name another --engine (docs/engines.md)"):
            return importlib.import_module("vllm")


def _rank(checkpoint: Checkpoint) -> int:
    """Rank that vLLM has to hold; an adapter over a changed base model is plain at twice its own."""
    config = read_json_or_empty(checkpoint.path / ADAPTER_CONFIG)
    largest: int = max([config.get("r", 0), *(config.get("rank_pattern") or {}).values()])
    return largest if changed_base(config) is None else 2 * largest


def _refusal(checkpoint: Checkpoint) -> str | None:
    """Why vLLM cannot answer as a checkpoint."""
    config = read_json_or_empty(checkpoint.path / ADAPTER_CONFIG)
    what = next((what for field, what in UNSUPPORTED.items() if config.get(field)), None)
    if what is None and config.get("bias", "none") != "none":
        what = UNSUPPORTED["lora_bias"]
    if what is None and config.get("peft_type", "LORA") != "LORA":
        what = f"{config['peft_type']} adapters"
    if what is None and _rank(checkpoint) > RANKS[-1]:
        what = f"a rank of {_rank(checkpoint)}, above {RANKS[-1]}"
    if what is None:
        return None
    return (
        f"{checkpoint.name}: vLLM does not take {what}; use --engine hf, or make it a full checkpoint with "
        "overmem merge --into-full"
    )


def _read(output: Any, tokenizer: Any) -> Generation:
    tokens = tuple(output.token_ids)
    return Generation(
        text=answer_text(tokenizer, tokens),
        tokens=tokens,
        finished=output.finish_reason == "stop",
        mean_logprob=float(output.cumulative_logprob) / len(tokens),
    )


def _plain(found: Any) -> Any:
    """`prompt_logprobs` of vLLM's own classes as they are in JSON."""
    if found is None:
        return None
    return [
        None if entry is None else {t: {"logprob": x.logprob, "rank": x.rank} for t, x in entry.items()}
        for entry in found
    ]


def _failed(what: str, error: BaseException) -> EngineError:
    return EngineError(
        what,
        got=(str(error).splitlines() or [type(error).__name__])[0],
        next_step="see docs/engines.md; vLLM's own arguments are given as "
        "--engine vllm:gpu_memory_utilization=0.4,max_model_len=4096",
    )
