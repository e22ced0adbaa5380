"""The two protocols of engines: what samples, and what also gives next-token distributions."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Literal, Protocol, TypeVar

from ctm_eval.errors import CtmError
from ctm_eval.progress import Advance

if TYPE_CHECKING:
    import numpy as np

FinishReason = Literal["stop", "length"]
Words = str | tuple[Mapping[str, str], ...]  # a prompt as a text, or as the turns of a chat
# What a random number draws in the transformers engine. 1 went through the nucleus from its most likely
# token down, 2 goes through it by the ids of its tokens.
SAMPLER = 2


@dataclass(frozen=True)
class Sampling:
    """The rollout policy: temperature first, then top-p. Temperature 0 is greedy decoding.

    `stop` are strings that end a completion once they appear in it, its prefix included: a completion
    from any prefix of a text stops where the whole text would.
    """

    temperature: float = 1.0
    top_p: float = 1.0
    stop: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not 0 <= self.temperature < math.inf:  # also refuses nan
            raise CtmError(
                f"temperature must be a number from 0 up, not {self.temperature}", usage=True
            )
        if not 0 < self.top_p <= 1:
            raise CtmError(f"top-p must be above 0 and at most 1, not {self.top_p}", usage=True)


@dataclass(frozen=True)
class Request:
    """One completion to draw: continue `prompt_ids + prefix_ids` by at most `max_new_tokens`.

    Requests with equal `prompt_ids` share their prompt's key-value cache and that of every prefix
    they have in common. The completion depends on the request alone, not on its batch.
    An engine that knows no token ids is asked in `words`, and `prompt_ids` is empty.
    """

    prompt_ids: Sequence[int]
    seed: int
    max_new_tokens: int
    prefix_ids: Sequence[int] = ()
    words: Words | None = None


def request_for(prompt: Sequence[int] | Words, seed: int, max_new_tokens: int) -> Request:
    """The request for one completion of a prompt, in token ids or in words."""
    if isinstance(prompt, str) or (prompt and isinstance(prompt[0], Mapping)):
        return Request((), seed, max_new_tokens, words=prompt)  # type: ignore[arg-type]
    return Request(prompt, seed, max_new_tokens)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Completion:
    """The new tokens of a request, the end-of-sequence token included where it was drawn.

    An engine that knows no token ids gives the `text` alone.
    """

    token_ids: tuple[int, ...]
    finish_reason: FinishReason
    text: str | None = None


@dataclass(frozen=True)
class Nucleus:
    """A next-token distribution after temperature and top-p: what can be drawn, most likely first."""

    token_ids: "np.ndarray"  # (K,) int64
    probs: "np.ndarray"  # (K,) float64, sums to 1

    def prob(self, token_id: int) -> float:
        """The probability of drawing `token_id`; 0 outside the nucleus."""
        return float(self.probs[self.token_ids == token_id].sum())


class Sampler(Protocol):
    """A model that samples. Token ids in, token ids out."""

    name: str
    eos_ids: frozenset[int]
    max_length: int | None  # positions the model was made for, prompt and completion together

    def encode(self, text: str) -> list[int]:
        """Prompt text to token ids, with whatever the model wants before a prompt (BOS)."""

    def encode_chat(
        self, messages: Sequence[dict[str, str]], template_args: Mapping[str, Any] | None = None
    ) -> list[int]:
        """Turns of a chat to token ids by the model's chat template, ready for the assistant's."""

    def decode(self, token_ids: Sequence[int], *, special: bool = False) -> str:
        """Token ids to text, special tokens left out unless `special`."""

    def pieces(self, token_ids: Sequence[int]) -> list[str]:
        """Each token as it reads after the one before it, special tokens by name."""

    def sample(
        self, requests: Sequence[Request], sampling: Sampling, progress: Advance | None = None
    ) -> list[Completion]:
        """A completion for every request, in their order.

        `progress` is called with (requests finished, tokens drawn, tokens that needed no pass of their own)
        since its last call.
        """


class Engine(Sampler, Protocol):
    """A model that samples and gives its distributions, which rollouts need."""

    def next_token_distributions(
        self, sequences: Sequence[tuple[Sequence[int], Sequence[int]]], sampling: Sampling
    ) -> list[list[Nucleus]]:
        """For every (prompt ids, completion ids), the distribution that each token was drawn from."""


E_co = TypeVar("E_co", bound=Sampler, covariant=True)


class LazyEngine(Generic[E_co]):
    """An engine that is loaded when it is first asked for: a finished run needs none."""

    def __init__(self, load: Callable[[], E_co]) -> None:
        self.load = load
        self._engine: E_co | None = None

    def __call__(self) -> E_co:
        if self._engine is None:
            self._engine = self.load()
        return self._engine

    def forget(self) -> None:
        """Gives the engine up, so that the next one has its memory."""
        self._engine = None
