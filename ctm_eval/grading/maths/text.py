"""The text layer: one spelling for an answer, so that most comparisons are of strings.

`clean` maps unicode, delimiters, fonts and spacing to plain LaTeX which the later layers read;
`key` goes further and drops what only typesetting needs: equal keys are equal answers.
"""

from __future__ import annotations

import re
import unicodedata
from itertools import groupby

MAX_CHARS = 20_000
"""A longer answer is compared as it stands and never read."""


def clean(text: str) -> str:
    """Return `text` in plain LaTeX: no unicode symbols, delimiters, sizes or spacing commands.

    Takes time linear in the length. What has a meaning stays: `\\text{…}`, rows of a matrix,
    and a space between two digits.
    """
    text = text.strip()
    if not text.isascii():
        text = _unicode_to_latex(text)
    if "\\" in text:
        text = _commands_to_plain(text)
    if "$" in text:
        text = _without_math_delimiters(text)
    if "~" in text:
        text = _TIE.sub(" ", text)
    if "'" in text:
        text = _THOUSANDS_TICK.sub("", text)
    if "x" in text:
        text = _TIMES.sub("*", text)
    text = " ".join(text.split())
    if "{," in text or "{:" in text:
        text = _BRACED_COMMA.sub("", text).replace("{:}", ":")
    text = _unwrapped(text)
    return _ENDLESS.sub(r"\1\\overline{\2}", text) if text.endswith("\\ldots") else text


def key(cleaned: str) -> str:
    """Return the comparison key of a text from `clean`: no fonts, no space that could be left out.

    A space between letters or digits stays, since `3 1/2` is not `31/2`.
    """
    if "\\" in cleaned:
        cleaned = _FONT_GROUP.sub(r" \1 ", cleaned)
    if " " in cleaned:
        cleaned = _OPTIONAL_SPACE.sub("", " ".join(cleaned.split()))
    return cleaned


def _commands_to_plain(text: str) -> str:
    text = _THOUSANDS_COMMA.sub("", text)
    text = _THIN_SPACE_IN_NUMBER.sub("", text)
    text = _LAYOUT_GROUP.sub(" ", text)
    text = _SIDE.sub("", text)
    rows = "\\begin" in text
    if not rows:
        text = text.replace("\\\\", " ")
    if _DANGLING.search(text):  # its star would go as emphasis
        text += "\\dangling"
    return _COMMAND.sub(lambda match: _PLAIN.get(match[1], match[0]), text)


def _without_math_delimiters(text: str) -> str:
    if text.replace("\\$", "").count("$") % 2:  # one of them is a currency sign
        return _PRICE_END.sub(r"\1\\$", _CURRENCY.sub(r"\\$", text))
    return _MATH_DELIMITER.sub(" ", text)


def _unwrapped(text: str) -> str:
    """Strip quotes, Markdown emphasis, one pair of outer braces and closing punctuation."""
    for _ in range(4):
        before = text
        text = text.strip(" \"'`“”*") if not text.endswith("'") or text[:1] in "\"'`" else text
        if text.endswith("..."):
            text = text[:-3] + "\\ldots"
        text = text.rstrip(" .,;:")
        text = text.lstrip(" ,;:")
        if (
            text[:1] == "{"
            and text[-1:] == "}"
            and not _INFIX.search(text)
            and _closes_at_end(text)
        ):
            text = text[1:-1]
        if text == before:
            break
    return text


def _closes_at_end(text: str) -> bool:
    depth = 0
    for match in _BRACE.finditer(text):
        if match[0] == "{":
            depth += 1
        elif match[0] == "}":
            depth -= 1
            if depth == 0:
                return match.end() == len(text)
    return False


def _unicode_to_latex(text: str) -> str:
    text = _NOT_ASCII.sub(_level, text).translate(_UNICODE)
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text).translate(_UNICODE)
    return text


def _level(run: re.Match[str]) -> str:
    """Write characters that print raised or lowered (x², xᵃ, x₁) as powers and subscripts."""
    parts = ((mark, "".join(part)) for mark, part in groupby(run[0], _mark))
    return "".join(
        f"{mark}{{{unicodedata.normalize('NFKC', part)}}}" if mark else part for mark, part in parts
    )


def _mark(character: str) -> str:
    kind = unicodedata.decomposition(character)
    return "^" if kind.startswith("<super>") else "_" if kind.startswith("<sub>") else ""


_DANGLING = re.compile(r"\\(?:times|cdot|ast)\W*$|^[\s${(]*\\(?:times|cdot|ast)(?![A-Za-z])")
_COMMAND = re.compile(r"\\([A-Za-z]+|.)", re.S)
_SIDE = re.compile(r"\\(?:left|right|middle)(?![A-Za-z])\s*\.?|\\[bB]igg?[lrm]?(?![A-Za-z])")
_THOUSANDS_COMMA = re.compile(r"(?<=\d),\s?\\!\s?(?=\d)|(?<=\d)\{,\}(?=\d)")
_THIN_SPACE_IN_NUMBER = re.compile(r"(?<=\d)\\[,;: ](?=\d{3}(?!\d))")
_THOUSANDS_TICK = re.compile(r"(?<=\d)'(?=\d{3}(?!\d))")  # 1'800 in Switzerland
_TIMES = re.compile(r"(?<=\d) x (?=\d)|(?<=\d)(?<!\b0)x(?=\d)")  # 9 x 2, but not 0x12
_TIE = re.compile(r"(?<=[\w{})\]])~(?=[\w\\])")  # a space without a break; in front it is 'about'
_LAYOUT_GROUP = re.compile(
    r"\\(?:hspace|vspace|color|textcolor|tag|label|[hv]?phantom)\*?\{[^{}]*\}|\[\d+(?:pt|em|ex|mm)\]"
)
_BRACED_COMMA = re.compile(r"(?<=\d)\{,\}(?=\d)")
_CURRENCY = re.compile(r"(?<!\\)\$(?=\s*[-\d.])")
_PRICE_END = re.compile(r"\A(\s*-?\d[\d.,]*\s?)\$(?=\s*\Z)")  # 18$, and nothing but a price
_MATH_DELIMITER = re.compile(r"(?<!\\)\$+")
_FONT_GROUP = re.compile(r"\\(?:text|mathbf)\s*\{([^{}]*)\}")
_OPTIONAL_SPACE = re.compile(r"(?<![A-Za-z0-9]) +| +(?![A-Za-z0-9])")
_BRACE = re.compile(r"\\.|[{}]", re.S)
_ENDLESS = re.compile(r"(\.[0-9]{0,12}?)([0-9]{1,3}?)\2{2,9} ?\\ldots$")  # 0.333... is 1/3
_INFIX = re.compile(r"\\over(?![a-z])|\\choose")
_NOT_ASCII = re.compile(r"[^\x00-\x7f]+")


def _plain_commands() -> dict[str, str]:
    """What a command is rewritten to; one that is not named here stays as it is."""
    table: dict[str, str] = {}

    def put(names: str, plain: str) -> None:
        table.update(dict.fromkeys(names.split(), plain))

    put("dfrac tfrac cfrac nicefrac sfrac", r"\frac")
    put("dbinom tbinom", r"\binom")
    put("mbox textrm textbf textit textnormal mathrm operatorname mathsf mathtt texttt hbox emph "
        "textsf rm textup", r"\text")  # fmt: skip
    put("boldsymbol bm mathit mathcal mathscr mathfrak vec pmb", r"\mathbf")
    put("boxed fbox displaystyle textstyle scriptstyle limits nolimits nonumber ! strut mathstrut "
        "bf it Large large LARGE small tiny huge Huge normalsize mathopen mathclose ( ) [ ] hline "
        "ensuremath mathord", "")  # fmt: skip
    put(", ; : quad qquad enspace thinspace space newline", " ")
    table[" "] = table["\n"] = " "
    put("times cdot ast", "*")
    put("div", "/")
    put("lbrack", "[")
    put("rbrack", "]")
    put("lparen", "(")
    put("rparen", ")")
    put("lbrace", r"\{")
    put("rbrace", r"\}")
    put("lt", "<")
    put("gt", ">")
    put("leq leqslant leqq", r"\le ")
    put("geq geqslant geqq", r"\ge ")
    put("neq", r"\ne ")
    put("mid vert lvert rvert", "|")
    put("dots cdots dotsc dotsb", r"\ldots")
    put("varnothing", r"\emptyset")
    put("degree textdegree", r"^\circ")
    put("dollar", r"\$")
    put("cr", r"\\")
    put("backslash", r"\setminus")
    put("colon", ":")
    put("land wedge", r"\text{ and }")
    put("lor vee", r"\text{ or }")
    put("%", "%")
    put("#", "#")
    put("&", r"\text{ and }")
    put("_", "_")
    put("rangle", r"\rangle ")
    return table


_SYMBOLS = (
    "−- –- —- ‐- ‑- ﹣- －- ×* ·* ⋅* ∙* ∗* •* ÷/ ∕/ ⁄/ ′' ’' ‘' “\" ”\" （( ）) ，, ：: ；; ＝= ∣| ￥¥ "
    "＄$ ％% ≤\\le ≥\\ge ≦\\le ≧\\ge ⩽\\le ⩾\\ge ≠\\ne ≈\\approx ≡\\equiv ±\\pm ∓\\mp ∞\\infty √\\sqrt "
    "∛\\sqrt[3] ∜\\sqrt[4] ∪\\cup ∩\\cap ∈\\in ∅\\emptyset ∖\\setminus ⊂\\subset ⟨\\langle ⟩\\rangle "
    "〈\\langle 〉\\rangle …\\ldots ⋯\\ldots °^\\circ ∠\\angle △\\triangle ⌊\\lfloor ⌋\\rfloor ⌈\\lceil "
    "⌉\\rceil ⊥\\perp →\\to π\\pi α\\alpha β\\beta γ\\gamma δ\\delta ε\\epsilon θ\\theta λ\\lambda μ\\mu "
    "ρ\\rho σ\\sigma τ\\tau φ\\phi ω\\omega ℝ\\mathbb{R} ℤ\\mathbb{Z} ℕ\\mathbb{N} ℚ\\mathbb{Q} "
    "ℂ\\mathbb{C} ½\\frac{1}{2} ⅓\\frac{1}{3} ⅔\\frac{2}{3} ¼\\frac{1}{4} ¾\\frac{3}{4} "
    "⅕\\frac{1}{5} ⅖\\frac{2}{5} ⅗\\frac{3}{5} ⅘\\frac{4}{5} ⅙\\frac{1}{6} ⅚\\frac{5}{6} "
    "⅐\\frac{1}{7} ⅛\\frac{1}{8} ⅜\\frac{3}{8} ⅝\\frac{5}{8} ⅞\\frac{7}{8} ⅑\\frac{1}{9} "
    "⅒\\frac{1}{10} ¢\\text{cents} "
)
"""A symbol and what it is in LaTeX."""


def _unicode_table() -> dict[int, str | None]:
    table: dict[int, str | None] = {}
    for pair in _SYMBOLS.split():
        plain = pair[1:]
        table[ord(pair[0])] = plain + " " if plain[-1:].isalpha() else plain
    for space in "\u00a0\u2002\u2003\u2004\u2005\u2007\u3000":
        table[ord(space)] = " "
    for thin in "\u2006\u2009\u200a\u202f\u205f":  # these separate thousands
        table[ord(thin)] = "\\,"
    for invisible in "\u200b\u200c\u200d\u200e\u200f\u2060\u2061\u2062\u2063\u2064\ufeff\u00ad":
        table[ord(invisible)] = None
    for mark in (*range(0x202A, 0x202F), *range(0x2066, 0x206A)):  # direction of writing
        table[mark] = None
    return table


_PLAIN = _plain_commands()
_UNICODE = _unicode_table()
