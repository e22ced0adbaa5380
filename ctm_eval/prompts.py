"""Prompts: worked examples and a question as a text to continue, or a chat.

The format is the same for every benchmark: `Question: …`, `Answer: …`, and a blank line between exercises.
In a chat, the question is followed by the benchmark's instruction; worked examples are earlier turns.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ctm_eval.data_files import read_rows
from ctm_eval.errors import CtmError
from ctm_eval.types import Benchmark, Problem

if TYPE_CHECKING:
    from ctm_eval.engines.base import Sampler, Words
    from ctm_eval.engines.tokenizer import WithTokenizer

STOP = ("\n\nQuestion:", "\n\nProblem:")  # a base model may continue with the next exercise
PROGRAM = "Answer with the whole program in one ```python block."
QUESTION_FIELDS, SOLUTION_FIELDS = ("question", "problem", "text"), ("solution", "answer", "code")


def exercise(question: str) -> str:
    """The text that a model is asked to continue; a solution starts with a space or a line break."""
    return f"Question: {question}\nAnswer:"


def prompt(problem: Problem) -> str:
    """A problem as an exercise without worked examples."""
    return exercise(problem.question)


def with_tests(text: str, tests: Sequence[str]) -> str:
    """The question of a programming task: what to write, and the tests that the program has to pass."""
    return "\n".join([text.strip(), "The program should pass these tests:", *tests])


@dataclass(frozen=True)
class Exemplar:
    """A solved exercise shown before the question."""

    question: str
    solution: str


@dataclass(frozen=True)
class Prompting:
    """How the problems of a benchmark become prompts: the exemplars, and whether to use a chat.

    In a chat, `instruction` says what form the answer must have, and `template_args` are further variables
    of the model's template, such as `enable_thinking`.
    """

    exemplars: tuple[Exemplar, ...] = ()
    chat: bool = False
    instruction: str = ""
    system: str | None = None
    template_args: Mapping[str, Any] | None = None

    def messages(self, problem: Problem) -> list[dict[str, str]]:
        """The turns of a chat, the last one the user's."""
        turns: list[dict[str, str]] = []
        if self.system is not None:
            turns.append({"role": "system", "content": self.system})
        for exemplar in self.exemplars:
            turns.append({"role": "user", "content": f"{exemplar.question}\n\n{self.instruction}"})
            turns.append({"role": "assistant", "content": exemplar.solution.strip()})
        return [*turns, {"role": "user", "content": f"{problem.question}\n\n{self.instruction}"}]

    def text(self, problem: Problem) -> str:
        """The text to continue; a solution starts with a space or a line break."""
        shots = (exercise(shot.question) + _after(shot.solution) for shot in self.exemplars)
        return "\n\n".join([*shots, prompt(problem)])

    def words(self, problem: Problem) -> "Words":
        """The prompt of a model that is asked in words."""
        return tuple(self.messages(problem)) if self.chat else self.text(problem)

    def encode(self, engine: "Sampler | WithTokenizer", problem: Problem) -> list[int]:
        """The token ids of the prompt. Raises CtmError if the model has no chat template."""
        if self.chat:
            return engine.encode_chat(self.messages(problem), self.template_args)
        return engine.encode(self.text(problem))


def exemplars(
    benchmark: Benchmark, count: int, file: str | Path | None = None
) -> tuple[Exemplar, ...]:
    """The first `count` exemplars: the built-in ones of the benchmark, or those of a JSONL or Parquet file.

    A row of the file has a question (or problem, or text) and its solution (or answer, or code), so the
    training rows of GSM8K, MATH and MBPP can be used as they are. Raises CtmError if there are fewer.
    """
    if count == 0:
        return ()
    if file is not None:
        rows = [_of_row(where, row) for where, row in read_rows(file)]
    elif benchmark.exemplars is not None:
        name = f"{benchmark.exemplars}.jsonl"
        text = (files("ctm_eval") / "exemplars" / name).read_text("utf-8")
        rows = [Exemplar(**json.loads(line)) for line in text.splitlines()]
    else:
        rows = []
    if len(rows) < count:
        where = f"in {file}" if file else f"for {benchmark.name}; give more with --few-shot-file"
        raise CtmError(f"{count} exemplars wanted, {len(rows)} are {where}", usage=True)
    return tuple(rows[:count])


def fingerprint(prompts: Iterable["Sequence[int] | Words"]) -> str:
    """The SHA-256 of rendered prompts, as token ids or words in the order of their problems."""
    digest = hashlib.sha256()
    for ids in prompts:
        digest.update(json.dumps(list(ids)).encode())
    return digest.hexdigest()


def _after(solution: str) -> str:
    return solution if solution.startswith("\n") else f" {solution.strip()}"


def _of_row(where: str, row: dict[str, Any]) -> Exemplar:
    fields = []
    for names in (QUESTION_FIELDS, SOLUTION_FIELDS):
        found = next((row[name] for name in names if isinstance(row.get(name), str)), None)
        if found is None:
            raise CtmError(f"{where} has no text called {' or '.join(names)}", usage=True)
        fields.append(found)
    return Exemplar(fields[0], f"\n```python\n{fields[1]}\n```" if "code" in row else fields[1])
