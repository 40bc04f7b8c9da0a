"""A small OpenAI-compatible server for tests: real sockets, our own decoding, and faults on demand."""

from __future__ import annotations

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from transformers import AutoModelForCausalLM

from overmem.models.decoding.generation import generate
from overmem.models.decoding.sampling import Sampling
from tests.helpers.fake_vllm import prompt_logprobs

EXTENDED = {
    "generation_config",
    "stop_token_ids",
    "top_k",
    "min_p",
    "repetition_penalty",
    "skip_special_tokens",
}


class CompletionsServer:
    """Serves checkpoints by name; `faults` maps the number of a completion request to what goes wrong,
    by name or as a function that spoils the answer."""

    def __init__(
        self,
        models,
        tokenizer,
        *,
        port=0,
        takes_ids=True,
        extended=True,
        logprobs=True,
        adds=0,
        key=None,
        scores=False,
    ):
        self.models = {name: str(Path(path)) for name, path in models.items()}
        self.tokenizer, self.takes_ids, self.extended = tokenizer, takes_ids, extended
        self.logprobs, self.adds, self.key = logprobs, adds, key
        self.scores = scores
        self.faults, self.requests, self.headers = {}, [], []
        self.most_at_once = self._join_rows = 0
        self._loaded, self._lock = {}, threading.Lock()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_):
                pass

            def do_GET(self):
                outer.headers.append(dict(self.headers))
                if outer.key is not None and self.headers.get("Authorization") != f"Bearer {outer.key}":
                    return self.answer(401, {"error": {"message": f"bad key, not {outer.key}"}})
                self.answer(200, {"data": [{"id": name} for name in outer.models]})

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                outer.headers.append(dict(self.headers))
                outer.complete(self, body)

            def answer(self, status, content, headers=(), cut=None):
                data = json.dumps(content).encode()
                self.send_response(status)
                for name, value in headers:
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(data) if cut != "json" else len(data) // 2))
                self.end_headers()
                self.wfile.write(data if cut is None else data[: len(data) // 2])

        class Quiet(ThreadingHTTPServer):
            daemon_threads = True
            block_on_close = False
            request_queue_size = 64

            def handle_error(self, request, client_address):
                pass

        self.http = Quiet(("127.0.0.1", port), Handler)
        self.port = self.http.server_port
        self.thread = threading.Thread(target=self.http.serve_forever, args=(0.01,), daemon=True)
        self.thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    @property
    def engine(self):
        return f"openai:http://127.0.0.1:{self.port}"

    def close(self):
        self.http.shutdown()
        self.http.server_close()
        self.thread.join()

    def complete(self, handler, body):
        with self._lock:
            number = len(self.requests)
            self.requests.append(body)
            self._join_rows += 1
            self.most_at_once = max(self.most_at_once, self._join_rows)
        try:
            self._complete(handler, body, self.faults.get(number, self.faults.get("all")))
        finally:
            with self._lock:
                self._join_rows -= 1

    def _complete(self, handler, body, fault):
        if fault == "stall":
            time.sleep(8)
            return
        if fault == "500":
            return handler.answer(500, {"error": {"message": "out of luck"}})
        if fault == "429":
            return handler.answer(429, {"error": "slow down"}, [("Retry-After", "0.2")])
        if fault == "hang up":
            return handler.connection.close()
        unknown = not self.extended and EXTENDED & set(body)
        if unknown or (isinstance(body["prompt"], list) and not self.takes_ids):
            return handler.answer(422, {"detail": f"Unexpected fields in the request: {unknown}"})
        if body["model"] not in self.models:
            return handler.answer(404, {"error": {"message": f"no model {body['model']}"}})
        content = self._write(body)
        if callable(fault):
            fault(content)
        if fault == "abort":
            content["choices"][0]["finish_reason"] = "abort"
        if fault == "full":
            # As where the server's context ends before the model's.
            content["choices"][0]["finish_reason"] = "length"
            content["usage"]["completion_tokens"] = body["max_tokens"] - 1
        cut = {"truncate": "body", "half json": "json"}.get(fault)
        handler.answer(200, content, cut=cut)

    def _write(self, body):
        prompt = body["prompt"]
        ids = prompt if isinstance(prompt, list) else self.tokenizer(prompt)["input_ids"]
        heat = body.get("temperature", 1.0)
        stops = body.get("stop_token_ids") or self.tokenizer.convert_tokens_to_ids(body.get("stop", []))
        drawn = Sampling(samples=1, temperature=heat, seed=body.get("seed", 0)) if heat else None
        with self._lock:
            name = body["model"]
            if name not in self._loaded:
                self._loaded[name] = AutoModelForCausalLM.from_pretrained(self.models[name]).eval()
            answer = generate(
                self._loaded[name],
                [ids],
                self.tokenizer,
                stops=stops,
                max_new_tokens=body["max_tokens"],
                sampling=drawn,
                example_ids=["x"],
            )[0][0]
        scored = {}
        if body.get("prompt_logprobs") and self.scores:
            seen = prompt_logprobs(self._loaded[name], ids, body["prompt_logprobs"])
            # As JSON has them: ids are text.
            scored = {"prompt_logprobs": [e and {str(t): x for t, x in e.items()} for e in seen]}
        choice = {
            **scored,
            "text": answer.text,
            "index": 0,
            "finish_reason": "stop" if answer.finished else "length",
        }
        if body.get("logprobs") and self.logprobs:
            choice["logprobs"] = {"token_logprobs": [answer.mean_logprob] * answer.n_tokens}
        used = {"prompt_tokens": len(ids) + self.adds, "completion_tokens": answer.n_tokens}
        return {"object": "text_completion", "model": name, "choices": [choice], "usage": used}
