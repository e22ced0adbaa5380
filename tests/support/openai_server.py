"""A server with OpenAI's interface for the tests: a model of ours behind real HTTP, with faults on demand.

    python openai_server.py PORT MODEL LOG      one line of JSON in LOG for every request that was answered

It speaks token ids and log-probabilities of prompts as vLLM's server does, unless told not to. Faults are
by the number of the request, from 0: "429", "500", "cut" (half an answer), "html", "hang", "drip" (an
answer without an end), (status, headers), bytes to say as JSON, or a function of the true answer.
"""

import json
import queue
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import torch

from ctm_eval.engines import Request, Sampling, load_engine

GATHER = 0.01  # seconds in which requests become one batch


class OpenAIServer:
    """A context manager; `url` is its address, `answered` the bodies of the requests that it answered."""

    def __init__(self, engine, *, port=0, ids=True, chat=True, max_logprobs=-1, faults=None, key=None,
                 log=None, only=None, newer=False, cached=0):  # fmt: skip
        self.engine, self.ids, self.chat, self.max_logprobs = engine, ids, chat, max_logprobs
        self.faults, self.key, self.log, self.only = faults or {}, key, log, only
        self.cached = cached
        self.newer = newer  # wants max_completion_tokens, as OpenAI's newer models do
        self.answered, self.seen, self.most, self._now = [], 0, 0, 0
        self._lock, self._queue = threading.Lock(), queue.Queue()
        handler = type("Handler", (_Handler,), {"ours": self})
        self._http = _Http(("127.0.0.1", port), handler)
        self.url = f"http://127.0.0.1:{self._http.server_port}/v1"

    def __enter__(self):
        for work in (self._http.serve_forever, self._batches):
            threading.Thread(target=work, daemon=True).start()
        return self

    def __exit__(self, *_):
        self._queue.put(None)
        self._http.shutdown()
        self._http.server_close()

    def sample(self, request, sampling):
        """A completion, drawn together with whatever else is asked for now."""
        answer = queue.Queue()
        self._queue.put((request, sampling, answer))
        return answer.get()

    def _batches(self):
        while (first := self._queue.get()) is not None:
            time.sleep(GATHER)
            batch = [first]
            while not self._queue.empty():
                if (more := self._queue.get()) is None:
                    return
                batch.append(more)
            for sampling in {one[1] for one in batch}:
                own = [one for one in batch if one[1] == sampling]
                drawn = self.engine.sample([one[0] for one in own], sampling)
                for (_, _, answer), completion in zip(own, drawn, strict=True):
                    answer.put(completion)

    def begins(self):
        """The number of a request; also counts how many there are at once."""
        with self._lock:
            self.seen, self._now = self.seen + 1, self._now + 1
            self.most = max(self.most, self._now)
            return self.seen - 1

    def ends(self, body=None):
        """A request is over; `body` if it was answered."""
        with self._lock:
            self._now -= 1
            if body is not None:
                self.answered.append(body)
                if self.log:
                    with open(self.log, "a") as file:
                        file.write(json.dumps(body) + "\n")


class _Http(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128  # of the usual 5, a sixth client at once may be turned away unheard


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        self._say(200, {"object": "list", "data": [{"id": self.ours.engine.name}]})

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        number, answered = self.ours.begins(), None
        try:
            fault = self.ours.faults.get(number)
            if fault == "429":
                self._say(429, {"error": {"message": "slow down"}}, {"Retry-After": "1"})
            elif fault == "500":
                self._say(500, {"error": {"message": "oops"}})
            elif fault == "html":
                self._send(200, b"<html>a page of a proxy</html>", {"Content-Type": "text/html"})
            elif fault == "cut":
                self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{")
                self.close_connection = True
            elif fault == "hang":
                time.sleep(3600)
            elif fault == "drip":
                self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
                while True:
                    self.wfile.write(b" ")
                    time.sleep(0.05)
            elif isinstance(fault, tuple):
                self._say(fault[0], {"error": {"message": "not here"}}, fault[1])
            elif isinstance(fault, bytes):
                self._send(200, fault, {"Content-Type": "application/json"})
            elif self.ours.key and self.headers["Authorization"] != f"Bearer {self.ours.key}":
                said = self.headers["Authorization"]
                self._say(401, {"error": {"message": f"wrong key {said}"}})
            else:
                status, told = self._answer(body)
                self._say(status, fault(told) if fault else told)
                answered = body if status == 200 and not fault else None
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True
        finally:
            self.ours.ends(answered)

    def _answer(self, body):
        ours, engine = self.ours, self.ours.engine
        if body["model"] != engine.name:
            return 404, {"error": {"message": f"there is no model {body['model']}"}}
        if ours.newer and "max_tokens" in body:
            return 400, {"error": {"message": "use 'max_completion_tokens' instead"}}
        chat = self.path.endswith("/chat/completions")
        if ours.only and not self.path.endswith(ours.only):
            return 404, {"error": {"message": "Not Found"}}
        prompt = body["messages"] if chat else body["prompt"]
        if isinstance(prompt, list) and not chat and not ours.ids:
            return 400, {"error": {"message": "prompt must be a string"}}
        ids = engine.encode_chat(prompt) if chat else prompt
        ids = engine.encode(ids) if isinstance(ids, str) else ids
        top = body.get("prompt_logprobs")
        if top is not None and ours.max_logprobs != -1 and not 0 <= top <= ours.max_logprobs:
            return 400, {"error": {"message": f"prompt_logprobs above {ours.max_logprobs}"}}
        sampling = Sampling(
            body["temperature"], body.get("top_p", 1.0), tuple(body.get("stop") or ())
        )
        length = body.get("max_tokens") or body["max_completion_tokens"]
        done = ours.sample(Request(ids, body.get("seed", 0), length), sampling)
        text = engine.decode(done.token_ids)
        choice = {"index": 0, "finish_reason": done.finish_reason, "logprobs": None}
        if chat:
            choice["message"] = {"role": "assistant", "content": text}
        else:
            choice["text"] = text
        if ours.ids and body.get("return_token_ids"):
            choice |= {"token_ids": list(done.token_ids), "prompt_token_ids": ids}
        if top is not None:
            choice["prompt_logprobs"] = self._prompt_logprobs(ids, top)
        usage = {"prompt_tokens": len(ids), "completion_tokens": len(done.token_ids),
                 "total_tokens": len(ids) + len(done.token_ids),
                 "prompt_tokens_details": {"cached_tokens": self.ours.cached}}  # fmt: skip
        return 200, {"id": "x", "object": "chat.completion" if chat else "text_completion", "created": 0,
                     "model": engine.name, "choices": [choice], "usage": usage}  # fmt: skip

    def _prompt_logprobs(self, ids, top):
        """In vLLM's form: nothing for the first token, then the likeliest and the token itself."""
        with torch.inference_mode():
            logits = self.ours.engine.model(torch.tensor([ids])).logits[0, :-1]
        told = [None]
        for row, own in zip(logits.double().log_softmax(-1), ids[1:], strict=True):
            order = row.argsort(descending=True, stable=True)
            rank = {int(token): place for place, token in enumerate(order, 1)}
            kept = order.tolist() if top == -1 else order[:top].tolist()
            told.append({str(t): {"logprob": float(row[t]), "rank": rank[t]} for t in {*kept, own}})
        return told

    def _say(self, status, value, headers=None):
        self._send(
            status,
            json.dumps(value).encode(),
            {"Content-Type": "application/json", **(headers or {})},
        )

    def _send(self, status, content, headers):
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)


def main(port, model, log):
    """Serves until it is killed."""
    engine = load_engine("transformers", model, device="cpu")
    with OpenAIServer(engine, port=int(port), log=log):
        print("ready", flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    main(*sys.argv[1:])
