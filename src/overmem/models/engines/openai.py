"""An OpenAI-compatible server as an engine: vLLM, SGLang, llama.cpp, transformers serve.

Prompts are the very tokens that the audit measures. Where a server takes token ids it gets them; where it
takes only text, the text is sent only if our tokenizer makes the same tokens of it again. Either way the
server's own count of prompt tokens, when it gives one, has to agree with ours.

Every answer is one request. Each sample has a seed made from the audit's seed, the example and the sample's
number, so that more samples, a restart or another order change nothing that is there already.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from overmem.errors import CheckpointError, EngineError
from overmem.models.decoding.sampling import Sampling, seed_of
from overmem.models.decoding.unfinished import UnfinishedAnswers
from overmem.models.engines.address import Address
from overmem.models.engines.answers import ServedAnswer, read_answer, read_models
from overmem.models.engines.dialect import (
    DIALECTS,
    CompletionRequest,
    Dialect,
    completion_request,
    request_body,
    scoring_body,
)
from overmem.models.engines.prompt_logprobs import BESIDE, PromptAlone, ids_of, read_scores
from overmem.models.engines.protocol import check_uncut
from overmem.models.engines.served_models import ServedModels
from overmem.models.engines.transport import Refused, RetryPolicy, Server
from overmem.models.likelihood.scored_logits import TokenIds
from overmem.records import Checkpoint

FORM_REFUSED = frozenset({400, 415, 422, 501})
"""Statuses with which servers refuse the form of a request, so that another form may be taken."""
FIRST: Mapping[str, Any] = {"attempts": 3, "most_wait_seconds": 10.0}
"""For the first request of all: a wrong address, or a long wait, should be said at once."""
REQUESTS_PER_WORKER = 4
"""Requests of a batch for each that is under way, so that slow answers do not leave the server idle."""


class _PromptMismatch(EngineError):
    """The server counts other prompt tokens than the audit."""


class OpenAiEngine:
    """Answers through `/completions` of a server."""

    local = False

    def __init__(
        self,
        address: Address,
        *,
        template: str | None = None,
        on_demand: bool = False,
        concurrency: int = 16,
        scores: bool = False,
        retry_policy: RetryPolicy,
    ) -> None:
        """Prepare; nothing is sent before `connect` or `generate`.

        Args:
            address: of the server.
            template: of the models' names; None finds a checkpoint by its path or its name.
            on_demand: the server loads whatever it is asked for, so its list of models says nothing.
            concurrency: most requests at once.
            scores: references are scored, too, as vLLM's servers can.
            retry_policy: with a server that fails.
        """
        self.server = Server(address, retry_policy)
        self.template, self.on_demand, self.concurrency = template, on_demand, concurrency
        self.scores = scores
        self._models: ServedModels | None = None
        """None before they were asked for."""
        self._dialect: Dialect | None = None

    @property
    def settings(self) -> Mapping[str, Any]:
        """Of the rows' key; not where the server is, so that a server may move."""
        return {"engine": "openai/1", "engine_model": self.template}

    @property
    def in_flight(self) -> int:
        """See `Engine`."""
        return REQUESTS_PER_WORKER * self.concurrency

    def connect(
        self, checkpoints: Sequence[Checkpoint], tokenizer: Any, prompt: Sequence[int]
    ) -> dict[str, str]:
        """Find out what is served and how to ask for it.

        Raises:
            EngineError: no answer, none of the checkpoints is served, or no request is taken.
        """
        models = self._models = self._list_models()
        names = {checkpoint.name: models.name_of(checkpoint) for checkpoint in checkpoints}
        if not any(names.values()):
            raise EngineError(
                f"the engine at {self.server.address.url} serves none of the checkpoints",
                got=models.said(self.server.redacted),
                expected=", ".join(models.possible_names(checkpoint)[-1] for checkpoint in checkpoints),
                next_step="serve them under these names, or say with --engine-model how they are called; "
                "--engine-on-demand if the server loads what it is asked for",
            )
        first = next(name for name in names.values() if name is not None)
        self._dialect = self._negotiate(first, tokenizer, prompt)
        if self.scores:
            self._check_scores(first, prompt)
        return {c.name: self._not_served(models, c) for c in checkpoints if names[c.name] is None}

    def describe(self) -> dict[str, Any] | None:
        """How the server was asked; None before it was."""
        if self._dialect is None:
            return None
        return {
            "kind": "openai",
            "url": self.server.address.url,
            "model": self.template,
            "prompts": self._dialect.prompts,
            "sampling": self._dialect.sampling,
            "logprobs": self._dialect.logprobs,
        }

    def close(self) -> None:
        """Nothing to do: the server is not ours."""

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
    ) -> list[list[ServedAnswer]]:
        """Answer prompts as the checkpoint `model`; see `Engine.generate`.

        Raises:
            CheckpointError: the checkpoint is not served.
            EngineError: the server fails, refuses, or reads the prompt otherwise.
        """
        checkpoint: Checkpoint = model
        if self._dialect is None:
            self.connect([checkpoint], tokenizer, prompts[0])
        assert self._dialect is not None
        name = self._name_of(checkpoint)
        # Samples are drawn at a temperature, and not every server gives log-probabilities without it.
        dialect = replace(self._dialect, logprobs=self._dialect.logprobs and sampling is None)
        samples = 1 if sampling is None else sampling.samples
        requests = [
            completion_request(
                dialect,
                prompt,
                tokenizer,
                stops,
                max_new_tokens,
                temperature=0.0 if sampling is None else sampling.temperature,
                seed=None if sampling is None else seed_of(sampling.seed, (example_ids or ())[i], sample),
            )
            for i, prompt in enumerate(prompts)
            for sample in range(samples)
        ]
        tasks = [lambda q=request: self._answer(dialect, name, q, tokenizer) for request in requests]
        answers = self.server.run_all(tasks, self.concurrency)
        return [answers[i : i + samples] for i in range(0, len(answers), samples)]

    def score(self, model: Any, items: Sequence[TokenIds]) -> list[dict[str, Any]]:
        """Score references at the checkpoint `model`; see `ScoringEngine.score`.

        Raises:
            CheckpointError: the checkpoint is not served.
            EngineError: the server fails, refuses, or says something else of the tokens.
        """
        name = self._name_of(model)
        tasks = [lambda item=item: self._scored(name, item) for item in items]
        return self.server.run_all(tasks, self.concurrency)

    def _check_scores(self, model: str, prompt: Sequence[int]) -> None:
        """Refuse a server that does not score: at once, and not after hours of answers."""
        try:
            self._scored(model, PromptAlone(prompt))
        except EngineError as error:
            raise EngineError(
                f"the engine at {self.server.address.url} does not score references",
                got=error.got,
                expected="a server of vLLM, which takes token ids and prompt_logprobs",
                next_step="leave out --engine-scores, and the model in memory scores them",
            ) from None

    def _scored(self, model: str, item: TokenIds) -> dict[str, Any]:
        try:
            return self.server.ask(
                "/completions",
                scoring_body(model, ids_of(item), BESIDE),
                lambda found: read_scores(found, model, item),
            )
        except Refused as refusal:
            raise self._refused(refusal, model) from None

    def _answer(
        self, dialect: Dialect, model: str, request: CompletionRequest, tokenizer: Any
    ) -> ServedAnswer:
        body = request_body(dialect, model, request)
        try:
            answer = self.server.ask("/completions", body, lambda found: read_answer(found, model, request))
        except Refused as refusal:
            raise self._refused(refusal, model) from None
        wrong = self._prompt_mismatch(answer, request)
        if wrong is not None:
            raise wrong
        check_uncut(answer, request.max_new_tokens, f"the engine at {self.server.address.url}")
        if answer.n_tokens < 0:
            written = len(tokenizer(answer.text, add_special_tokens=False)["input_ids"])
            answer = replace(answer, n_tokens=written + answer.finished)
        return answer

    def _negotiate(self, model: str, tokenizer: Any, prompt: Sequence[int]) -> Dialect:
        """The first way of asking that the server takes, tried with answers of one token."""
        failures: list[EngineError] = []
        stops = [] if tokenizer.eos_token_id is None else [tokenizer.eos_token_id]
        for dialect in DIALECTS:
            if self.server.address.text_only and dialect.prompts != "text":
                continue
            request = completion_request(dialect, prompt, tokenizer, stops, 1, temperature=1.0, seed=1)
            taken = self._try(dialect, model, request)
            if isinstance(taken, ServedAnswer):
                richer = replace(dialect, logprobs=True)
                greedy = replace(request, temperature=0.0, seed=None)
                told = self._try(richer, model, greedy)
                knows = isinstance(told, ServedAnswer) and told.mean_logprob == told.mean_logprob
                return richer if knows else dialect
            failures.append(taken)
        # That a prompt is read otherwise says more than that another form of request is not known.
        raise next((failure for failure in failures if isinstance(failure, _PromptMismatch)), failures[-1])

    def _try(self, dialect: Dialect, model: str, request: CompletionRequest) -> ServedAnswer | EngineError:
        body = request_body(dialect, model, request)
        try:
            answer = self.server.ask(
                "/completions",
                body,
                lambda found: read_answer(found, model, request),
                # Without a list of models this is the first that is asked of the server.
                **(FIRST if self.on_demand else {}),
            )
        except Refused as refusal:
            if refusal.status not in FORM_REFUSED:
                raise self._refused(refusal, model) from None
            return self._refused(refusal, model)
        return self._prompt_mismatch(answer, request) or answer

    def _list_models(self) -> ServedModels:
        names: Sequence[str] = ()
        if not self.on_demand:
            try:
                names = self.server.ask("/models", read=read_models, **FIRST)
            except Refused as refusal:
                raise self._refused(refusal, "/models") from None
        return ServedModels(names=tuple(names), template=self.template, on_demand=self.on_demand)

    def _name_of(self, checkpoint: Checkpoint) -> str:
        """The name to ask for.

        Raises:
            CheckpointError: it is not served.
        """
        if self._models is None:
            self._models = self._list_models()
        name = self._models.name_of(checkpoint)
        if name is None:
            raise CheckpointError(self._not_served(self._models, checkpoint))
        return name

    def _not_served(self, models: ServedModels, checkpoint: Checkpoint) -> str:
        return (
            f"{checkpoint.name} is not served by {self.server.address.url} as "
            f"{models.possible_names(checkpoint)[-1]} (served: {models.said(self.server.redacted)}); "
            "serve it and run the same command again"
        )

    def _prompt_mismatch(self, answer: ServedAnswer, request: CompletionRequest) -> EngineError | None:
        """What to say when the server counts other prompt tokens than ours."""
        if answer.prompt_tokens in (None, len(request.ids)):
            return None
        return _PromptMismatch(
            f"the engine at {self.server.address.url} reads a prompt otherwise than the audit",
            got=f"{answer.prompt_tokens} prompt tokens by the server's count",
            expected=f"{len(request.ids)}, as in training",
            next_step="serve the checkpoint with its own tokenizer, and so that nothing is added to "
            "prompts or cut from them",
        )

    def _refused(self, refusal: Refused, what: str) -> EngineError:
        hints = {
            401: "put the key into the environment variable OVERMEM_API_KEY",
            403: "put the key into the environment variable OVERMEM_API_KEY",
            404: "check the URL: it ends where /completions and /models begin, as in http://HOST:8000/v1; "
            "--engine-on-demand if the server loads what it is asked for and lists nothing",
        }
        return EngineError(
            f"the engine at {self.server.address.url} refuses a request",
            got=f"{what}: status {refusal.status}: {refusal.message}",
            expected="a completion",
            next_step=hints.get(refusal.status, "see docs/engines.md for how to start a server"),
        )
