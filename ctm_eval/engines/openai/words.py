"""The `openai` engine: a model behind any server with OpenAI's interface, through the client `openai`.

`OpenAISampler` asks in words, a chat or a text to continue, and is told a text: enough for an evaluation.
Rollouts need token ids, see `ids`.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from ctm_eval.engines.base import Completion, Request, Sampling
from ctm_eval.engines.openai.answers import Answers, key_of
from ctm_eval.engines.openai.replies import cached_of, choice_of, ended, text_of
from ctm_eval.engines.openai.server import Book, Call, Server
from ctm_eval.errors import CtmError
from ctm_eval.progress import Advance

SEEDS = 1 << 31  # servers take seeds of 32 bits at least
LIMITS = ("max_tokens", "max_completion_tokens")  # OpenAI's newer models want the second
EXAMPLE = "Question: What is 17 + 25?\nAnswer:"


class Asking(ABC):
    """What both have in common: requests are sent at once, and what was answered before is not sent."""

    name: str
    server: Server
    answers: Answers | None
    eos_ids: frozenset[int] = frozenset()
    max_length: int | None = None

    def sample(
        self, requests: Sequence[Request], sampling: Sampling, progress: Advance | None = None
    ) -> list[Completion]:
        completions: list[Completion | None] = [None] * len(requests)

        def book(i: int, key: str, answer: Any) -> None:
            completion, drawn = self._completion(requests[i], sampling, answer)
            completions[i] = completion
            if self.answers:
                self.answers.add(key, completion)
            if progress:
                progress(1, drawn, cached_of(answer))

        def questions() -> Iterator[tuple[Call, Book]]:
            for i, request in enumerate(requests):
                key = key_of(self.name, request, sampling)
                known = self._known(request, sampling) or (self.answers and self.answers.get(key))
                if known:
                    completions[i] = known
                    if progress:
                        progress(1, 0)
                else:
                    yield self._call(request, sampling), partial(book, i, key)

        self.server.ask(questions())
        return [completion for completion in completions if completion is not None]

    def _known(self, request: Request, sampling: Sampling) -> Completion | None:
        """A completion that need not be asked for."""
        return Completion((), "length", "") if request.max_new_tokens <= 0 else None

    @abstractmethod
    def _call(self, request: Request, sampling: Sampling) -> Call:
        """What is asked of the server."""

    @abstractmethod
    def _completion(
        self, request: Request, sampling: Sampling, answer: Any
    ) -> tuple[Completion, int]:
        """What was answered, and how many tokens that are. Raises ValueError if it is no answer."""


class OpenAISampler(Asking):
    """A model that is asked in words and answers in words."""

    def __init__(
        self, server: Server, model: str, answers: Answers | None = None, limit: str = LIMITS[0]
    ) -> None:
        self.server, self.name, self.answers, self._limit = server, model, answers, limit

    @classmethod
    def load(
        cls,
        model: str,
        *,
        base_url: str | None = None,
        chat: bool = True,
        answers: Answers | None = None,
        tokenizer: None = None,
        distributions: bool = False,
        **options: Any,
    ) -> "OpenAISampler":
        """The model of this name behind a server, which is asked for a word. `options` are those of
        `Server`. Raises CtmError if it has no such model or interface."""
        server = Server(base_url, **options)
        words: Any = ({"role": "user", "content": "What is 17 + 25?"},) if chat else EXAMPLE
        request, sampling = Request((), 0, 16, words=words), Sampling(1.0)
        for limit in LIMITS if chat else LIMITS[:1]:
            asker = cls(server, model, answers, limit)
            try:
                server.ask_one(
                    asker._call(request, sampling), partial(asker._completion, request, sampling)
                )
                break
            except CtmError as error:
                if limit == LIMITS[-1] or LIMITS[-1] not in str(error):
                    raise
        return asker

    def encode(self, text: str) -> list[int]:
        raise no_ids(self.name)

    def encode_chat(
        self, messages: Sequence[dict[str, str]], template_args: Mapping[str, Any] | None = None
    ) -> list[int]:
        raise no_ids(self.name)

    def decode(self, token_ids: Sequence[int], *, special: bool = False) -> str:
        raise no_ids(self.name)

    def pieces(self, token_ids: Sequence[int]) -> list[str]:
        raise no_ids(self.name)

    def _call(self, request: Request, sampling: Sampling) -> Call:
        words = request.words
        if words is None:
            raise no_ids(self.name)
        options: dict[str, Any] = {
            "model": self.name,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "seed": request.seed % SEEDS,
            self._limit: request.max_new_tokens,
        }
        if sampling.stop:
            options["stop"] = list(sampling.stop)
        if isinstance(words, str):
            return lambda client: client.completions.create(prompt=words, **options)
        turns: Any = list(map(dict, words))
        return lambda client: client.chat.completions.create(messages=turns, **options)

    def _completion(
        self, request: Request, sampling: Sampling, answer: Any
    ) -> tuple[Completion, int]:
        choice = choice_of(answer)
        text = text_of(choice, chat=not isinstance(request.words, str))
        drawn = getattr(getattr(answer, "usage", None), "completion_tokens", 0)
        return Completion((), ended(choice), text), drawn if isinstance(drawn, int) else 0


def no_ids(name: str) -> CtmError:
    return CtmError(
        f"{name} is asked in words, and this needs token ids: give --tokenizer, the Hub id or the folder "
        "of the served model",
        usage=True,
    )
