"""The problems of a run and its prompts: how they are put to its models, and whether they fit.

Only tokenizers and configurations are read, so that what cannot work is refused before a model is loaded.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from ctm_data.config import OTHER_TOKENS, THINKING_TOKENS, BuildConfig, EvalConfig
from ctm_eval.benchmarks import benchmark_called, each_problem
from ctm_eval.engines.base import Words
from ctm_eval.engines.tokenizer import WithTokenizer
from ctm_eval.errors import CtmError
from ctm_eval.models import load_tokenizer, positions
from ctm_eval.problems import Problems
from ctm_eval.prompts import Prompting, exemplars, fingerprint
from ctm_eval.thinking import tags_in
from ctm_eval.types import Problem

C = TypeVar("C", BuildConfig, EvalConfig)


def problems_of(config: BuildConfig | EvalConfig) -> Problems:
    """The problems that a run asks of its models. Raises CtmError."""
    return Problems(
        each_problem(
            config.benchmark,
            split=config.split,
            data_file=config.data_file,
            limit=config.limit,
            seed=config.seed,
            revision=config.revision if isinstance(config, EvalConfig) else None,
        )
    )


def ask(
    config: C, models: Sequence[str], problems: Sequence[Problem]
) -> tuple[C, dict[str, "Prompts"]]:
    """The prompts by model, and the configuration with `think_tags` and the lengths filled in.

    Default lengths are cut to the positions that the longest prompt leaves; of a model that is asked in
    words nothing is known. Raises CtmError if a prompt does not fit its model together with a solution.
    """
    benchmark = benchmark_called(config.benchmark)
    shots = exemplars(benchmark, config.few_shot or 0, config.few_shot_file)
    prompting = Prompting(
        shots, bool(config.chat), benchmark.instruction, config.system, config.template_args
    )
    rendered: dict[str, Prompts] = {}
    if config.in_words:
        return _with_defaults(config, None), {
            name: Prompts(prompting, None, problems) for name in models
        }
    askers = {name: Asker(config.tokenizer or name) for name in models}
    config = replace(config, think_tags=config.think_tags or _think_tags(config, askers.values()))
    if config.think_tags is None and config.max_thinking_tokens is not None:
        raise CtmError(
            f"--max-thinking-tokens is for models that think; the template of {models[0]} knows no tags "
            "for thoughts: give --think-tags",
            usage=True,
        )
    room: int | None = None  # what the longest prompt leaves
    for name, asker in askers.items():
        rendered[name] = own = Prompts(prompting, asker, problems)
        length, longest = own.longest()
        if (own_positions := positions(asker.name)) is None:
            continue
        own_room = own_positions - length
        if own_room < _least(config):
            thought = "--max-thinking-tokens, " if config.think_tags else ""
            raise CtmError(
                f"{longest} has {length} prompt tokens; {_with_lengths(config)}that is more than the "
                f"{own_positions} positions of {name}: lower {thought}--max-new-tokens or --few-shot",
                usage=True,
            )
        room = own_room if room is None else min(room, own_room)
    return _with_defaults(config, room), rendered


def _think_tags(config: C, askers: Iterable["Asker"]) -> tuple[str, str] | None:
    """The tags that the templates of the models know, if they are asked in them. Raises CtmError."""
    if not config.chat:
        return None
    found = {tags for asker in askers if (tags := tags_in(str(asker.tokenizer.chat_template)))}
    if len(found) > 1:
        raise CtmError(
            "the models write different tags around their thoughts: ask them in runs of their own",
            usage=True,
        )
    return found.pop() if found else None


def _least(config: C) -> int:
    """How many tokens a completion takes at least, by the lengths that were given."""
    thought = config.max_thinking_tokens or 1 if config.think_tags else 0
    return (config.max_new_tokens or 1) + thought


def _with_lengths(config: C) -> str:
    """The lengths that were given, in words of an error."""
    given = [
        f"{option} {length}"
        for option, length in (
            ("--max-thinking-tokens", config.max_thinking_tokens),
            ("--max-new-tokens", config.max_new_tokens),
        )
        if length
    ]
    return f"with {' and '.join(given)} " if given else ""


def _with_defaults(config: C, room: int | None) -> C:
    """The configuration with the lengths that were left open, within `room` tokens.

    Where room is short, a thought gets three quarters of it.
    """
    answer, thought = config.max_new_tokens, config.max_thinking_tokens
    if config.think_tags is None:
        answer = answer or min(OTHER_TOKENS, room or OTHER_TOKENS)
        return replace(config, max_new_tokens=answer)
    if room is None:
        answer, thought = answer or OTHER_TOKENS, thought or THINKING_TOKENS
        return replace(config, max_new_tokens=answer, max_thinking_tokens=thought)
    if answer is None:
        most = room - thought if thought else max(1, room // 4)
        answer = min(OTHER_TOKENS, most)
    thought = thought or min(THINKING_TOKENS, room - answer)
    return replace(config, max_new_tokens=answer, max_thinking_tokens=thought)


def prompts_sha256(rendered: Mapping[str, "Prompts"]) -> str:
    """The hash of all rendered prompts, model by model in the order of their problems."""
    return fingerprint(ids for own in rendered.values() for ids in own)


class Prompts:
    """The prompts of problems, in their order: token ids, or words without an `asker`. They are rendered
    whenever they are asked for: those of a large run are not held."""

    def __init__(
        self, prompting: Prompting, asker: "Asker | None", problems: Sequence[Problem]
    ) -> None:
        self._prompting, self._asker, self._problems = prompting, asker, problems

    def __call__(self, problem: Problem) -> Sequence[int] | Words:
        """The prompt of one problem."""
        if self._asker is None:
            return self._prompting.words(problem)
        return self._prompting.encode(self._asker, problem)

    def __iter__(self) -> Iterator[Sequence[int] | Words]:
        return map(self, self._problems)

    def longest(self) -> tuple[int, str]:
        """How many tokens the longest prompt has, and of which problem it is, the first of equals."""
        lengths = ((len(self(problem)), problem.problem_id) for problem in self._problems)
        return max(lengths, key=lambda pair: pair[0])


class Asker(WithTokenizer):
    """A model's tokenizer, without the model."""

    def __init__(self, name: str) -> None:
        self.name, self.tokenizer = name, load_tokenizer(name)
