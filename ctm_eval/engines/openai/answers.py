"""What a server has answered and no table holds yet, so that a run that is killed asks nothing twice."""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from ctm_eval.engines.base import Completion, Request, Sampling
from ctm_eval.errors import CtmError

NAME = ".answers.jsonl"  # in the run folder, while a part is made


class Answers:
    """The completions of one part, in a file of JSON lines. It is read when it is first asked."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: dict[str, Completion] | None = None
        self._file: Any = None

    def get(self, key: str) -> Completion | None:
        """The completion that was kept under a key."""
        return self._all().get(key)

    def add(self, key: str, completion: Completion) -> None:
        """Keeps a completion; a process that is killed from here on leaves it behind. Raises CtmError where
        the disk is full."""
        self._all()[key] = completion
        row = {"key": key, "ids": completion.token_ids, "why": completion.finish_reason,
               "text": completion.text}  # fmt: skip
        line = json.dumps(row).encode() + b"\n"
        try:
            if self._file is None:
                self._file = self._path.open("ab", buffering=0)
            while line:
                line = line[self._file.write(line) :]
        except OSError as error:
            raise CtmError(
                f"cannot keep the server's answers in {self._path}: {error.strerror}; free some space "
                "there, and run the same command again, which goes on from here"
            ) from error

    def written(self, table: str) -> None:
        """Forgets all once a part of a table that they were for is written."""
        if table == "problems":
            return
        if self._file is not None:
            self._file.close()
        self._file, self._known = None, {}
        self._path.unlink(missing_ok=True)

    def _all(self) -> dict[str, Completion]:
        if self._known is None:
            self._known = {}
            if self._path.exists():
                self._read(self._known)
        return self._known

    def _read(self, known: dict[str, Completion]) -> None:
        """Reads whole lines, and cuts off what a kill or a power failure left of the last ones."""
        whole = 0
        with self._path.open("rb") as file:
            for line in file:
                if not line.endswith(b"\n"):
                    break
                try:
                    row = json.loads(line)
                    known[row["key"]] = Completion(tuple(row["ids"]), row["why"], row["text"])
                except (ValueError, KeyError, TypeError):
                    break
                whole += len(line)
        os.truncate(self._path, whole)


def key_of(model: str, request: Request, sampling: Sampling) -> str:
    """What makes two requests the same: a SHA-256 of all that the completion depends on."""
    told = [model, list(request.prompt_ids), list(request.prefix_ids), request.words, request.seed,
            request.max_new_tokens, sampling.temperature, sampling.top_p, sampling.stop]  # fmt: skip
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()
