"""One HTTP exchange with a server that may be slow, broken or hostile: bounded in time and in bytes.

A socket's timeout bounds one read, not an answer: a server that sends a byte now and then would keep a client
for ever. Here every step, from connecting to the last byte, gets only the time that is left of the attempt.

No redirect is followed, so the key goes to no other host. No compression is asked for and none is undone, so
an answer is never larger than what was sent.

Only the standard library is used. Which HTTP client huggingface_hub brings along changes with its version,
and none ends a request that another thread waits for: with httpx that takes its asynchronous client, which
makes a sixth of the requests a second (16 at once, 2 cores).
"""

from __future__ import annotations

import http.client
import io
import math
import socket
import ssl
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from overmem.models.engines.address import Address

SENT_AT_ONCE = 1 << 16
"""Bytes that are written before the time that is left is looked at again."""


class TooLarge(Exception):
    """The server has sent more than an answer may be."""


@dataclass(frozen=True)
class Response:
    """What came back, as it was sent."""

    status: int
    headers: Mapping[str, str]
    """By lower-case name."""
    content: bytes


class Exchange:
    """A request and its answer, over a connection of their own; `abort` may be called from another thread."""

    def __init__(
        self, address: Address, tls: ssl.SSLContext | None, *, timeout_seconds: float, most_bytes: int
    ) -> None:
        """Start the clock; nothing is sent yet.

        Args:
            address: of the server.
            tls: how its certificate is checked; None to speak in plain.
            timeout_seconds: for everything, from now to the last byte.
            most_bytes: that are taken from the server, its headers included.
        """
        self.address, self.tls, self.most_bytes = address, tls, most_bytes
        self._deadline = time.monotonic() + timeout_seconds
        self._sock: socket.socket | None = None

    def send(self, path: str, headers: Mapping[str, str], body: bytes | None) -> Response:
        """Get, or with a body post, and read the whole answer.

        Raises:
            TimeoutError: the time is over.
            TooLarge: the answer has too many bytes.
            ssl.SSLCertVerificationError: the server's certificate is not trusted.
            OSError: no connection, or one that broke off.
            http.client.HTTPException: what came is no HTTP.
            ValueError: an address or a header that cannot be written or read.
        """
        try:
            response = self._request(path, headers, body)
            expected, parts = response.length, list[bytes]()
            while part := response.read1(1 << 16):
                parts.append(part)
        finally:
            if self._sock is not None:
                self._sock.close()
        content = b"".join(parts)
        if expected is not None and len(content) != expected:
            raise ConnectionError(f"{len(content)} of {expected} bytes")
        found = {name.lower(): value for name, value in response.headers.items()}
        return Response(response.status, found, content)

    def seconds_left(self) -> float:
        """Of the time for this exchange.

        Raises:
            TimeoutError: none.
        """
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left

    def ready(self) -> socket.socket:
        """The socket, whose next step may take no longer than the time that is left."""
        assert self._sock is not None
        self._sock.settimeout(self.seconds_left())
        return self._sock

    def abort(self) -> None:
        """End it, also where it waits."""
        self._deadline = -math.inf
        sock = self._sock
        if sock is not None:
            # A plain close would leave the other thread waiting for bytes.
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def _request(self, path: str, headers: Mapping[str, str], body: bytes | None) -> http.client.HTTPResponse:
        """Send the request and read the answer's headers."""
        host, port = self.address.host, self.address.port
        if self.tls is None:
            connection = http.client.HTTPConnection(host, port)
        else:
            connection = http.client.HTTPSConnection(host, port, context=self.tls)
        self._connect(connection.port)
        channel: Any = _Channel(self)
        connection.sock = channel
        method = "GET" if body is None else "POST"
        connection.request(method, self.address.path + path, body=body, headers=dict(headers))
        return connection.getresponse()

    def _connect(self, port: int) -> None:
        """Try each address of the host in turn, all of them in the time that is left."""
        failure: OSError = ConnectionError("the host has no address")
        for family, kind, protocol, _, where in socket.getaddrinfo(
            self.address.host, port, type=socket.SOCK_STREAM
        ):
            self._sock = socket.socket(family, kind, protocol)
            try:
                self.ready().connect(where)
                self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                if self.tls is not None:
                    self._secure(self.tls)
                return
            except ssl.SSLCertVerificationError:
                raise
            except OSError as error:
                self._sock.close()
                failure = error
        raise failure

    def _secure(self, tls: ssl.SSLContext) -> None:
        wrapped = tls.wrap_socket(
            self.ready(), server_hostname=self.address.host, do_handshake_on_connect=False
        )
        self._sock = wrapped
        self.ready()
        wrapped.do_handshake()


class _Channel:
    """What http.client takes for a socket: each read and write is bounded by its exchange.

    http.client closes its socket once the headers say that nothing follows the answer; the body is still to
    be read then, so that the exchange alone closes.
    """

    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange

    def sendall(self, data: bytes) -> None:
        for start in range(0, len(data), SENT_AT_ONCE):
            self.exchange.ready().sendall(data[start : start + SENT_AT_ONCE])

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(_Incoming(self.exchange), 1 << 16)

    def close(self) -> None:
        pass


class _Incoming(io.RawIOBase):
    """The bytes that a server sends, counted."""

    def __init__(self, exchange: Exchange) -> None:
        self.exchange, self.n_bytes = exchange, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        n_read = self.exchange.ready().recv_into(buffer)
        self.n_bytes += n_read
        if self.n_bytes > self.exchange.most_bytes:
            raise TooLarge
        return n_read
