"""Models that think before they answer: where the thought ends, and how long it and the answer may be.

A thought stands between two tags, at the beginning of a completion. A chat template may have written the
first tag already, as the end of the prompt. Tags are looked for in the text of the tokens, special ones
included, so that it does not matter how a tokenizer spells them.
"""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from ctm_eval.engines.base import Completion, Request, Sampler, Sampling
from ctm_eval.grading.extract import THOUGHT
from ctm_eval.progress import Advance, scaled
from ctm_eval.seeds import seed_of

# What templates write around thoughts, and whose.
TAGS = (
    THOUGHT,  # DeepSeek-R1, Qwen3, GLM-4.5, SmolLM3 and most others
    ("<thinking>", "</thinking>"),
    ("<thought>", "</thought>"),  # EXAONE Deep
    ("<seed:think>", "</seed:think>"),  # Seed-OSS
    ("[THINK]", "[/THINK]"),  # Magistral
    ("◁think▷", "◁/think▷"),  # Kimi
    ("<|channel|>analysis<|message|>", "<|channel|>final<|message|>"),  # gpt-oss
)
PROMPT_TAIL = 32  # tokens of a prompt that are looked at for a tag at its end


class Thought(NamedTuple):
    """The tokens of a completion that belong to its thought, tags included: the first `end`."""

    end: int
    finished: bool  # whether the thought is closed


@dataclass(frozen=True)
class Thinking:
    """The tags of a model's thoughts, and how many tokens one may have, its tags included."""

    open: str
    close: str
    max_tokens: int

    def thought(
        self, engine: Sampler, prompt_ids: Sequence[int], token_ids: Sequence[int]
    ) -> Thought | None:
        """The thought of a completion; None if it begins without one."""
        text = engine.decode(token_ids, special=True)
        opened = self._opens(engine, prompt_ids)
        if not opened and not text.lstrip().startswith(self.open):
            return None
        if self.close not in text:
            return Thought(len(token_ids), False)
        # The number of tokens with which the text first holds the tag.
        end = bisect_left(
            range(len(token_ids) + 1),
            True,
            key=lambda count: self.close in engine.decode(token_ids[:count], special=True),
        )
        return Thought(end, True)

    def room(
        self, engine: Sampler, prompt_ids: Sequence[int], given: Sequence[int], max_new_tokens: int
    ) -> int:
        """How many tokens may follow `given`: of the thought while it lasts, then of the answer, of at
        most `max_new_tokens`. Negative where `given` is too long."""
        found = self.thought(engine, prompt_ids, given)
        if found is None:
            begun = engine.decode(given, special=True).lstrip()
            may_think = len(begun) < len(self.open) and self.open.startswith(begun)
            return (self.max_tokens if may_think else max_new_tokens) - len(given)
        limit = found.end + max_new_tokens if found.finished else self.max_tokens
        return limit - len(given)

    def _opens(self, engine: Sampler, prompt_ids: Sequence[int]) -> bool:
        """Whether the prompt ends with the first tag."""
        tail = engine.decode(prompt_ids[-PROMPT_TAIL:], special=True)
        return tail.rstrip().endswith(self.open)


def tags_in(template: str) -> tuple[str, str] | None:
    """The tags of thoughts that a chat template knows; None if it knows none."""
    return next((tags for tags in TAGS if tags[1] in template), None)


def room(
    engine: Sampler,
    prompt_ids: Sequence[int],
    given: Sequence[int],
    max_new_tokens: int,
    thinking: Thinking | None,
) -> int:
    """How many tokens may follow those of a completion that are given."""
    if thinking is None:
        return max_new_tokens - len(given)
    return thinking.room(engine, prompt_ids, given, max_new_tokens)


def sample(
    engine: Sampler,
    requests: Sequence[Request],
    sampling: Sampling,
    max_new_tokens: int,
    thinking: Thinking | None,
    progress: Advance | None = None,
) -> list[Completion]:
    """A completion for every request, as `engine.sample` draws it, within the budgets of its parts.

    `max_new_tokens` of a request is the `room` behind its prefix. A thought that is not closed within its
    budget ends the completion. One that is closed may have left the answer too little of the room, or too
    much: the completion is then drawn further, or cut.
    """
    completions = engine.sample(requests, sampling, progress)
    if thinking is None:
        return completions
    further = {}
    for i, (request, done) in enumerate(zip(requests, completions, strict=True)):
        given = (*request.prefix_ids, *done.token_ids)
        rest = thinking.room(engine, request.prompt_ids, given, max_new_tokens)
        if rest < 0:
            kept = done.token_ids[: max(0, len(done.token_ids) + rest)]
            completions[i] = Completion(kept, "length")
        elif rest > 0 and done.finish_reason == "length":
            seed = seed_of(request.seed, "answer")
            further[i] = replace(request, seed=seed, prefix_ids=given, max_new_tokens=rest)
    if further:
        more = engine.sample(list(further.values()), sampling, progress and scaled(progress, 0))
        for i, new in zip(further, more, strict=True):
            joined = (*completions[i].token_ids, *new.token_ids)
            completions[i] = Completion(joined, new.finish_reason)
    return completions


def read(
    engine: Sampler,
    prompt_ids: Sequence[int],
    token_ids: Sequence[int],
    thinking: Thinking | None,
) -> tuple[str, int | None]:
    """A completion as text, and how many of its tokens are a thought; None if it has none.

    The thought stands between `<think>` and `</think>`, whatever the model's own tags are and whoever
    wrote the first: what reads texts need not know the model.
    """
    whole = engine.decode(token_ids)
    found = thinking and thinking.thought(engine, prompt_ids, token_ids)
    if not thinking or not found:
        return whole, None
    tokens = list(token_ids[: found.end])
    while tokens and tokens[-1] in engine.eos_ids:
        tokens.pop()
    head = engine.decode(tokens, special=True)
    inner, _, behind = head.partition(thinking.close)
    if inner.lstrip().startswith(thinking.open):
        inner = inner.lstrip().removeprefix(thinking.open)
    if not found.finished:
        return f"{THOUGHT[0]}{inner}", found.end
    rest = whole[len(engine.decode(tokens)) :]
    return f"{THOUGHT[0]}{inner}{THOUGHT[1]}{behind}{rest}", found.end
