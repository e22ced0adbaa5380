"""What engines share: the part of the protocol that a tokenizer answers, and a model's end tokens."""

from collections.abc import Mapping, Sequence
from typing import Any

from ctm_eval.errors import CtmError
from ctm_eval.models import decode, first_line

RENDERING = frozenset(
    "conversation messages add_generation_prompt continue_final_message tokenize padding truncation "
    "max_length return_tensors return_dict return_assistant_tokens_mask tokenizer_kwargs".split()
)
"""What `apply_chat_template` takes beside the variables of a template, and is ours to say."""


class WithTokenizer:
    """The part of an `Engine` that a tokenizer of transformers answers."""

    tokenizer: Any
    name: str

    def encode(self, text: str) -> list[int]:
        return list(self.tokenizer(text).input_ids)

    def decode(self, token_ids: Sequence[int], *, special: bool = False) -> str:
        return decode(self.tokenizer, token_ids, special=special)

    def pieces(self, token_ids: Sequence[int]) -> list[str]:
        # A tokenizer may drop the space before a token that stands alone, so each is read as what it
        # adds to its predecessor.
        pieces = []
        for i in range(len(token_ids)):
            before = str(self.tokenizer.decode(list(token_ids[max(0, i - 1) : i])))
            both = str(self.tokenizer.decode(list(token_ids[max(0, i - 1) : i + 1])))
            pieces.append(both.removeprefix(before))
        return pieces

    def encode_chat(
        self, messages: Sequence[dict[str, str]], template_args: Mapping[str, Any] | None = None
    ) -> list[int]:
        """A chat, ready for the assistant's turn; `template_args` are further variables of the template.

        Raises CtmError if the model has no template, for a variable that is an option of the rendering, or
        if the template refuses the chat.
        """
        from jinja2 import TemplateError

        if not getattr(self.tokenizer, "chat_template", None):
            raise CtmError(f"{self.name!r} has no chat template: leave out --chat", usage=True)
        if options := sorted(RENDERING & (template_args or {}).keys()):
            raise CtmError(
                f"--template-args takes variables of the template, and {options[0]!r} is none",
                usage=True,
            )
        try:
            return list(
                self.tokenizer.apply_chat_template(
                    list(messages),
                    add_generation_prompt=True,
                    return_dict=False,
                    **(template_args or {}),
                )
            )
        except (TemplateError, TypeError, ValueError) as error:
            raise CtmError(
                f"the chat template of {self.name!r} refuses the chat ({first_line(error)}): see --system, "
                "--few-shot and --template-args",
                usage=True,
            ) from error


def eos_ids(generation: Any, tokenizer: Any, name: str) -> frozenset[int]:
    """Every token that ends a text, after the tokenizer and the model's generation settings."""
    configured = getattr(generation, "eos_token_id", None)
    ids = {tokenizer.eos_token_id}
    ids |= set(configured) if isinstance(configured, list | tuple) else {configured}
    ids.discard(None)
    if tokenizer.eos_token_id is None:
        raise CtmError(
            f"the tokenizer of {name!r} has no end-of-sequence token, so that no completion could "
            "end; set eos_token in its tokenizer_config.json",
            usage=True,
        )
    return frozenset(ids)
