"""One exchange: however a server sends, it takes no longer and holds no more than it may."""

import ssl
import subprocess
import threading
import time
from http.client import HTTPException

import pytest

from overmem.models.engines.address import parse_engine
from overmem.models.engines.exchange import Exchange, TooLarge
from tests.helpers.hostile_server import HostileServer, deaf, drip, flood, http, send

PLENTY = 1 << 20


def exchange(server, seconds=0.3, most_bytes=PLENTY, tls=None):
    return Exchange(parse_engine(server.engine), tls, timeout_seconds=seconds, most_bytes=most_bytes)


SLOW = {
    "nothing": deaf,
    "status line": drip(b"HTTP/1.1 200 ", b"O"),
    "headers": drip(b"HTTP/1.1 200 OK\r\n", b"a"),
    "continue after continue": drip(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "body": drip(http(b"", "Content-Length: 1000000"), b" "),
    "body without length": drip(b"HTTP/1.1 200 OK\r\n\r\n", b" "),
    "chunk": drip(http(b"fffff\r\n", "Transfer-Encoding: chunked"), b" "),
    "chunk after chunk": drip(http(b"", "Transfer-Encoding: chunked"), b"1\r\n \r\n"),
    "size of a chunk": drip(http(b"", "Transfer-Encoding: chunked"), b"0"),
    "trailers": drip(http(b"0\r\n", "Transfer-Encoding: chunked"), b"a: b\r\n"),
}


@pytest.mark.parametrize("script", SLOW.values(), ids=SLOW)
def test_an_answer_that_drips_ends_with_the_time(script):
    start = time.monotonic()
    with HostileServer(script) as server, pytest.raises(TimeoutError):
        exchange(server).send("/models", {}, None)
    assert 0.2 < time.monotonic() - start < 1.5


def test_a_request_that_is_not_taken_ends_with_the_time():
    start = time.monotonic()
    with HostileServer(deaf, reads=False) as server, pytest.raises(TimeoutError):
        exchange(server).send("/completions", {}, b" " * (64 << 20))
    assert time.monotonic() - start < 1.5


ENDLESS = {
    "body": flood(b"HTTP/1.1 200 OK\r\n\r\n", b" " * 65536),
    "chunks": flood(http(b"", "Transfer-Encoding: chunked"), b"10000\r\n" + b" " * 65536 + b"\r\n"),
    "continue after continue": flood(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 1000),
    "trailers": flood(http(b"0\r\n", "Transfer-Encoding: chunked"), b"a: b\r\n" * 1000),
}


@pytest.mark.parametrize("script", ENDLESS.values(), ids=ENDLESS)
def test_an_answer_without_end_is_left_once_it_is_too_large(script):
    start = time.monotonic()
    with HostileServer(script) as server, pytest.raises(TooLarge):
        exchange(server, seconds=20).send("/models", {}, None)
    assert time.monotonic() - start < 5


def test_a_length_that_is_not_kept_is_a_broken_connection():
    for said in ("Content-Length: 9", "Content-Length: 999999999999999999"):
        with HostileServer(send(http(b"1234", said))) as server, pytest.raises(ConnectionError, match="4 of"):
            exchange(server).send("/models", {}, None)
    # No length at all: the answer ends with the connection.
    for said in ("Content-Length: " + "9" * 5000, "Content-Length: -4", "Content-Length: \xb2"):
        with HostileServer(send(http(b"1234", said))) as server:
            assert exchange(server).send("/models", {}, None).content == b"1234"


def test_a_wait_is_ended_from_another_thread():
    with HostileServer(deaf) as server:
        waiting = exchange(server, seconds=30)
        threading.Timer(0.1, waiting.abort).start()
        start = time.monotonic()
        with pytest.raises((OSError, HTTPException)):
            waiting.send("/models", {}, None)
    assert time.monotonic() - start < 2


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    folder = tmp_path_factory.mktemp("certificate")
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-days",
        "2",
        "-subj",
        "/CN=localhost",
    ]
    command += ["-keyout", "key.pem", "-out", "cert.pem", "-addext", "subjectAltName=IP:127.0.0.1"]
    try:
        subprocess.run(command, cwd=folder, check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("openssl is not installed")
    return folder


def secured(certificate, script):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate / "cert.pem", certificate / "key.pem")

    def serve(server, connection):
        with context.wrap_socket(connection, server_side=True) as wrapped:
            wrapped.recv(1 << 16)
            script(server, wrapped)

    return HostileServer(serve, reads=False)


def test_the_same_over_tls(certificate):
    trusting = ssl.create_default_context(cafile=certificate / "cert.pem")
    with secured(certificate, send(http({"a": 1}))) as server:
        assert exchange(server, 5, tls=trusting).send("/models", {}, None).content == b'{"a": 1}'
    with secured(certificate, drip(b"HTTP/1.1 200 OK\r\n", b"a")) as server, pytest.raises(TimeoutError):
        exchange(server, tls=trusting).send("/models", {}, None)
    with HostileServer(deaf, reads=False) as server, pytest.raises(TimeoutError):
        exchange(server, tls=trusting).send("/models", {}, None)
    with (
        secured(certificate, send(http({"a": 1}))) as server,
        pytest.raises(ssl.SSLCertVerificationError),
    ):
        exchange(server, 5, tls=ssl.create_default_context()).send("/models", {}, None)
