"""The prompts of a run: how its problems are put to its models, and whether they fit.

Only tokenizers and configurations are read, so that what cannot work is refused before a model is loaded.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from ctm_data.config import OTHER_TOKENS, BuildConfig, EvalConfig
from ctm_eval.benchmarks import benchmark_called
from ctm_eval.engines.base import Words
from ctm_eval.engines.tokenizer import WithTokenizer
from ctm_eval.errors import CtmError
from ctm_eval.models import load_tokenizer, positions
from ctm_eval.prompts import Prompting, exemplars, fingerprint
from ctm_eval.types import Problem

C = TypeVar("C", BuildConfig, EvalConfig)


def ask(
    config: C, models: Sequence[str], problems: Sequence[Problem]
) -> tuple[C, dict[str, "Prompts"]]:
    """The prompts by model, and the configuration with `max_new_tokens` filled in.

    Its default is cut to the positions that the longest prompt leaves; of a model that is asked in words
    nothing is known. Raises CtmError if a prompt does not fit its model together with a solution.
    """
    benchmark = benchmark_called(config.benchmark)
    shots = exemplars(benchmark, config.few_shot or 0, config.few_shot_file)
    prompting = Prompting(shots, bool(config.chat), benchmark.instruction, config.system)
    rendered: dict[str, Prompts] = {}
    fits = config.max_new_tokens or OTHER_TOKENS
    for name in models:
        if config.in_words:
            rendered[name] = Prompts(prompting, None, problems)
            continue
        tokenizer = config.tokenizer or name
        rendered[name] = own = Prompts(prompting, Asker(tokenizer), problems)
        length, longest = own.longest()
        room = positions(tokenizer)
        if room is None or length + fits <= room:
            continue
        if config.max_new_tokens is None and length < room:
            fits = room - length
            continue
        with_tokens = f"with --max-new-tokens {fits} " if config.max_new_tokens else ""
        raise CtmError(
            f"{longest} has {length} prompt tokens; {with_tokens}that is more than the {room} positions "
            f"of {name}: lower --max-new-tokens or --few-shot",
            usage=True,
        )
    return replace(config, max_new_tokens=fits), rendered


def prompts_sha256(rendered: Mapping[str, "Prompts"]) -> str:
    """The hash of all rendered prompts, model by model in the order of their problems."""
    return fingerprint(ids for own in rendered.values() for ids in own.values())


class Prompts(Mapping[str, Sequence[int] | Words]):
    """Token ids, or words without an `asker`, by problem id; rendered whenever they are asked for: those
    of a large run are not held."""

    def __init__(
        self, prompting: Prompting, asker: "Asker | None", problems: Sequence[Problem]
    ) -> None:
        self._prompting, self._asker = prompting, asker
        self._problems = {problem.problem_id: problem for problem in problems}

    def __getitem__(self, problem_id: str) -> Sequence[int] | Words:
        problem = self._problems[problem_id]
        if self._asker is None:
            return self._prompting.words(problem)
        return self._prompting.encode(self._asker, problem)

    def __iter__(self) -> Iterator[str]:
        return iter(self._problems)

    def __len__(self) -> int:
        return len(self._problems)

    def longest(self) -> tuple[int, str]:
        """How many tokens the longest prompt has, and of which problem it is, the first of equals."""
        lengths = ((len(ids), problem_id) for problem_id, ids in self.items())
        return max(lengths, key=lambda pair: pair[0])


class Asker(WithTokenizer):
    """A model's tokenizer, without the model."""

    def __init__(self, name: str) -> None:
        self.name, self.tokenizer = name, load_tokenizer(name)
