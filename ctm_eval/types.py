"""The records that all other modules share: a problem, a sampled solution, a benchmark."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True)
class Problem:
    """A row of the `problems` table.

    `answer` is the final answer. A programming task has `tests`, statements that run after the program and
    must not fail; its `answer` is a reference program.
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
    """A row of the `solutions` table. `token_ids` ends with the end-of-sequence token if it was drawn; both
    lists of ids are None where the model was asked in words. `suspicious` is that of its
    `grading.Verdict`. `thought_end` is how many of the tokens belong to a thought, its tags included; None
    if there is none.
    """

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
    suspicious: str | None = None
    thought_end: int | None = None


@dataclass(frozen=True)
class Benchmark:
    """All facts about a benchmark.

    `read` turns a row of its data into a `Problem`, or returns None for a row of another split; a generated
    benchmark, or one of an installed package, has `generate` instead, and `size` if it ends. `repo` and
    `config` are its location on the Hub, and `license` is the Hub's identifier of its licence. `kind`
    says what a solution is: a text with an answer, or a program. With `own_ids`, a problem is called what
    its row says, not by its place. `answer_format` is how the benchmark marks its own answers. By default,
    `shots` worked examples from the file `exemplars` precede a question. In a chat, `instruction` follows
    the question.
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
    own_ids: bool = False
    generate: Callable[[str, int, int], list[Problem]] | None = None  # split, count, seed
    size: int | None = None  # how many a generated benchmark has; None for any number
    shots: int = 0
    exemplars: str | None = None
