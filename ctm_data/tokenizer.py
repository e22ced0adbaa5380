"""A model's tokenizer without the model: to check or to make token ids."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ctm_eval.errors import CtmError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def load_tokenizer(name: str) -> "PreTrainedTokenizerBase":
    """The tokenizer of a Hub id, a local folder or `pocket`. Raises CtmError if there is none."""
    from transformers import AutoTokenizer

    from ctm_eval.pocket import MODELS

    try:
        return AutoTokenizer.from_pretrained(str(MODELS.get(name, name)))
    except (OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise CtmError(f"cannot load the tokenizer {name!r} ({reason})", usage=True) from error


def decode(tokenizer: "PreTrainedTokenizerBase", ids: Sequence[int]) -> str:
    """The text of token ids, as the engines decode it."""
    return str(
        tokenizer.decode(list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False)
    )
