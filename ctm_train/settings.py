"""The settings of a training run, and where their defaults come from.

A method's defaults are in `recipes/METHOD.yaml`, each with its source; a model's are in
`presets/MODEL.yaml` and win over them; what the caller gives wins over both. A recipe may have a
`lora-learning-rate`, which replaces its learning rate where an adapter is trained.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from importlib.resources import files
from math import isfinite
from typing import Any, Literal, get_args

from ctm_train.errors import TrainError

Method = Literal[
    "cdpo",
    "dpo",
    "cliff-dpo",
    "tdpo",
    "tis-dpo",
    "rpo",
    "simpo",
    "confpo",
    "orpo",
    "kto",
    "sft",
    "orm",
    "prm",
]
Scheduler = Literal[
    "cosine",
    "linear",
    "constant",
    "constant_with_warmup",
    "polynomial",
    "inverse_sqrt",
    "cosine_with_restarts",
]
PrmLabels = Literal["soft", "hard", "confident"]  # of steps, from their values
Weights = Literal["contrast", "value", "critical", "uniform"]  # of rejected tokens, for cdpo
# Their loss compares with the start model.
HAVE_REFERENCE = ("cdpo", "dpo", "cliff-dpo", "tdpo", "tis-dpo", "rpo", "kto")
PREFERENCE = (*HAVE_REFERENCE, "simpo", "confpo", "orpo")
USED_BY: dict[str, tuple[str, ...]] = {  # settings that not every method has
    "beta": PREFERENCE,
    "nll_weight": ("rpo",),
    "kl_weight": ("tdpo", "tis-dpo"),
    "simpo_gamma": ("simpo", "confpo"),
}


POSITIVE = (lambda x: x > 0, "above 0 and finite")
NOT_NEGATIVE = (lambda x: x >= 0, "0 or more and finite")
BOUNDS: dict[str, tuple[Callable[[float], bool], str]] = {
    **dict.fromkeys(
        ("learning_rate", "epochs", "batch_size", "gradient_accumulation", "max_length",
         "lora_r", "lora_alpha"), POSITIVE,
    ),
    **dict.fromkeys(
        ("warmup", "warmup_limit", "weight_decay", "beta", "nll_weight", "kl_weight", "simpo_gamma"),
        NOT_NEGATIVE,
    ),
    "lora_dropout": (lambda x: 0 <= x < 1, "from 0 to below 1"),
    "seed": (lambda x: 0 <= x < 2**32, "from 0 to 4294967295"),
}  # fmt: skip


@dataclass(frozen=True)
class Settings:
    """Everything that decides the weights, next to the model, the data and the machine.

    `beta` is the strength of the preference: gamma of the cDPO paper, beta of DPO and its relatives.
    `warmup` is a number of steps, or below 1 a share of them, which `warmup_limit` bounds (0: no bound).
    `batch_size` counts rows (pairs, for a method of pairs) a device and a forward pass;
    `gradient_accumulation` of them make a step. Raises TrainError for a value that cannot be.
    """

    learning_rate: float
    epochs: float = 1.0
    batch_size: int = 8
    gradient_accumulation: int = 1
    warmup: float = 0.1
    warmup_limit: int = 0
    scheduler: str = "cosine"
    weight_decay: float = 0.0
    max_length: int = 1024
    seed: int = 0
    beta: float = 1.0
    nll_weight: float = 1.0  # rpo: of the chosen side's negative log-likelihood
    kl_weight: float = 0.5  # tdpo, tis-dpo: of the difference of the sequential KL divergences
    simpo_gamma: float = 0.4  # simpo, confpo: target margin over beta (gamma/beta of its paper)
    lora: bool = True
    lora_r: int = 16
    lora_alpha: int = 32
    lora_dropout: float = 0.0
    lora_targets: str = "q_proj,k_proj,v_proj,o_proj,gate_proj,up_proj,down_proj"
    bf16: bool = True
    gradient_checkpointing: bool = True

    def __post_init__(self) -> None:
        for name, (fits, must) in BOUNDS.items():
            if not (isfinite(getattr(self, name)) and fits(getattr(self, name))):
                raise TrainError(
                    f"{option(name)} must be {must}, not {getattr(self, name)}", usage=True
                )
        if self.scheduler not in get_args(Scheduler):
            known = ", ".join(get_args(Scheduler))
            raise TrainError(
                f"unknown --scheduler {self.scheduler!r}; there are: {known}", usage=True
            )


def settings_for(method: str, preset: str | None = None, **given: Any) -> Settings:
    """The settings of `method`: its recipe, then the preset, then what is given and not None.

    Raises TrainError for an unknown method, preset or setting, and for one that the method does not use.
    """
    merged: dict[str, Any] = _read("recipes", method, "method")
    lora_rate = merged.pop("lora_learning_rate", None)
    chosen: dict[str, Any] = {}
    if preset:
        chosen = _read("presets", preset, "preset")
        methods = chosen.pop("methods", {})
        del chosen["model"]
        chosen |= methods.get(method, {})
    given = {name: value for name, value in given.items() if value is not None}
    if "warmup" in given:
        merged.pop("warmup_limit", None)  # the recipe's bound is for the recipe's share
    merged |= {**chosen, **given}
    known = {field.name for field in fields(Settings)}
    if unknown := sorted(set(merged) - known):
        raise TrainError(f"unknown settings: {', '.join(unknown)}", usage=True)
    adapter = merged.get("lora", Settings.lora)
    if lora_rate is not None and adapter and "learning_rate" not in {**chosen, **given}:
        merged["learning_rate"] = lora_rate
    for name in given:
        if method not in USED_BY.get(name, (method,)):
            users = ", ".join(USED_BY[name])
            raise TrainError(
                f"{option(name)} goes with {users}; {method} has no use for it: leave it out",
                usage=True,
            )
        if name.startswith("lora_") and not adapter:
            raise TrainError(
                f"{option(name)} needs --lora: all of the model is trained here", usage=True
            )
    return Settings(**merged)


def option(name: str) -> str:
    """A setting as it is spelled on the command line."""
    return "--" + name.replace("_", "-")


def preset_model(preset: str) -> str:
    """The model that a preset is for: a Hub id, or `pocket`."""
    return str(_read("presets", preset, "preset")["model"])


def names(kind: str) -> list[str]:
    """The methods (kind `recipes`) or the presets (`presets`) there are."""
    found = (path.name for path in files("ctm_train").joinpath(kind).iterdir())
    return sorted(name.removesuffix(".yaml") for name in found if name.endswith(".yaml"))


def _read(kind: str, name: str, what: str) -> dict[str, Any]:
    import yaml

    if name not in names(kind):
        raise TrainError(
            f"unknown {what} {name!r}; there are: {', '.join(names(kind))}", usage=True
        )
    text = files("ctm_train").joinpath(kind, f"{name}.yaml").read_text(encoding="utf-8")
    return _with_underscores(yaml.safe_load(text))


def _with_underscores(value: Mapping[str, Any]) -> dict[str, Any]:
    return {
        str(name).replace("-", "_"): _with_underscores(entry) if isinstance(entry, dict) else entry
        for name, entry in value.items()
    }
