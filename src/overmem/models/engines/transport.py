"""JSON over HTTP to a server that may stall, fail or vanish: timeouts, retries, and many requests at once.

Only the standard library is used. Which HTTP client huggingface_hub brings along changes with its version,
and none ends a request that another thread waits for: with httpx that takes its asynchronous client, which
makes a sixth of the requests a second (16 at once, 2 cores).
"""

from __future__ import annotations

import http.client
import json
import os
import random
import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

from overmem.errors import EngineError
from overmem.models.engines.address import Address

KEYS = ("OVERMEM_API_KEY", "OPENAI_API_KEY")
"""Environment variables that hold the server's key, the first that is set; never saved or shown."""
TRANSIENT_STATUSES = frozenset({408, 409, 425, 429, 500, 502, 503, 504})
"""Statuses after which the same request may succeed."""
LONGEST_WAIT_SECONDS = 300.0
"""Most that is waited before one retry, whatever the server asks for."""

T = TypeVar("T")


class Refused(Exception):
    """The server understood the request and will not serve it, however often it is asked."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status, self.message = status, message


class Retryable(Exception):
    """An answer that is not what was asked for, or none; asking again may help."""

    def __init__(self, reason: str, wait_seconds: float | None = None) -> None:
        super().__init__(reason)
        self.wait_seconds = wait_seconds


@dataclass(frozen=True, kw_only=True)
class RetryPolicy:
    """How long a request is waited for, and how often it is made again."""

    timeout_seconds: float
    """For one attempt, from connecting to the last byte."""
    attempts: int = 8
    """With the waits below, about a minute of a server that is away."""
    first_wait_seconds: float = 0.5
    """Before the second attempt; doubled before each further one."""

    def wait_seconds(self, attempt: int) -> float:
        """Before the attempt after this one (counted from 1), with jitter so that requests spread out."""
        longest = self.first_wait_seconds * 2.0 ** (attempt - 1)
        return min(longest, LONGEST_WAIT_SECONDS) * random.uniform(0.5, 1.0)


class Server:
    """One server; its methods may be called from many threads."""

    def __init__(self, address: Address, retry_policy: RetryPolicy) -> None:
        """Read the key from the environment; nothing is sent yet.

        Raises:
            EngineError: the key cannot be sent.
        """
        self.address, self.retry_policy = address, retry_policy
        self._key = _key()
        self._tls = ssl.create_default_context() if address.secure else None
        self._stopped = threading.Event()
        self._lock = threading.Lock()
        self._open: set[http.client.HTTPConnection] = set()

    def ask(
        self,
        path: str,
        body: Mapping[str, Any] | None = None,
        read: Callable[[dict[str, Any]], T] = lambda answer: answer,  # type: ignore[assignment,return-value]
        attempts: int | None = None,
    ) -> T:
        """Get (or with a body, post) and read the answer, again and again while it fails in passing.

        Args:
            path: after the address's own, as `/completions`.
            body: what to post.
            read: turns the JSON into what is wanted; raises `Retryable` for what should be asked for again.
            attempts: overrides the retry_policy's.

        Raises:
            Refused: the server will not serve this request.
            EngineError: it failed as often as it may.
        """
        most = self.retry_policy.attempts if attempts is None else attempts
        for attempt in range(1, most + 1):
            try:
                return read(self._once(path, body))
            except Retryable as failure:
                if attempt == most or self._stopped.is_set():
                    raise self._no_answer_error(path, attempt, failure) from None
                asked_for = failure.wait_seconds
                pause = self.retry_policy.wait_seconds(attempt)
                if asked_for is not None:
                    pause = min(max(asked_for, 0.0), LONGEST_WAIT_SECONDS) + 0.1 * pause
                self._stopped.wait(pause)
        raise AssertionError("an attempt either returns or raises")

    def run_all(self, tasks: Sequence[Callable[[], T]], concurrency: int) -> list[T]:
        """Do tasks in threads; the first that fails stops the others, those waiting for an answer included.

        Args:
            tasks: which ask this server.
            concurrency: most at once.

        Returns:
            Their results, in order.
        """
        self._stopped.clear()
        with ThreadPoolExecutor(max(1, min(concurrency, len(tasks))), "overmem-engine") as pool:
            futures = [pool.submit(task) for task in tasks]
            try:
                finished = wait(futures, return_when=FIRST_EXCEPTION).done
                for future in finished:
                    future.result()
                return [future.result() for future in futures]
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                self._abort_requests()
                raise

    def redacted(self, text: object) -> str:
        """A text of the server's for people: one short line, without the key."""
        line = " ".join(str(text).split())
        if self._key is not None:
            line = line.replace(self._key, "***")
        return line if len(line) <= 400 else line[:400] + "..."

    def _once(self, path: str, body: Mapping[str, Any] | None) -> dict[str, Any]:
        """One attempt: the JSON object of a 200 answer."""
        status, headers, content = self._exchange(path, body)
        if status in TRANSIENT_STATUSES:
            raise Retryable(f"status {status}: {self._message(content)}", _retry_after(headers))
        if status != 200:
            raise Refused(status, self._message(content))
        try:
            answer = json.loads(content)
        except ValueError:
            raise Retryable(
                f"{len(content)} bytes that are not JSON: {self.redacted(content[:80])}"
            ) from None
        if not isinstance(answer, dict):
            raise Retryable(f"JSON, but no object: {self.redacted(content[:80])}")
        return answer

    def _exchange(self, path: str, body: Mapping[str, Any] | None) -> tuple[int, Mapping[str, str], bytes]:
        deadline = time.monotonic() + self.retry_policy.timeout_seconds
        connection = self._connection()
        with self._lock:
            self._open.add(connection)
        try:
            # Hung up before it was registered: the request must not be left to wait.
            if self._stopped.is_set():
                raise Retryable("stopped")
            headers = {"Accept": "application/json", "Connection": "close"}
            if self._key is not None:
                headers["Authorization"] = f"Bearer {self._key}"
            sent = None if body is None else json.dumps(body).encode()
            if sent is not None:
                headers["Content-Type"] = "application/json"
            method = "GET" if body is None else "POST"
            connection.request(method, self.address.path + path, body=sent, headers=headers)
            response = connection.getresponse()
            return response.status, dict(response.headers), _read(response, deadline)
        except TimeoutError:
            raise Retryable(f"no answer within {self.retry_policy.timeout_seconds:g} s") from None
        except ssl.SSLCertVerificationError as error:
            raise Refused(0, f"its certificate is not trusted: {error.verify_message}") from None
        except (OSError, http.client.HTTPException) as error:
            raise Retryable(f"{type(error).__name__}: {error}".rstrip(": ")) from None
        finally:
            connection.close()
            with self._lock:
                self._open.discard(connection)

    def _connection(self) -> http.client.HTTPConnection:
        host, port, seconds = self.address.host, self.address.port, self.retry_policy.timeout_seconds
        if self._tls is not None:
            return http.client.HTTPSConnection(host, port, timeout=seconds, context=self._tls)
        return http.client.HTTPConnection(host, port, timeout=seconds)

    def _abort_requests(self) -> None:
        """End all waiting, for an answer or for the next attempt."""
        self._stopped.set()
        with self._lock:
            for connection in self._open:
                # A plain close would leave the other thread waiting for bytes.
                sock = connection.sock
                if sock is not None:
                    try:
                        sock.shutdown(socket.SHUT_RDWR)
                    except OSError:
                        continue

    def _message(self, content: bytes) -> str:
        """What an error answer says, in any of the ways that servers say it."""
        try:
            said: Any = json.loads(content)
            for key in ("error", "message", "detail"):
                said = said[key] if isinstance(said, dict) and said.get(key) else said
        except ValueError:
            said = content.decode(errors="replace")
        return self.redacted(said) or "no reason given"

    def _no_answer_error(self, path: str, attempts: int, failure: Retryable) -> EngineError:
        return EngineError(
            f"the engine at {self.address.url} does not answer",
            got=f"{self.redacted(failure)} ({path}, {attempts} attempts)",
            expected="an OpenAI-compatible server that answers",
            next_step="see to the server, then run the same command again: finished rows are kept",
        )


def _key() -> str | None:
    key = next((given for name in KEYS if (given := os.environ.get(name, "").strip())), None)
    if key is not None and not (key.isascii() and key.isprintable()):
        # Not shown: http.client would quote it.
        raise EngineError(
            "the key in OVERMEM_API_KEY or OPENAI_API_KEY cannot be sent",
            got="a character that no header may hold",
            expected="printable ASCII",
            next_step="set it again, without line breaks",
        )
    return key


def _read(response: http.client.HTTPResponse, deadline: float) -> bytes:
    """The whole body; a server that sends it drop by drop runs into the deadline too."""
    parts = []
    while part := response.read1(1 << 16):
        parts.append(part)
        if time.monotonic() > deadline:
            raise TimeoutError
    content = b"".join(parts)
    length = response.headers.get("Content-Length")
    if length is not None and length.isdigit() and len(content) != int(length):
        raise Retryable(f"{len(content)} of {length} bytes")
    return content


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that the server asks to wait; it may say so in seconds or as a date."""
    said = next((value for name, value in headers.items() if name.lower() == "retry-after"), None)
    if said is None:
        return None
    try:
        return float(said)
    except ValueError:
        pass
    try:
        return parsedate_to_datetime(said).timestamp() - time.time()
    except ValueError:
        return None
