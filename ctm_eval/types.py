"""The records that everything else is about: a problem, a sampled solution, a benchmark."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True)
class Problem:
    """A row of the `problems` table.

    `answer` is the final answer. A programming task has `tests`, each a statement that must hold after
    the program, and its `answer` is a reference program.
    """

    problem_id: str
    benchmark: str
    split: str
    question: str
    answer: str
    subject: str | None = None
    level: str | None = None
    tests: tuple[str, ...] = ()


@dataclass(frozen=True)
class Solution:
    """A row of the `solutions` table. `token_ids` ends with the end-of-sequence token if it was drawn."""

    solution_id: str
    problem_id: str
    sample_index: int
    model: str
    prompt_ids: Sequence[int]
    token_ids: Sequence[int]
    text: str
    answer: str | None
    correct: bool
    verdict: str
    finish_reason: str
    temperature: float
    top_p: float
    seed: int


@dataclass(frozen=True)
class Benchmark:
    """All facts about a benchmark.

    `read` turns a row of its data into a `Problem`, or gives None for a row of another split; a benchmark
    that is made by a program has `generate` instead. `repo` and `config` are its place on the Hub,
    `license` is the slug that the Hub uses. `kind` says what a solution is: a text with an answer, or a
    program. `answer_format` is the mark that the benchmark itself puts before an answer. `shots` worked
    examples of the file `exemplars` precede a question by default, and `instruction` ends it in a chat.
    """

    name: str
    title: str
    license: str
    kind: Literal["math", "code"]
    instruction: str
    answer_format: Literal["####", "box"] | None = None
    repo: str | None = None
    config: str | None = None
    read: Callable[[dict[str, Any], str, int], Problem | None] | None = None
    generate: Callable[[str, int, int], list[Problem]] | None = None  # split, count, seed
    shots: int = 0
    exemplars: str | None = None
