"""The `openai` engine with token ids: what rollouts need of a server, and vLLM's gives.

Prompts are sent as token ids, completions come back as token ids, and a prompt's log-probabilities come
with it. Whether a server does all that is asked when the engine is loaded.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

from ctm_eval.engines.base import Completion, Nucleus, Request, Sampling
from ctm_eval.engines.openai.answers import Answers
from ctm_eval.engines.openai.replies import choice_of, ended, prompt_logprobs, text_of, token_ids
from ctm_eval.engines.openai.server import Call, Server
from ctm_eval.engines.openai.words import EXAMPLE, SEEDS, Asking, no_ids
from ctm_eval.engines.stop_strings import crossing, has_stop
from ctm_eval.engines.tokenizer import WithTokenizer, eos_ids
from ctm_eval.engines.top_tokens import nucleus_of_top
from ctm_eval.errors import CtmError
from ctm_eval.models import load_tokenizer, model_path, positions, vocabulary

TOP = 64  # the most likely tokens that are asked for first, then four times as many


class OpenAIEngine(Asking, WithTokenizer):
    """A model that is sent token ids and answers with token ids."""

    def __init__(
        self, server: Server, model: str, tokenizer: str, answers: Answers | None = None
    ) -> None:
        self.server, self.name, self.answers = server, model, answers
        self.tokenizer = load_tokenizer(tokenizer)
        self.eos_ids = eos_ids(_generation(tokenizer), self.tokenizer, tokenizer)
        self.max_length = positions(tokenizer)
        self.vocabulary = vocabulary(tokenizer, self.tokenizer)

    @classmethod
    def load(
        cls,
        model: str,
        *,
        base_url: str | None = None,
        tokenizer: str | None = None,
        distributions: bool = True,
        chat: bool = False,
        answers: Answers | None = None,
        **options: Any,
    ) -> "OpenAIEngine":
        """The model of this name behind a server, and its tokenizer, a Hub id or a folder.

        The server is asked whether it knows token ids and, for `distributions`, log-probabilities of the
        whole vocabulary. Raises CtmError with the reason if it does not. `options` are those of `Server`.
        """
        if tokenizer is None:
            raise no_ids(model)
        engine = cls(Server(base_url, **options), model, tokenizer, answers)
        engine._check_ids()
        if distributions:
            engine._check_distributions()
        return engine

    def next_token_distributions(
        self, sequences: Sequence[tuple[Sequence[int], Sequence[int]]], sampling: Sampling
    ) -> list[list[Nucleus]]:
        """From the most likely tokens at every position, more of them where the nucleus is wider."""
        vocabulary = self.vocabulary
        found: list[list[Nucleus]] = [[] for _ in sequences]
        todo = [i for i, (_, rest) in enumerate(sequences) if rest]
        top = 1 if sampling.temperature == 0 else TOP if sampling.top_p < 1 else vocabulary
        while todo:
            wider: list[int] = []
            most = None if top >= vocabulary else top

            def book(
                i: int, answer: Any, wider: list[int] = wider, most: int | None = most
            ) -> None:
                prompt, rest = sequences[i]
                nuclei = []
                told = prompt_logprobs(answer, len(prompt), len(rest), most, vocabulary)
                for ids, logprobs in told:
                    size = len(ids) if most is None else vocabulary
                    nuclei.append(nucleus_of_top(ids, logprobs, size, sampling))
                found[i] = [own for own in nuclei if own is not None]
                if len(found[i]) < len(rest):
                    wider.append(i)

            self.server.ask(
                (self._scored([*sequences[i][0], *sequences[i][1]], most), partial(book, i))
                for i in todo
            )
            todo, top = sorted(wider), 4 * top
        return found

    def _check_ids(self) -> None:
        """Raises CtmError if the server does not speak the token ids of the tokenizer."""
        ids = self.encode(EXAMPLE)
        request, seen = Request(ids, 0, 8), list[Any]()

        def book(answer: Any) -> None:
            choice = choice_of(answer)
            told = getattr(choice, "token_ids", None)
            read = getattr(choice, "prompt_token_ids", None) or ids
            seen.append((told, read, text_of(choice, chat=False)))

        try:
            self.server.ask_one(self._call(request, Sampling(0.0)), book)
        except CtmError as error:
            raise CtmError(
                f"{error} (it was sent token ids, which rollouts need; without --tokenizer it is asked in "
                "words)",
                usage=True,
            ) from None
        told, read, text = seen[0]
        if not told or not isinstance(told, list):
            raise CtmError(
                f"the server {self.server.base_url} tells no token ids, which rollouts need: use vLLM's "
                "(0.10.2 or later); evaluations need none without --tokenizer",
                usage=True,
            )
        known = all(type(i) is int and 0 <= i < self.vocabulary for i in told)
        mine = self.decode(told) if known else ""
        if not known or read != ids or ("\ufffd" not in mine and mine.strip() != text.strip()):
            raise CtmError(
                f"the tokens of {self.name} on {self.server.base_url} are not those of --tokenizer "
                f"{self.tokenizer.name_or_path}: give the tokenizer of the served model",
                usage=True,
            )

    def _check_distributions(self) -> None:
        """Raises CtmError if the server does not give the log-probabilities of a prompt's tokens."""
        ids, seen = self.encode(EXAMPLE)[:2], list[Any]()
        way = "rollouts need them: start vLLM with --max-logprobs -1"
        try:
            self.server.ask_one(self._scored(ids, None), seen.append)
            prompt_logprobs(seen[0], 1, len(ids) - 1, None, self.vocabulary)
        except (CtmError, ValueError) as error:
            raise CtmError(
                f"the server {self.server.base_url} does not give the log-probabilities of all tokens "
                f"({error}); {way}",
                usage=True,
            ) from None

    def _known(self, request: Request, sampling: Sampling) -> Completion | None:
        if has_stop(self.decode, request.prefix_ids, sampling.stop):
            return Completion((), "stop")
        return Completion((), "length") if request.max_new_tokens <= 0 else None

    def _call(self, request: Request, sampling: Sampling) -> Call:
        ids = [*request.prompt_ids, *request.prefix_ids]
        extra: dict[str, Any] = {
            "return_token_ids": True,
            "stop_token_ids": sorted(self.eos_ids),
            "include_stop_str_in_output": True,
            # Nothing of the model's own sampling defaults, which vLLM's server would take.
            "top_k": -1,
            "min_p": 0.0,
            "repetition_penalty": 1.0,
        }
        return lambda client: client.completions.create(
            model=self.name,
            prompt=ids,
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            seed=request.seed % SEEDS,
            max_tokens=request.max_new_tokens,
            stop=list(sampling.stop) or None,
            extra_body=extra,
        )

    def _scored(self, ids: list[int], top: int | None) -> Call:
        """Asks for the log-probabilities of the `top` tokens, or of all, at every place of a prompt."""
        return lambda client: client.completions.create(
            model=self.name,
            prompt=ids,
            temperature=0,
            max_tokens=1,
            extra_body={"prompt_logprobs": -1 if top is None else top},
        )

    def _completion(
        self, request: Request, sampling: Sampling, answer: Any
    ) -> tuple[Completion, int]:
        choice = choice_of(answer)
        told = getattr(choice, "token_ids", None)
        drawn = token_ids(told, self.vocabulary)
        if len(drawn) > request.max_new_tokens:
            raise ValueError("it has more tokens than were asked for")
        # The server looks for stop strings in what it drew alone; draws depend only on what is before.
        at = crossing(self.decode, request.prefix_ids, drawn, sampling.stop)
        if at is not None:
            return Completion(drawn[:at], "stop"), len(drawn)
        return Completion(drawn, ended(choice)), len(drawn)


def _generation(tokenizer: str) -> Any:
    from transformers import GenerationConfig

    try:
        return GenerationConfig.from_pretrained(model_path(tokenizer))
    except OSError:  # none is there
        return None
