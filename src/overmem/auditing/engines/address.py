"""How an engine is named: `hf`, `openai:URL` or `openai-text:URL`."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from overmem.errors import RunError

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


def parse_engine(name: str) -> Address | None:
    """The server that an engine's name speaks of; None for `hf`, the model in memory.

    Raises:
        RunError: not an engine, or a URL that cannot be used.
    """
    if name == "hf":
        return None
    kind, _, url = name.partition(":")
    if kind not in ("openai", "openai-text") or not url:
        raise RunError(
            "unknown engine", got=_public(name), expected="hf, openai:http://HOST:PORT, or openai-text:URL"
        )
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise RunError("the engine's URL cannot be read", got=error) from None
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise RunError("the engine's URL cannot be used", got=_public(url), expected="http://HOST:PORT[/v1]")
    if parts.username is not None or parts.password is not None:
        raise RunError(
            "a password in the engine's URL would be saved with the results",
            expected="http://HOST:PORT[/v1]",
            next_step="put the key in the environment variable OVERMEM_API_KEY",
        )
    return Address(
        secure=parts.scheme == "https",
        host=parts.hostname,
        port=port,
        path=parts.path.rstrip("/") or "/v1",
        text_only=kind == "openai-text",
    )


def check_template(template: str | None) -> None:
    """Refuse a template of model names that gives every checkpoint the same name.

    Raises:
        RunError: it holds none of `FIELDS`.
    """
    if template is not None and not any(field in template for field in FIELDS):
        raise RunError(
            "all checkpoints would be asked of one model",
            got=f"--engine-model {template}",
            expected=f"a template with {', '.join(FIELDS[:-1])} or {FIELDS[-1]}",
            next_step="serve each checkpoint under its own name",
        )


def _public(text: str) -> str:
    """A URL without what might be a password."""
    return text if "@" not in text else text.partition(":")[0] + ":..." + text.rpartition("@")[2]
