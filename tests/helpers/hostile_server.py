"""A server that does what no server should: every connection is answered by a script, byte by byte."""

from __future__ import annotations

import json
import socket
import threading
import time


def http(content, *headers, status="200 OK"):
    """A whole answer, as bytes; its length is said unless the headers say something of it."""
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    said = list(headers)
    if not any(h.lower().startswith(("content-length", "transfer-encoding")) for h in headers):
        said.append(f"Content-Length: {len(body)}")
    return "\r\n".join([f"HTTP/1.1 {status}", *said, "", ""]).encode() + body


def send(data):
    """A script that sends these bytes and hangs up."""
    return lambda server, connection: connection.sendall(data)


def drip(start, drop, pause=0.01):
    """A script that sends a start, then a drop now and then, for ever."""

    def script(server, connection):
        connection.sendall(start)
        while not server.closed:
            connection.sendall(drop)
            time.sleep(pause)

    return script


def flood(start, block):
    """A script that sends a start, then blocks as fast as they are taken, for ever."""
    return drip(start, block, pause=0)


def deaf(server, connection):
    """A script that takes the request and says nothing."""
    while not server.closed:
        time.sleep(0.01)


class HostileServer:
    """Runs `script(server, connection)` on each connection; `requests` are the bytes that came before."""

    def __init__(self, script, *, reads=True):
        self.script, self.reads, self.closed, self.requests = script, reads, False, []
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    @property
    def engine(self):
        return f"openai:http://127.0.0.1:{self.port}/v1"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.closed = True
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for thread in self._threads:
            thread.join(5)

    def _accept(self):
        while not self.closed:
            try:
                connection = self._listening.accept()[0]
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection):
        with connection:
            connection.settimeout(5)
            try:
                if self.reads:
                    self.requests.append(self._request(connection))
                self.script(self, connection)
                # Bytes that were not read would turn the end of the answer into a reset.
                connection.shutdown(socket.SHUT_WR)
                while connection.recv(1 << 16):
                    pass
            except OSError:
                return

    def _request(self, connection):
        data = b""
        while b"\r\n\r\n" not in data:
            data += connection.recv(1 << 16)
        head, _, body = data.partition(b"\r\n\r\n")
        length = next((h for h in head.split(b"\r\n") if h.lower().startswith(b"content-length:")), b":0")
        while len(body) < int(length.partition(b":")[2]):
            body += connection.recv(1 << 16)
        return head + b"\r\n\r\n" + body
