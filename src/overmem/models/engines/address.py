"""How an engine is named: `hf`, `vllm[:ARGUMENT=VALUE,...]`, `openai:URL` or `openai-text:URL`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from overmem.errors import RunError
from overmem.parsing import parse_json

FIELDS = ("{name}", "{path}", "{step}")
"""What a template of model names may hold; without any, all checkpoints would be one model."""


@dataclass(frozen=True, kw_only=True)
class Address:
    """Where a server is and how it takes prompts."""

    secure: bool
    host: str
    port: int | None
    path: str
    """What comes before `/completions`: `/v1`."""
    text_only: bool = False
    """Prompts are sent as text without trying token ids first."""

    @property
    def url(self) -> str:
        """For people; holds no secret."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port is None else f":{self.port}"
        return f"{'https' if self.secure else 'http'}://{host}{port}{self.path}"


@dataclass(frozen=True)
class InProcess:
    """vLLM, which the audit starts itself."""

    arguments: Mapping[str, Any]
    """More of `vllm.LLM`'s own."""


RESERVED_ARGUMENTS = {
    "model": "the run decides it",
    "tokenizer": "the run decides it",
    "dtype": "pass --dtype",
    "trust_remote_code": "pass --trust-remote-code",
    "seed": "pass --seed",
    "enable_lora": "the checkpoints decide it",
}
"""Arguments of vLLM that are not the engine's, and whose they are."""


def parse_engine(name: str) -> Address | InProcess | None:
    """The server or the library that an engine's name speaks of; None for `hf`, the model in memory.

    Raises:
        RunError: not an engine, or a URL or an argument that cannot be used.
    """
    if name == "hf":
        return None
    kind, _, url = name.partition(":")
    if kind == "vllm":
        return InProcess(_arguments(url))
    if kind not in ("openai", "openai-text") or not url:
        raise RunError(
            "unknown engine",
            got=_redacted(name),
            expected="hf, vllm, openai:http://HOST:PORT, or openai-text:URL",
        )
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise RunError("the engine's URL cannot be read", got=error) from None
    host = parts.hostname or ""
    usable = parts.scheme in ("http", "https") and not (parts.query or parts.fragment)
    if not (usable and _is_host(host) and _is_visible_ascii(parts.path)):
        raise RunError(
            "the engine's URL cannot be used", got=_redacted(url), expected="http://HOST:PORT[/v1]"
        )
    if parts.username is not None or parts.password is not None:
        raise RunError(
            "a password in the engine's URL would be saved with the results",
            expected="http://HOST:PORT[/v1]",
            next_step="put the key in the environment variable OVERMEM_API_KEY",
        )
    return Address(
        secure=parts.scheme == "https",
        host=host,
        port=port,
        path=parts.path.rstrip("/") or "/v1",
        text_only=kind == "openai-text",
    )


def _arguments(text: str) -> dict[str, Any]:
    """`gpu_memory_utilization=0.4,max_model_len=4096`: numbers, true, false and null, else text."""
    found: dict[str, Any] = {}
    for part in filter(None, text.split(",")):
        name, is_given, value = part.partition("=")
        if not is_given or not name.isidentifier():
            raise RunError(
                "an argument of vLLM cannot be read",
                got=part,
                expected="--engine vllm:gpu_memory_utilization=0.4,max_model_len=4096",
            )
        if name in RESERVED_ARGUMENTS:
            raise RunError(
                "an argument of vLLM that is not the engine's", got=part, next_step=RESERVED_ARGUMENTS[name]
            )
        try:
            found[name] = parse_json(value)
        except ValueError:
            found[name] = value
    return found


def check_template(template: str | None) -> None:
    """Refuse a template of model names that gives every checkpoint the same name.

    Raises:
        RunError: it holds none of `FIELDS`.
    """
    if template is not None and not any(field in template for field in FIELDS):
        raise RunError(
            "all checkpoints would have one name at the server",
            got=f"--engine-model {template}",
            expected=f"a template with {', '.join(FIELDS[:-1])} or {FIELDS[-1]}",
            next_step="serve each checkpoint under its own name",
        )


def _is_host(name: str) -> bool:
    """Whether it can be looked up; a part of more than 63 characters, for one, cannot."""
    try:
        name.encode("idna")
    except UnicodeError:
        return False
    return bool(name) and name.isprintable() and " " not in name


def _is_visible_ascii(path: str) -> bool:
    return path.isascii() and path.isprintable() and " " not in path


def _redacted(text: str) -> str:
    """A URL without what might be a password."""
    return text if "@" not in text else text.partition(":")[0] + ":..." + text.rpartition("@")[2]
