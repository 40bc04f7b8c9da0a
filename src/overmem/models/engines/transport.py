"""JSON over HTTP to a server that may stall, fail or vanish: retries, and many requests at once."""

from __future__ import annotations

import http.client
import json
import math
import os
import random
import reprlib
import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

from overmem.errors import EngineError
from overmem.formatting import bytes_text
from overmem.models.engines.address import Address
from overmem.models.engines.exchange import Exchange, Response, TooLarge

KEYS = ("OVERMEM_API_KEY", "OPENAI_API_KEY")
"""Environment variables that hold the server's key, the first that is set; never saved or shown."""
TRANSIENT_STATUSES = frozenset({408, 409, 425, 429, 500, 502, 503, 504})
"""Statuses after which the same request may succeed."""
LONGEST_WAIT_SECONDS = 300.0
"""Most that is waited between the attempts at one request, all waits together."""
HOPELESS_ATTEMPTS = 3
"""For answers that are none, and for none in time: what failed so twice seldom goes well the third time."""
SHOWN = 400
"""Characters of a server's text that a message shows."""

T = TypeVar("T")


class Refused(Exception):
    """The server understood the request and will not serve it, however often it is asked."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status, self.message = status, message


class Retryable(Exception):
    """An answer that is not what was asked for, or none; asking again may help."""

    most_attempts: float = math.inf
    """That may fail so at one request, whatever the policy allows."""

    def __init__(self, reason: str, wait_seconds: float | None = None) -> None:
        super().__init__(reason)
        self.wait_seconds = wait_seconds


class Invalid(Retryable):
    """An answer that came whole and cannot be what was asked for."""

    most_attempts = HOPELESS_ATTEMPTS


class Late(Retryable):
    """No answer, or half of one, in all the time that an attempt has."""

    most_attempts = HOPELESS_ATTEMPTS


@dataclass(frozen=True, kw_only=True)
class RetryPolicy:
    """How long a request is waited for, and how often it is made again."""

    timeout_seconds: float
    """For one attempt, from connecting to the last byte."""
    attempts: int = 8
    """With the waits below, about a minute of a server that is away."""
    first_wait_seconds: float = 0.5
    """Before the second attempt; doubled before each further one."""
    most_bytes: int = 16 << 20
    """Of one answer: log-probabilities of 50,000 tokens have room."""

    def wait_seconds(self, attempt: int) -> float:
        """Before the attempt after this one (counted from 1), with jitter so that requests spread out."""
        return self.first_wait_seconds * 2.0 ** (attempt - 1) * random.uniform(0.5, 1.0)


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
        self._open: set[Exchange] = set()

    def ask(
        self,
        path: str,
        body: Mapping[str, Any] | None = None,
        read: Callable[[dict[str, Any]], T] = lambda answer: answer,  # type: ignore[assignment,return-value]
        attempts: int | None = None,
        most_wait_seconds: float = LONGEST_WAIT_SECONDS,
    ) -> T:
        """Get (or with a body, post) and read the answer, again and again while it fails in passing.

        Args:
            path: after the address's own, as `/completions`.
            body: what to post.
            read: turns the JSON into what is wanted; raises `Retryable` for what should be asked for again.
            attempts: overrides the retry_policy's.
            most_wait_seconds: between the attempts, all waits together.

        Raises:
            Refused: the server will not serve this request.
            EngineError: it failed as often as it may, or asks to wait for longer than it may.
        """
        most = self.retry_policy.attempts if attempts is None else attempts
        failures = Counter[type[Retryable]]()
        for attempt in range(1, most + 1):
            try:
                return read(self._once(path, body))
            except Retryable as failure:
                asked_for = failure.wait_seconds
                pause = self.retry_policy.wait_seconds(attempt)
                if asked_for is not None:
                    pause = max(asked_for, 0.0) + 0.1 * pause
                most_wait_seconds -= pause
                failures[type(failure)] += 1
                is_last = attempt >= most or failures[type(failure)] >= failure.most_attempts
                if is_last or most_wait_seconds < 0 or self._stopped.is_set():
                    raise self._no_answer_error(path, attempt, failure) from None
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
        """What the server sent, for people: one short line, without the key."""
        line = text if isinstance(text, str) else brief(text)
        if self._key is not None:
            line = line.replace(self._key, "***")
        line = " ".join(line[: 10 * SHOWN].split())
        return line if len(line) <= SHOWN else line[:SHOWN] + "..."

    def _once(self, path: str, body: Mapping[str, Any] | None) -> dict[str, Any]:
        """One attempt: the JSON object of a 200 answer."""
        response = self._exchange(path, body)
        if response.status in TRANSIENT_STATUSES:
            reason = f"status {response.status}: {self._message(response)}"
            raise Retryable(reason, _retry_after(response.headers))
        if response.status != 200:
            raise Refused(response.status, self._message(response))
        packed = response.headers.get("content-encoding", "identity")
        if packed != "identity":
            raise Invalid(f"an answer that is compressed ({packed}), which was not asked for")
        try:
            answer = decode(response.content)
        except ValueError as error:
            start = self.redacted(response.content.decode(errors="replace"))[:120]
            raise Invalid(f"{len(response.content)} bytes that are not JSON ({error}): {start}") from None
        if not isinstance(answer, dict):
            raise Invalid(f"JSON, but no object: {self.redacted(answer)}")
        return answer

    def _exchange(self, path: str, body: Mapping[str, Any] | None) -> Response:
        policy = self.retry_policy
        exchange = Exchange(
            self.address, self._tls, timeout_seconds=policy.timeout_seconds, most_bytes=policy.most_bytes
        )
        with self._lock:
            self._open.add(exchange)
        try:
            # Stopped before it was registered: the request must not be left to wait.
            if self._stopped.is_set():
                raise Retryable("stopped")
            headers = {"Accept": "application/json", "Connection": "close"}
            if self._key is not None:
                headers["Authorization"] = f"Bearer {self._key}"
            sent = None if body is None else json.dumps(body).encode()
            if sent is not None:
                headers["Content-Type"] = "application/json"
            return exchange.send(path, headers, sent)
        except TimeoutError:
            raise Late(f"no answer within {policy.timeout_seconds:g} s") from None
        except TooLarge:
            raise Invalid(f"an answer of more than {bytes_text(policy.most_bytes)}") from None
        except ssl.SSLCertVerificationError as error:
            raise Refused(0, f"its certificate is not trusted: {error.verify_message}") from None
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise Retryable(f"{type(error).__name__}: {error}".rstrip(": ")) from None
        finally:
            with self._lock:
                self._open.discard(exchange)

    def _abort_requests(self) -> None:
        """End all waiting, for an answer or for the next attempt."""
        self._stopped.set()
        with self._lock:
            for exchange in self._open:
                exchange.abort()

    def _message(self, response: Response) -> str:
        """What an answer that is no 200 says, in any of the ways that servers say it."""
        try:
            said = decode(response.content)
            for key in ("error", "message", "detail"):
                said = said[key] if isinstance(said, dict) and said.get(key) else said
        except ValueError:
            said = response.content.decode(errors="replace")
        elsewhere = response.headers.get("location") if 300 <= response.status < 400 else None
        if elsewhere is not None:
            said = f"it sends the request on to {elsewhere}, which is not followed"
        return self.redacted(said) or "no reason given"

    def _no_answer_error(self, path: str, attempts: int, failure: Retryable) -> EngineError:
        came = isinstance(failure, Invalid)
        asks = "" if failure.wait_seconds is None else f", asks to wait {failure.wait_seconds:g} s"
        return EngineError(
            f"the engine at {self.address.url} " + ("gives no usable answer" if came else "does not answer"),
            got=f"{self.redacted(str(failure))} ({path}, {attempts} attempts{asks})",
            expected="an OpenAI-compatible server that answers",
            next_step="check the server, then run the same command again: finished rows are kept",
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


def decode(content: bytes) -> Any:
    """JSON as RFC 8259 has it, in UTF-8, without NaN and Infinity, which Python would take.

    Raises:
        ValueError: it is none, is nested too deeply, or has a number of too many digits.
    """
    try:
        return json.loads(content.decode("utf-8-sig"), parse_constant=_refuse_constant)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no number")


def brief(value: object) -> str:
    """A value of any size and depth in one short text."""
    writer = reprlib.Repr()
    writer.maxlevel, writer.maxstring, writer.maxother = 3, SHOWN, SHOWN
    return writer.repr(value)


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that the server asks to wait; it may say so in seconds or as a date."""
    said = headers.get("retry-after")
    if said is None:
        return None
    with suppress(ValueError):
        seconds = float(said)
        return None if math.isnan(seconds) else seconds
    # A date that no calendar has fails in many ways.
    with suppress(ValueError, TypeError, IndexError, OverflowError, OSError):
        return parsedate_to_datetime(said).timestamp() - time.time()
    return None
