"""Addresses of engines."""

import pytest

from overmem.errors import EngineError, RunError
from overmem.models.engines.address import parse_engine
from overmem.models.engines.transport import RetryPolicy, Server


@pytest.mark.parametrize(
    ("name", "url"),
    [
        ("openai:http://localhost:8000", "http://localhost:8000/v1"),
        ("openai:http://localhost:8000/", "http://localhost:8000/v1"),
        ("openai:http://localhost:8000/v1/", "http://localhost:8000/v1"),
        ("openai:https://gateway/team/openai/v1", "https://gateway/team/openai/v1"),
        ("openai:http://[::1]:8000", "http://[::1]:8000/v1"),
        ("openai-text:http://h:1", "http://h:1/v1"),
    ],
)
def test_addresses(name, url):
    address = parse_engine(name)
    assert address.url == url
    assert address.text_only == name.startswith("openai-text")
    assert parse_engine("hf") is None


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "ftp://h/v1",
        "http://",
        "http://h/v1?key=1",
        "http://h/a b",
        "http://h/\x1b]0;",
        "http://h/\xe9",
        f"http://{'a' * 64}/v1",
        "http://a b/v1",
        "http://h:99999/v1",
    ],
)
def test_what_is_no_address_is_refused(url):
    with pytest.raises(RunError, match="the engine's URL cannot be"):
        parse_engine(f"openai:{url}")


def test_a_key_may_end_in_a_line_break_and_is_never_shown(monkeypatch):
    for name in ("OVERMEM_API_KEY", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    address = parse_engine("openai:http://localhost:1")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-hush\n")
    server = Server(address, RetryPolicy(timeout_seconds=1))
    assert server.redacted("it was sk-hush here") == "it was *** here"
    monkeypatch.setenv("OVERMEM_API_KEY", "sk-\nhush")
    with pytest.raises(EngineError, match="cannot be sent") as refused:
        Server(address, RetryPolicy(timeout_seconds=1))
    assert "hush" not in str(refused.value)
