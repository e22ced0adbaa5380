"""Finding and loading models and tokenizers, for engines and scorers alike.

Code from a model's repository is never run: every loader gets `trust_remote_code=False`.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from errno import ENOMEM
from pathlib import Path
from pickle import UnpicklingError
from typing import TYPE_CHECKING, Any

from ctm_eval.data_files import read_json
from ctm_eval.errors import CtmError, missing
from ctm_eval.hub import is_hub_name, notice_offline
from ctm_eval.pocket.builtin import MODELS

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerBase

# What the libraries raise for a folder of a model that others made, or broke.
BROKEN = (OSError, ValueError, RecursionError, KeyError, TypeError, AttributeError)
MODEL_FILES = ("config.json", "adapter_config.json")
TOKENIZER_FILES = ("tokenizer_config.json", "tokenizer.json")


def first_line(error: BaseException) -> str:
    """The first line of what an error says, or its kind if it says nothing."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def model_path(model: str) -> str:
    """A Hub id, or the folder of a local or built-in model. Raises CtmError if it is not there."""
    path = str(MODELS.get(model, model))
    if Path(path).is_dir():
        return path
    if not is_hub_name(path):
        raise CtmError(f"there is no model folder {path}", usage=True)
    if meant := get_close_matches(model.lower(), MODELS, 1, 0.8):
        raise CtmError(f"there is no model {model!r}: did you mean {meant[0]}?", usage=True)
    notice_offline()
    return path


def refuse_no_model(name: str) -> None:
    """Raises CtmError for a folder that holds no model at all, as a run folder or an empty one."""
    folder = Path(MODELS.get(name, name))
    if folder.is_dir() and not any((folder / file).exists() for file in MODEL_FILES):
        raise CtmError(
            f"{name} holds no model: it has no {' or '.join(MODEL_FILES)}; give a model's folder",
            usage=True,
        )


def adapter_folder(adapter: str) -> Path:
    """The folder of a LoRA adapter. Raises CtmError if it holds none."""
    if not (Path(adapter) / "adapter_config.json").is_file():
        raise CtmError(f"{adapter} holds no LoRA adapter (adapter_config.json)", usage=True)
    return Path(adapter)


def adapter_base(folder: str | Path) -> str | None:
    """The base model of a folder that holds a LoRA adapter; None for any other folder or name."""
    path = Path(folder) / "adapter_config.json"
    if not path.exists():
        return None
    base = read_json(path).get("base_model_name_or_path")
    if not isinstance(base, str):
        raise CtmError(f"{path} does not name the base model of its adapter", usage=True)
    return base


def default_device(device: str | None) -> str:
    """`device`, or by default cuda where there is one. Raises CtmError for one that torch cannot use."""
    import torch

    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise CtmError(
            f"this machine has no device {device!r} that torch can use: leave out --device",
            usage=True,
        ) from error
    return device


def default_dtype(device: str) -> "torch.dtype":
    """bfloat16 on a GPU, float32 on a CPU."""
    import torch

    return torch.bfloat16 if device.startswith("cuda") else torch.float32


def load_model(
    name: str, dtype: "torch.dtype | str", *, head: bool = False, device_map: str | None = None
) -> Any:
    """A causal language model from a Hub id, a folder or a built-in name. For a folder with a LoRA adapter,
    this is the base model with the adapter merged in. With `head`, it is a token classifier with one label.

    Raises CtmError if it cannot be loaded.
    """
    from transformers import AutoModelForCausalLM, AutoModelForTokenClassification

    kind: Any = AutoModelForTokenClassification if head else AutoModelForCausalLM
    options: dict[str, Any] = {"dtype": dtype, "trust_remote_code": False}
    if device_map is not None:
        options["device_map"] = device_map
    with loading(name):
        if base := adapter_base(name):
            from peft import PeftModel

            labels = {"num_labels": 1} if head else {}
            bare = kind.from_pretrained(model_path(base), **options, **labels)
            return PeftModel.from_pretrained(bare, name).merge_and_unload()
        return kind.from_pretrained(model_path(name), **options)


@contextmanager
def loading(name: str) -> Iterator[None]:
    """Turns what the libraries raise for a model or an adapter into a CtmError that names it."""
    from safetensors import SafetensorError

    try:
        yield
    except UnpicklingError as error:  # torch's own text advises to run it
        raise CtmError(
            f"cannot load the model {name!r}: its weights are no safetensors but a pickle that is broken "
            "or names code, and such code is not run",
            usage=True,
        ) from error
    except Exception as error:
        if out_of_memory(error):
            raise CtmError(
                f"there is not enough memory to load {name!r}: free some, or use --dtype bfloat16 or "
                "another --device"
            ) from error
        if not isinstance(error, (*BROKEN, SafetensorError)):
            raise
        refuse_no_model(name)
        raise CtmError(
            f"cannot load the model {name!r}: it is neither a folder with a model or an adapter nor a "
            f"reachable Hub model ({first_line(error)})",
            usage=True,
        ) from error


def out_of_memory(error: BaseException) -> bool:
    """Whether torch, numpy or the system say that memory has run out; on a CPU, torch has no exception
    of its own for it."""
    import torch

    return (
        isinstance(error, torch.OutOfMemoryError | MemoryError)
        or getattr(error, "errno", None) == ENOMEM
        or "not enough memory" in str(error)
        or "can't allocate memory" in str(error)
    )


def load_tokenizer(name: str) -> "PreTrainedTokenizerBase":
    """The tokenizer of a Hub id, a folder or a built-in model; of an adapter's folder that has none, its
    base model's. Raises CtmError if there is none."""
    path = model_path(name)
    if not any((Path(path) / file).exists() for file in TOKENIZER_FILES):
        path = model_path(adapter_base(path) or path)
    try:
        from transformers import AutoTokenizer
    except ImportError as error:
        raise CtmError(missing("transformers")) from error
    try:
        return AutoTokenizer.from_pretrained(path, trust_remote_code=False)
    except BROKEN as error:
        refuse_no_model(name)
        raise CtmError(
            f"cannot load the tokenizer {name!r} ({first_line(error)})", usage=True
        ) from error


def has_chat_template(name: str) -> bool:
    """Whether a model's tokenizer has a template to put a chat in. Raises CtmError if there is none."""
    return bool(getattr(load_tokenizer(name), "chat_template", None))


def positions(name: str) -> int | None:
    """How many positions a model was made for, by its configuration; None where that does not say."""
    return getattr(_configuration(name), "max_position_embeddings", None)


def vocabulary(name: str, tokenizer: Any) -> int:
    """How many tokens a model may draw: as many as its tokenizer knows, or more, by its configuration."""
    return max(len(tokenizer), getattr(_configuration(name), "vocab_size", None) or 0)


def _configuration(name: str) -> Any:
    from transformers import AutoConfig

    try:
        config = AutoConfig.from_pretrained(
            model_path(adapter_base(name) or name), trust_remote_code=False
        )
    except BROKEN as error:
        raise CtmError(
            f"cannot load the model {name!r} ({first_line(error)})", usage=True
        ) from error
    return config.get_text_config()


def decode(tokenizer: Any, ids: Sequence[int], *, special: bool = False) -> str:
    """The text of token ids, without special tokens or with them."""
    return str(
        tokenizer.decode(
            list(ids), skip_special_tokens=not special, clean_up_tokenization_spaces=False
        )
    )
