"""The prompts of a run: how its problems are put to its models, and whether they fit.

Only tokenizers and configurations are read, so that what cannot work is refused before a model is loaded.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from ctm_data.config import OTHER_TOKENS, BuildConfig, EvalConfig
from ctm_eval.benchmarks import benchmark_called
from ctm_eval.engines.tokenizer import WithTokenizer
from ctm_eval.errors import CtmError
from ctm_eval.models import load_tokenizer, positions
from ctm_eval.prompts import Prompting, exemplars, fingerprint
from ctm_eval.types import Problem

Prompts = Mapping[str, Sequence[int]]  # token ids by problem id
C = TypeVar("C", BuildConfig, EvalConfig)


def ask(
    config: C, models: Sequence[str], problems: Sequence[Problem]
) -> tuple[C, dict[str, Prompts]]:
    """The prompts by model, and the configuration with `max_new_tokens` filled in.

    Its default is cut to the positions that the longest prompt leaves. Raises CtmError if a prompt does
    not fit its model together with a solution.
    """
    benchmark = benchmark_called(config.benchmark)
    shots = exemplars(benchmark, config.few_shot or 0, config.few_shot_file)
    prompting = Prompting(shots, bool(config.chat), benchmark.instruction, config.system)
    rendered: dict[str, Prompts] = {}
    fits = config.max_new_tokens or OTHER_TOKENS
    for name in models:
        asker = Asker(name)
        own = {problem.problem_id: prompting.encode(asker, problem) for problem in problems}
        rendered[name] = own
        longest = max(own, key=lambda problem_id: len(own[problem_id]))
        length, room = len(own[longest]), positions(name)
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


def prompts_sha256(rendered: Mapping[str, Prompts]) -> str:
    """The hash of all rendered prompts, model by model in the order of their problems."""
    return fingerprint([ids for own in rendered.values() for ids in own.values()])


class Asker(WithTokenizer):
    """A model's tokenizer, without the model."""

    def __init__(self, name: str) -> None:
        self.name, self.tokenizer = name, load_tokenizer(name)
