"""Recipes over time: when two of them are the same, and the hash that a part carries of its own.

A recipe holds the options that decide a run's rows. Options come and change their names; what an older
recipe meant is written down here, and nowhere else.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from ctm_data.estimator.settings import ALLOCATION, POSTERIOR
from ctm_eval.engines.base import SAMPLER

# Which draws a seed stands for, where --adaptive makes its rollouts, and what they say about a label. They
# are no options: a run of greedy decoding or of vllm has no sampler, one without --adaptive no allocation,
# and an evaluation no posterior.
SAMPLER_KEY, ALLOCATION_KEY, POSTERIOR_KEY = "sampler", "allocation", "posterior"
# An option that is newer than some recipes: the value that these meant.
ADDED: dict[str, Any] = {
    "resolution": 0.0,
    "adaptive": False,
    "confidence": 0.95,
    "budget": 0.125,
    "reliability_sample": 0,
    "chat": False,
    "system": None,
    "few_shot": 0,
    "few_shot_file": None,
    "of": "wrong",
    "pass_rate": [0.0, 1.0],
    "dtype": "auto",
    "tokenizer": None,
    "think_tags": None,
    "max_thinking_tokens": None,
    "template_args": None,
    SAMPLER_KEY: 1,
    ALLOCATION_KEY: 1,
    POSTERIOR_KEY: 1,
}
# Of these, what an evaluation has always said itself: it is as much a part of its hash as ever.
OF_EVALUATIONS = ("chat", "few_shot", "few_shot_file")
# The hash of the rendered prompts is a check, not an option, and older recipes lack it. It is compared
# where both recipes have it, and is no part of a recipe's hash.
PROMPTS = "prompts_sha256"
# An option that had another name: the old name and the new one.
RENAMED: dict[str, str] = {}


def with_versions(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """The recipe with the versions of draws, allocation and posterior that its rows depend on."""
    named = dict(recipe)
    if recipe["engine"] == "transformers" and recipe["temperature"] > 0:
        named[SAMPLER_KEY] = SAMPLER
    if recipe.get("adaptive"):
        named[ALLOCATION_KEY] = ALLOCATION
    if "n_rollouts" in recipe:
        named[POSTERIOR_KEY] = POSTERIOR
    return named


def differences(there: Mapping[str, Any], here: Mapping[str, Any]) -> list[str]:
    """What two recipes say differently, option by option; [] if they are the same."""
    old, new = _named_as_today(there), _named_as_today(here)
    names = {*old, *new} - (set() if PROMPTS in old and PROMPTS in new else {PROMPTS})
    return [
        f"{name}: {_of(old, name)!r} there, {_of(new, name)!r} here"
        for name in sorted(names)
        if _of(old, name) != _of(new, name)
    ]


def recipe_hash(recipe: Mapping[str, Any]) -> str:
    """A SHA-256 of a recipe, equal for recipes without `differences`."""
    named = _named_as_today(recipe)
    kept = {
        name: value
        for name, value in named.items()
        if name != PROMPTS and _meant(named, name) != value
    }
    text = json.dumps(_plain_numbers(kept), sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _named_as_today(recipe: Mapping[str, Any]) -> dict[str, Any]:
    return {RENAMED.get(name, name): value for name, value in recipe.items()}


def _of(recipe: Mapping[str, Any], name: str) -> Any:
    return recipe.get(name, _meant(recipe, name))


def _meant(recipe: Mapping[str, Any], name: str) -> Any:
    """What a recipe means that does not have this option."""
    if recipe.get("command") == "eval" and name in OF_EVALUATIONS:
        return None
    return ADDED.get(name)


def _plain_numbers(value: Any) -> Any:
    """1 and 1.0 are the same temperature."""
    if isinstance(value, dict):
        return {name: _plain_numbers(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain_numbers(one) for one in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
