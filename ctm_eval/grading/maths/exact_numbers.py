"""The number layer: answers that are one number, with or without a unit, as exact rationals.

Decisive both ways: two texts that both read as numbers are equal or different, never undecided.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

from ctm_eval.grading.maths import units

MAX_CHARS = 1_000
"""A longer text is no number for this layer."""
MAX_WORDS = 8
"""More words than these after a number are a sentence, which says something about it."""


@dataclass(frozen=True, slots=True)
class Number:
    """The rational `top/bottom` (not reduced), its unit, and the digits after its decimal point."""

    top: int
    bottom: int
    unit: str | None = None
    places: int | None = None

    @property
    def value(self) -> Fraction:
        """The number as a fraction, without its unit."""
        return Fraction(self.top, self.bottom)


def read(cleaned: str) -> Number | None:
    """Return the number that a text from `text.clean` is, None if it is anything else."""
    if len(cleaned) > MAX_CHARS:
        return None
    if _INTEGER.fullmatch(cleaned):
        return Number(int(cleaned), 1)
    if not _HAS_DIGIT.search(cleaned):
        return None
    match = _NUMBER.match(cleaned)
    if match is None:
        return None
    unit, scale = None, 1
    rest = cleaned[match.end() :]
    if rest in ("k", "K") and match["currency"]:
        scale = 1000
    elif rest:
        suffix = _unit(rest)
        if suffix is None:
            return None
        unit, scale = suffix
    if match["currency"]:
        if unit and units.read(unit) != units.read(match["currency"]):
            if not _rate(unit):
                return None
            unit = match["currency"] + unit
        else:
            unit = (
                "$" if "$" in match["currency"] or "U" in match["currency"] else match["currency"]
            )
    fraction = _value(match)
    if fraction is None:
        return None
    top, bottom, places = fraction
    if unit and not match["currency"] and not units.counts(unit, Fraction(top, bottom)):
        return None
    if ((match["sign"] or "") + (match["sign2"] or "")).count("-") % 2:
        top = -top
    return Number(top * scale, bottom, unit, places)


def same(first: Number, second: Number) -> tuple[bool, str | None]:
    """Return whether two numbers are the same answer, and the convention used if any."""
    if first.unit is None and second.unit is None:
        return first.top * second.bottom == second.top * first.bottom, None
    return same_quantity(first.value, first.unit, second.value, second.unit)


def same_quantity(
    first: Fraction, first_unit: str | None, second: Fraction, second_unit: str | None
) -> tuple[bool, str | None]:
    """Compare two values with units.

    A unit that one side leaves out is taken to be the other's; of two units the value is
    converted; a percent sign is either left out (10% and 10) or worth 1/100 (10% and 1/10).
    """
    if first_unit is None or second_unit is None:
        unit = first_unit or second_unit
        if first == second:
            return True, "unit left out"
        if unit in ("%", "percent"):
            first, second = (first, second) if first_unit else (second, first)
            return first == 100 * second, None
        return False, None
    one, other = units.read(first_unit), units.read(second_unit)
    if one is None or other is None or one == other:
        return first == second, None if one == other else "unit left out"
    rate = units.ratio(one, other)
    return rate is not None and first * rate == second, units.convention(one, other)


def _value(match: re.Match[str]) -> tuple[int, int, int | None] | None:
    """Return numerator, denominator and decimal places of a match of `_NUMBER`."""
    if match["decimal"] is not None:
        top, bottom, places = _decimal(match["decimal"])
        if match["repeating"]:
            period = 10 ** len(match["repeating"]) - 1
            top, bottom = top * period + int(match["repeating"]), bottom * period
            places = None
        exponent = match["e"] or match["power"] or match["bare_power"]
        if exponent:
            power = int(exponent)
            top, bottom = (
                (top * 10**power, bottom) if power >= 0 else (top, bottom * 10 ** (-power))
            )
        elif match["slash"]:
            over, under, _ = _decimal(match["slash"])
            top, bottom, places = top * under, bottom * over, None
        return (top, bottom, places) if bottom else None
    if match["mixed_top"]:
        whole, top, bottom = (int(match[g]) for g in ("mixed", "mixed_top", "mixed_bottom"))
        return (whole * bottom + top, bottom, None) if top < bottom else None
    top, top_under, _ = _decimal(match["top"] or match["top_digit"])
    bottom, bottom_under, _ = _decimal(match["bottom"] or match["bottom_digit"])
    if bottom == 0:
        return None
    if match["minus"]:
        top = -top
    if match["whole"]:
        if match["minus"] or top_under != 1 or bottom_under != 1 or top >= bottom:
            return None  # a product, or nothing at all: left to the parser
        return int(match["whole"]) * bottom + top, bottom, None
    return top * bottom_under, bottom * top_under, None


def _decimal(digits: str) -> tuple[int, int, int | None]:
    digits = digits.replace(",", "").replace(" ", "")
    whole, _, part = digits.partition(".")
    if not part:
        return int(whole or 0), 1, None
    return int(whole + part), 10 ** len(part), len(part)


@lru_cache(maxsize=4096)
def _unit(suffix: str) -> tuple[str | None, int] | None:
    """Return the unit that a number's suffix names and the scale of words such as `million`."""
    glued, suffix = not suffix[0].isspace(), suffix.strip().replace("left over", "left")
    if suffix in ("\\%", "%"):
        return "%", 1
    if suffix in ("\\$", "€", "£", "¥", "₹"):
        return suffix[-1], 1
    if _DEGREE.fullmatch(suffix):
        return "°", 1
    if degrees := _TEMPERATURE.fullmatch(suffix):
        return {"C": "celsius", "F": "fahrenheit"}[degrees[1]], 1
    if _ORDINAL.fullmatch(suffix):
        return None, 1
    if len(suffix) > 80 or not _WORDS.fullmatch(suffix):
        return None
    words = _WORD.findall(suffix.replace("\\text", " ").replace("\\mathbf", " "))
    if not words or _HALF_OF_DAY.search(suffix):
        return None
    if not _NOT_A_UNIT.isdisjoint(word.lower() for word in words):
        return None
    if "sec" in words and len(words) > 1:
        return None  # the secant of what follows
    scale = 1
    while words and words[0].lower() in _SCALES:
        scale *= _SCALES[words[0].lower()]
        suffix = suffix[suffix.index(words[0]) + len(words[0]) :]
        words = words[1:]
    if not words:
        return None, scale
    if len(words) > MAX_WORDS or units.changes_the_value(suffix.replace("\\text", " ")):
        return None
    if "\\text" not in suffix:
        first = words[0].lower()
        named = units.known(first) and len(first) > 1 or first in ("sq", "cu", "of")
        if first in ("a", "per", "on", "for", "in", "at") and len(words) > 1:
            named = len(words[1]) > 1  # 5 a day, 5 per day
        if not named and (glued or len(words[0]) < 4):
            return None  # letters beside a number are variables
    unit = suffix.replace("\\text", " ").replace("{", "").replace("}", "").strip()
    return unit.removeprefix("\\$") or None, scale


def _rate(unit: str) -> bool:
    return unit.lower().startswith(("per ", "/", "a ", "an ", "each"))


_DECIMAL = r"(?:[1-9]\d{0,2}(?:(?:,\d{3})+|(?:[ ]\d{3})+)(?!\d)|\d+)(?:\.\d*)?|\.\d+"
_INTEGER = re.compile(r"-?[0-9]+")
_HAS_DIGIT = re.compile(r"[0-9]")
_NUMBER = re.compile(
    rf"""(?P<sign>[-+]?)\s?(?P<currency>\\\$|€|£|¥|₹|USD[ ]|US\\\$)?\s?(?P<sign2>-?)
    (?: (?P<mixed>\d+)[ ](?P<mixed_top>\d+)\s?/\s?(?P<mixed_bottom>\d+)
      | (?P<whole>\d+)?\s?\\frac\s?(?:\{{\s?(?P<minus>-?)\s?(?P<top>{_DECIMAL})\s?\}}|(?P<top_digit>\d))
        \s?(?:\{{\s?(?P<bottom>{_DECIMAL})\s?\}}|(?P<bottom_digit>\d))
      | (?P<decimal>{_DECIMAL})(?:\\(?:overline|bar)\s?\{{?(?P<repeating>\d+)\}}?)?
        (?: [eE](?P<e>[-+]?\d{{1,3}})(?!\d)
          | \s?(?:\*|x|X)\s?10\s?\^\s?
            (?:\{{\s?(?P<power>[-+]?\d{{1,3}})\s?\}}|(?P<bare_power>-?\d{{1,3}})(?!\d))
          | \s?/\s?(?P<slash>{_DECIMAL}))? )""",
    re.ASCII | re.VERBOSE,
)
_DEGREE = re.compile(r"\^\s?\{?\s?\\circ\s?\}?|\\circ")
_TEMPERATURE = re.compile(
    r"(?:\^\s?\{?\s?\\circ\s?\}?|\\circ)\s?(?:\\text\s?\{\s?)?([CF])(?:elsius|ahrenheit)?\s?\}?"
)
_ORDINAL = re.compile(r"\^?\s?\{?\s?(?:\\text\s?\{)?\s?(?:st|nd|rd|th)\s?\}?\s?\}?")
_WORDS = re.compile(r"(?:\\text|\\mathbf|\\\$|[A-Za-z{}. /,'()-]|\^\s?\{?[23]\}?)+")
_WORD = re.compile(r"[A-Za-z]+")
_HALF_OF_DAY = re.compile(r"\b[ap]\.?\s?m\b", re.I)
_SCALES = {"hundred": 100, "thousand": 1000, "million": 10**6, "billion": 10**9, "trillion": 10**12}
_NOT_A_UNIT = frozenset(
    "and or base mod sqrt pi sin cos tan log ln exp times plus minus over divided cot csc "
    "infinity inf theta alpha beta to am pm choose remainder frac january february march april may "
    "june july august september october november december".split()
)
