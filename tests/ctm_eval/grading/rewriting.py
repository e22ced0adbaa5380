"""Rules that rewrite an answer: some keep its value, some change it. Used by tests and benchmarks."""

import re
from collections.abc import Callable

Rule = Callable[[str], str | None]
"""Returns the rewritten answer, None where the rule does not apply."""


def kept(gold: str) -> dict[str, str]:
    """Return the rewritings of a gold that keep its value, by the name of their rule."""
    return _apply(KEEPING, gold)


def changed(gold: str) -> dict[str, str]:
    """Return the rewritings of a gold that change its value, by the name of their rule."""
    return _apply(CHANGING, gold)


def _apply(rules: dict[str, Rule], gold: str) -> dict[str, str]:
    found = {name: rule(gold) for name, rule in rules.items()}
    return {name: text for name, text in found.items() if text is not None and text != gold}


def is_integer(gold: str) -> bool:
    return re.fullmatch(r"-?(?:\d+|\d{1,3}(?:,\d{3})+)", gold) is not None


def is_expression(gold: str) -> bool:
    """Return whether a gold is one number or algebraic expression, not a structure or words."""
    return not re.search(
        r",(?!\\!|\d{3})|=|text|mbox|begin|\\in|\\pm|cup|_|\\\$|infty|circ|[\[\]{](?:\\{)|^\\\{",
        gold,
    ) and not (re.fullmatch(r"\\left[(\[].*|[(\[][^()]*,.*", gold))


def _integer(form: Callable[[int], str | None]) -> Rule:
    return lambda gold: form(int(gold.replace(",", ""))) if is_integer(gold) else None


def _expression(form: str, zero: bool = True) -> Rule:
    return lambda gold: (
        form.replace("@", _without_commas(gold))
        if is_expression(gold) and (zero or gold != "0")
        else None
    )


def _without_commas(gold: str) -> str:
    return gold.replace(",", "") if is_integer(gold) else gold


def _replaced(pattern: str, replacement: str) -> Rule:
    def rule(gold: str) -> str | None:
        text = re.sub(pattern, replacement, gold)
        return text if text != gold else None

    return rule


def _bumped(which: int) -> Rule:
    """Add one to a number in the text: the first (0) or the last (-1)."""

    def rule(gold: str) -> str | None:
        numbers = list(re.finditer(r"\d+", gold))
        if not numbers or len(numbers) == 1 and which:
            return None
        match = numbers[which]
        return gold[: match.start()] + str(int(match[0]) + 1) + gold[match.end() :]

    return rule


def _in_parentheses(gold: str) -> str:
    return (
        gold
        if "left" in gold
        else re.sub(r"(?<!\\left)\(", r"\\left(", gold).replace(")", r"\right)")
    )


KEEPING: dict[str, Rule] = {
    "dollar signs": lambda g: f"${g}$",
    "inline delimiters": lambda g: rf"\({g}\)",
    "display delimiters": lambda g: rf"\[{g}\]",
    "a box": lambda g: rf"\boxed{{{g}}}",
    "a frame": lambda g: rf"\fbox{{{g}}}",
    "display style": lambda g: rf"\displaystyle {g}",
    "a closing period": lambda g: g + ".",
    "spaces around": lambda g: f"  {g} ",
    "outer braces": lambda g: f"{{{g}}}",
    "thin space in front": lambda g: rf"\,{g}\,",
    "bold": lambda g: f"**{g}**",
    "large fractions": _replaced(r"\\frac(?![a-z])", r"\\dfrac"),
    "small fractions": _replaced(r"\\d?frac(?![a-z])", r"\\tfrac"),
    "slashed fractions": _replaced(r"(?<!\d)\\frac\{(\d+)\}\{(\d+)\}$", r"\1/\2"),
    "unicode pi": _replaced(r"\\pi", "π"),
    "unicode minus": _replaced(r"-(?=\d)", "−"),
    "unicode infinity": _replaced(r"\\infty", "∞"),
    "unicode degree": _replaced(r"\^\\circ", "°"),
    "unicode root": _replaced(r"\\sqrt\{(\d+)\}", r"√\1"),
    "root without braces": _replaced(r"\\sqrt\{(\d)\}", r"\\sqrt\1"),
    "root in plain text": _replaced(r"(?<![a-z])\\sqrt\{(\d+)\}", r"sqrt(\1)"),
    "growing brackets": _in_parentheses,
    "text for mbox": _replaced(r"\\mbox", r"\\text"),
    "roman text": _replaced(r"\\text(?=\{)", r"\\mathrm"),
    "spaces at operators": _replaced(r"(?<=[\dx}]) ?\+ ?(?=[\d\\a-z])", "  +  "),
    "no spaces at operators": _replaced(r" ([-+]) ", r"\1"),
    "square brackets for a matrix": _replaced("pmatrix", "bmatrix"),
    "a decimal point and zero": _integer(lambda n: f"{n}.0"),
    "thousands": _integer(lambda n: f"{n:,}" if abs(n) > 999 else None),
    "braced thousands": _integer(lambda n: f"{n:,}".replace(",", "{,}") if abs(n) > 999 else None),
    "an unreduced fraction": _integer(lambda n: rf"\frac{{{2 * n}}}{{2}}"),
    "over one": _integer(lambda n: f"{n}/1"),
    "a sum": _integer(lambda n: f"{n - 1} + 1"),
    "scientific": _integer(lambda n: f"{n}e0"),
    "times ten to the zero": _integer(lambda n: rf"{n} \times 10^{{0}}"),
    "a plus sign": _integer(lambda n: f"+{n}" if n > 0 else None),
    "currency": _integer(lambda n: rf"\${n}" if n > 0 else None),
    "dollars": _integer(lambda n: f"{n} dollars"),
    "a unit in text": _integer(lambda n: rf"{n} \text{{ hours}}"),
    "plus zero": _expression("(@)+0"),
    "times one": _expression(r"1\cdot(@)"),
    "doubled and halved": _expression(r"\frac{2(@)}{2}"),
    "minus minus": _expression("-(-(@))"),
    "minus one half twice": _expression(r"(@)-\frac{1}{2}-0.5+1"),
}

CHANGING: dict[str, Rule] = {
    "plus one": _expression("(@)+1"),
    "doubled": _expression(r"2\cdot(@)", zero=False),
    "negated": _expression("-(@)", zero=False),
    "a hundredth": _expression(r"\frac{@}{100}", zero=False),
    "hundredfold": _expression(r"100\cdot(@)", zero=False),
    "a little more": _expression(r"(@)+\frac{1}{10^{12}}"),
    "first number bumped": _bumped(0),
    "last number bumped": _bumped(-1),
    "another element": lambda g: f"{g}, 7919",
    "another number": lambda g: "7919",
    "another word": lambda g: "elsewhere",
    "an interval that starts with it": lambda g: f"[{g}, 7919]",
    "another kind": lambda g: rf"\text{{not }} {g}",
    "a strange matrix": lambda g: (
        rf"\begin{{pmatrix}} {g} \\ 7919 \end{{pmatrix}}"
        if "begin" not in g
        else r"\begin{pmatrix} 7919 \end{pmatrix}"
    ),
    "an inequality": lambda g: f"q < {g}" if is_expression(g) else None,
    "digits turned round": _integer(
        lambda n: str(n)[::-1] if n > 0 and str(n) != str(n)[::-1] else None
    ),
    "tenfold": _integer(lambda n: f"{n}0" if n else None),
    "a half more": _integer(lambda n: f"{n}.5"),
}
