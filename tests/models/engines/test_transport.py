"""Asking a server: how long a client waits, what it asks for again, and what it refuses."""

import json
import time
import zlib
from email.utils import formatdate

import pytest

from overmem.errors import EngineError
from overmem.models.engines.address import parse_engine
from overmem.models.engines.transport import Refused, RetryPolicy, Server, _retry_after, decode
from tests.helpers.hostile_server import HostileServer, drip, flood, http, send


def test_waits_grow_and_are_spread():
    retry_policy = RetryPolicy(timeout_seconds=1.0)
    for attempt in range(1, 30):
        most = 0.5 * 2 ** (attempt - 1)
        waits = [retry_policy.wait_seconds(attempt) for _ in range(20)]
        assert all(most / 2 <= wait <= most for wait in waits) and len(set(waits)) > 1


def test_retry_after_in_seconds_or_as_a_date():
    assert _retry_after({"retry-after": "7"}) == 7.0
    assert _retry_after({"retry-after": formatdate(usegmt=True)}) == pytest.approx(0, abs=2.5)
    for said in ("soon", "nan", "", "Mon, 01 Jan 99999999999 00:00:00 GMT", "x" * 5000):
        assert _retry_after({"retry-after": said}) is None
    assert _retry_after({}) is None


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"1" * 5000,
        b"NaN",
        b'{"a": -Infinity}',
        b'{"a": "\xff"}',
        b'"\xed\xa0\x80"',
        '{"a": 1}'.encode("utf-16"),
        b"{'a': 1}",
    ],
)
def test_what_is_no_json_is_one_error(content):
    with pytest.raises(ValueError):
        decode(content)


def test_json_of_servers_is_read():
    assert decode(b'\xef\xbb\xbf{"a": [1, "\xc3\xa9"]}') == {"a": [1, "é"]}


GOOD = http({"ok": True})
DEEP = b'{"error":' + b"[" * 900 + b"]" * 900 + b"}"
HOSTILE = {
    "drips": (drip(b"HTTP/1.1 200 OK\r\n", b"a"), "no answer within 0.3 s", 3),
    "hangs up": (send(b""), "RemoteDisconnected", 4),
    "no http": (send(b"SSH-2.0-OpenSSH\r\n"), "BadStatusLine", 4),
    "a status line without end": (send(b"HTTP/1.1 200 " + b"O" * 100_000), "LineTooLong", 4),
    "a header without end": (send(b"HTTP/1.1 200 OK\r\na: " + b"b" * 100_000), "LineTooLong", 4),
    "headers without end": (flood(b"HTTP/1.1 200 OK\r\n", b"a: b\r\n" * 100), "more than 100 headers", 4),
    "a chunk of no size": (send(http(b"zz\r\n", "Transfer-Encoding: chunked")), "IncompleteRead", 4),
    "a length that is not kept": (send(http(b"{}", "Content-Length: 9")), "2 of 9 bytes", 4),
    "overloaded": (send(http({"detail": "later"}, "Retry-After: nan", status="503 x")), "503: later", 4),
    "deep in an error": (send(http(DEEP, status="500 x")), "status 500", 4),
    "without end": (flood(b"HTTP/1.1 200 OK\r\n\r\n", b" " * 65536), "more than 1 MB", 3),
    "html": (send(http(b"<html>")), "6 bytes that are not JSON .*<html>", 3),
    "a list": (send(http([1])), r"no object: \[1\]", 3),
    "a deep list": (send(http(DEEP.partition(b":")[2][:-1])), r"no object: \[\[\[", 3),
    "too deep": (send(http(b"[" * 100_000)), "nested too deeply", 3),
    "huge integer": (send(http(b'{"a": ' + b"9" * 5000 + b"}")), "4300 digits", 3),
    "not a number": (send(http(b'{"a": NaN}')), "NaN is no number", 3),
    "no utf-8": (send(http(b'{"a": "\xff"}')), "can't decode", 3),
    "compressed": (
        send(http(zlib.compress(b"{}"), "Content-Encoding: deflate")),
        r"compressed \(deflate\)",
        3,
    ),
}


def server_of(running, **policy):
    settings = {"timeout_seconds": 0.3, "attempts": 4, "first_wait_seconds": 0.001, "most_bytes": 1 << 20}
    return Server(parse_engine(running.engine), RetryPolicy(**(settings | policy)))


@pytest.mark.parametrize(("script", "said", "attempts"), HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_server_is_one_message_after_a_few_attempts(script, said, attempts):
    start = time.monotonic()
    with HostileServer(script) as running, pytest.raises(EngineError, match=said) as failure:
        server_of(running).ask("/models")
    assert f"(/models, {attempts} attempts)" in str(failure.value)
    assert len(str(failure.value)) < 1000 and time.monotonic() - start < 4
    came = attempts == 3 and "no answer within" not in said
    assert ("no usable answer" if came else "does not answer") in str(failure.value)


@pytest.mark.parametrize(("asked", "attempts"), [("1e400", 1), ("301", 1), ("0.4", 3)])
def test_all_waits_together_are_bounded_whatever_the_server_asks_for(asked, attempts, monkeypatch):
    monkeypatch.setattr(RetryPolicy, "wait_seconds", lambda *_: 0.0)
    answer = send(http({"error": "slow down"}, f"Retry-After: {asked}", status="429 x"))
    start = time.monotonic()
    with HostileServer(answer) as running, pytest.raises(EngineError) as failure:
        server_of(running).ask("/models", most_wait_seconds=300 if attempts == 1 else 1.0)
    said = f"429: slow down (/models, {attempts} attempts, asks to wait {float(asked):g} s)"
    assert said in str(failure.value) and time.monotonic() - start < 4
    assert len(running.requests) == attempts


def test_a_hostile_moment_passes():
    # That which is hopeless the third time may come last: it is counted by itself.
    answers = iter([b"", http({}, status="502 x"), http({}, status="503 x"), http(b"<html>")])
    with HostileServer(lambda server, connection: connection.sendall(next(answers, GOOD))) as running:
        assert server_of(running, attempts=5).ask("/models") == {"ok": True}
    assert len(running.requests) == 5


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed_and_the_key_stays(status, monkeypatch, tmp_path):
    monkeypatch.setenv("OVERMEM_API_KEY", "sk-hush")
    (tmp_path / "secret.json").write_text('{"ok": true}')
    with HostileServer(send(GOOD)) as other:
        for elsewhere in (f"http://127.0.0.1:{other.port}/v1/models", (tmp_path / "secret.json").as_uri()):
            answer = http(b"", f"Location: {elsewhere}", status=f"{status} x")
            with HostileServer(send(answer)) as running, pytest.raises(Refused) as refused:
                server_of(running).ask("/models")
            assert elsewhere in refused.value.message and "not followed" in refused.value.message
            assert b"Bearer sk-hush" in running.requests[0] and len(running.requests) == 1
    assert other.requests == []


def test_the_key_is_shown_in_no_answer_of_the_server(monkeypatch):
    monkeypatch.setenv("OVERMEM_API_KEY", "sk-hush-hush")
    for content in (
        b"Bearer sk-hush-hush",
        b"x" * 100 + b" sk-hush-hush",
        json.dumps(["sk-hush-hush"]).encode(),
    ):
        for status in ("200 OK", "500 x"):
            with (
                HostileServer(send(http(content, status=status))) as running,
                pytest.raises(EngineError) as failure,
            ):
                server_of(running).ask("/models")
            assert "sk-hush" not in str(failure.value)
