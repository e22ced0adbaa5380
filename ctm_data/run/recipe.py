"""Recipes over time: when two of them are the same, and the hash that a part carries of its own.

A recipe holds the options that decide a run's rows. Options come and change their names; what an older
recipe meant is written down here, and nowhere else.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

# An option that is newer than some recipes: the value that these meant.
ADDED: dict[str, Any] = {
    "resolution": 0.0,
    "adaptive": False,
    "confidence": 0.95,
    "budget": 0.125,
}
# An option that had another name: the old name and the new one.
RENAMED: dict[str, str] = {}


def differences(there: Mapping[str, Any], here: Mapping[str, Any]) -> list[str]:
    """What two recipes say differently, option by option; [] if they are the same."""
    old, new = _named_as_today(there), _named_as_today(here)
    return [
        f"{name}: {_of(old, name)!r} there, {_of(new, name)!r} here"
        for name in sorted({*old, *new})
        if _of(old, name) != _of(new, name)
    ]


def recipe_hash(recipe: Mapping[str, Any]) -> str:
    """A SHA-256 of a recipe, equal for recipes without `differences`."""
    named = _named_as_today(recipe)
    kept = {name: value for name, value in named.items() if _of({}, name) != value}
    text = json.dumps(_plain_numbers(kept), sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _named_as_today(recipe: Mapping[str, Any]) -> dict[str, Any]:
    return {RENAMED.get(name, name): value for name, value in recipe.items()}


def _of(recipe: Mapping[str, Any], name: str) -> Any:
    return recipe.get(name, ADDED.get(name))


def _plain_numbers(value: Any) -> Any:
    """1 and 1.0 are the same temperature."""
    if isinstance(value, dict):
        return {name: _plain_numbers(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain_numbers(one) for one in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
