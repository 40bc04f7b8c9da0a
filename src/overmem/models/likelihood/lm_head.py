"""A model in two steps: hidden states of every position, then the logits of a few of them at a time.

Logits of all positions at once are what fills the memory: 4,000 positions of a vocabulary of 152,000 are
2.4 GB in fp32. The second step runs the model's own `forward` with its body left out, so that whatever it
does to logits (biases, scales, soft caps) is done. Whether that is right is tried; see
`overmem.models.likelihood.scored_logits`.

Shapes: B sequences of a batch, L positions read, P positions of a piece, H hidden size, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from transformers.utils import ModelOutput

from overmem.errors import CheckpointError
from overmem.models.placement import input_device
from overmem.models.pretrained import run_model, unwrap_adapter
from overmem.models.trials import Trials

_bodies = Trials()


@dataclass(frozen=True)
class HiddenStates:
    """What a model's body makes of some tokens, before its LM head."""

    model: Any
    output: Any
    """Of the body, as it gives it."""
    ids_B_L: torch.Tensor

    def logits(self, start: int, stop: int) -> torch.Tensor:
        """Logits of some of the positions, (B, P, V), in the model's dtype."""
        base = unwrap_adapter(self.model)
        with _giving(_body(base), _at(self.output, slice(start, stop))):
            found = run_model(base, input_ids=self.ids_B_L[:, start:stop], use_cache=False).logits
        return torch.as_tensor(found)


def read_hidden_states(model: Any, ids_B_L: torch.Tensor, **inputs: Any) -> HiddenStates:
    """Run a model, and keep the hidden states of every position and the logits of none.

    Args:
        model: a language model in eval mode.
        ids_B_L: token ids.
        **inputs: of its `forward` beside them.

    Raises:
        CheckpointError: the model's own code fails, or it has no body that could be run alone.
    """
    body = _body(model)
    seen: list[Any] = []

    def keep(module: Any, args: Any, output: Any) -> Any:
        seen.append(output)
        return _at(output, slice(-1, None))

    hook = body.register_forward_hook(keep)
    try:
        run_model(model, input_ids=ids_B_L, **inputs)
    finally:
        hook.remove()
    return HiddenStates(model, seen[-1], ids_B_L)


def _body(model: Any) -> torch.nn.Module:
    """What a model runs before its LM head, by the names of transformers: the outermost that it does run."""
    base = unwrap_adapter(model)
    bodies: dict[str, torch.nn.Module] = {"base_model": getattr(base, "base_model", base)}
    if hasattr(base, "get_decoder"):
        bodies["decoder"] = base.get_decoder()

    def attempt() -> tuple[str, bool]:
        ran: set[str] = set()
        hooks = [
            body.register_forward_hook(lambda *_, name=name: ran.add(name))
            for name, body in bodies.items()
            if body is not base and isinstance(body, torch.nn.Module)
        ]
        try:
            one = torch.zeros(1, 1, dtype=torch.long, device=input_device(base))
            run_model(base, input_ids=one, use_cache=False)
        finally:
            for hook in hooks:
                hook.remove()
        return next((name for name in bodies if name in ran), ""), True

    name = _bodies.find(base, attempt)
    if not name:
        raise CheckpointError("the model has no body that could be run alone", got=type(base).__name__)
    return bodies[name]


def _at(output: Any, positions: slice) -> Any:
    """A body's output with the hidden states of some positions alone."""
    states = output[0][:, positions]
    if isinstance(output, ModelOutput):
        first = next(iter(output))
        return type(output)(**{**output, first: states})
    return (states, *output[1:])


@contextmanager
def _giving(body: Any, output: Any) -> Iterator[None]:
    """Within, a body computes nothing and gives this."""
    own = vars(body).get("forward")
    body.forward = lambda *args, **kwargs: output
    try:
        yield
    finally:
        if own is None:
            del body.forward
        else:
            body.forward = own
