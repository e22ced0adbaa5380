"""Units of measurement: which two are the same, which convert, which cannot be the same."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit as powers of dimensions and a factor to the base unit, or the words that stand for it.

    `powers` is None when some word is not a known unit: then `words` are what is compared.
    """

    powers: tuple[tuple[str, int], ...] | None
    scale: Fraction
    words: frozenset[str]


def changes_the_value(note: str) -> bool:
    """Return whether words after a value make it another one or take it back.

    '5 tenths', '5 or more', '5 and a half', '5 is wrong', '5 cm^2 squared' do; '5 red apples' and
    '5 cm squared' do not.
    """
    if _MILLIONS.search(note):
        return True
    note = note.lower()
    words = _SPOKEN.findall(note)
    if _HOW_OFTEN.fullmatch(note.strip()):
        return False  # 54 times: how often, and no product
    if len(words) > 1 and _RAISED_IN_WORDS.search(note):
        words.pop()
        if not _POWERS.isdisjoint(words):
            return True  # square cm squared
    if _RAISED_TWICE.search(note):
        return True
    for word in words:
        if len(word) == 1 and word not in _UNITS and word != "a":
            return True
        if word in _NO_UNIT or _ORDINAL_OR_NUMBER.fullmatch(word) or _qualifies(word):
            return True
    return False


def counts(note: str, value: Fraction | None) -> bool:
    """Return whether words after a value can be what it counts: a unit, a plural, a stuff, 'in total'.

    '5 apples', '1 apple', '5 in change' and '5 left' are counts; '5 exponent', '5 cancelled' and '5 - cost'
    are not. `value` is None where the value is no rational number.
    """
    if _OPERATOR.search(note):
        return False
    words = _SPOKEN.findall(note.lower())
    if not words or words[0] in _PREPOSITIONS or value is not None and abs(value) <= 1:
        return True
    named = [word for word in words if word not in _STOPWORDS]
    return not named or any(known(word) or _is_plural(word) for word in named)


def _is_plural(word: str) -> bool:
    ends = word.endswith("s") and not word.endswith("ss") or word.endswith(("fish", "teeth"))
    return len(word) > 2 and ends or word.removeprefix("grand") in _NO_S


def _qualifies(word: str) -> bool:
    """Return whether a word qualifies what it stands by: an adverb (upward, hypothetically, likewise)."""
    return _ADVERB.fullmatch(word) is not None and word not in _NO_ADVERB


def known(word: str) -> bool:
    """Return whether `word` names a unit by itself."""
    return _singular(word.lower()) in _UNITS


@lru_cache(maxsize=4096)
def read(text: str) -> Unit | None:
    """Return the unit written in `text` (at most 80 characters of it), None if there is none."""
    text = _MARKUP.sub(" ", text[:80]).lower()
    text = _SQUARE.sub(lambda m: f"{m[2]}^{2 if m[1][0] == 's' else 3}", text)
    text = _SQUARED.sub(lambda m: f"{m[1]}^{2 if m[2][0] == 's' else 3}", text)
    text = re.sub(r"\s*\^\s*\{?\s*(\d)\s*\}?", r"^\1", text).replace(" per ", "/")
    powers: dict[str, int] = {}
    scale = Fraction(1)
    words: set[str] = set()
    is_known = True
    for index, part in enumerate(text.split("/")):
        sign = 1 if index == 0 else -1
        for word in _WORD.finditer(part):
            name, power = _singular(word[1]), sign * int(word[2] or 1)
            if name in _STOPWORDS:
                continue
            words.add(name)
            if name not in _UNITS:
                is_known = False
                continue
            for dimension, exponent in _UNITS[name][0]:
                powers[dimension] = powers.get(dimension, 0) + exponent * power
            scale *= _UNITS[name][1] ** power
    if not words:
        return None
    if not is_known:
        return Unit(None, Fraction(1), frozenset(words))
    return Unit(tuple(sorted((d, p) for d, p in powers.items() if p)), scale, frozenset(words))


def ratio(first: Unit, second: Unit) -> Fraction | None:
    """Return how many `second` make one `first`; None when they measure different things.

    A word that is no known unit counts things: it matches any unit that shares a word with it.
    `units` and `square units` are lengths and areas of any scale.
    """
    if "unit" in first.words or "unit" in second.words:
        powers = [unit.powers for unit in (first, second)]
        if None in powers:
            return None
        one, other = ({(_LENGTHS.get(d, d), p) for d, p in some or ()} for some in powers)
        return Fraction(1) if one == other else None
    if first.powers is not None and second.powers is not None:
        return first.scale / second.scale if first.powers == second.powers else None
    return Fraction(1) if first.words & second.words else None


def convention(first: Unit, second: Unit) -> str | None:
    """Return the rule by which two units that are not the same match, None if they convert."""
    if "unit" in first.words | second.words and first.words != second.words:
        return "units of any scale"
    if (first.powers is None or second.powers is None) and first.words != second.words:
        return "a unit in common"
    return None


def _singular(word: str) -> str:
    if word in _UNITS or word in _IRREGULAR:
        return _IRREGULAR.get(word, word)
    if word.endswith("es") and word[:-2] in _UNITS:
        return word[:-2]
    return word[:-1] if word.endswith("s") and len(word) > 3 else word


_MILLIONS = re.compile(r"\bM\b")  # or molar; metres are m
_SPOKEN = re.compile(r"[a-z]+")
_RAISED_IN_WORDS = re.compile(
    r"[a-z](?:[\s{}\\]|text(?![a-z]))*\s(?:[\s{}\\]|text(?![a-z]))*(?:squared|cubed)\W*$"
)
_RAISED_TWICE = re.compile(r"\b(?:square|sq|cubic|cu)\b[\s{}.]*[a-z]+[\s{}]*\^|\^[\s{]*\d[\s{}]*\^")
_POWERS = frozenset({"square", "sq", "cubic", "cu"})
_MARKUP = re.compile(r"\\text|\\mathbf|\\circ|[{}.,~()]|\\")
_SQUARE = re.compile(r"\b(square|sq|cubic|cu)\s+([a-z]+)")
_SQUARED = re.compile(r"\b([a-z]+)\s+(squared|cubed)\b")
_WORD = re.compile(r"([a-z$%€£¥₹°]+)(?:\^(\d))?")
_STOPWORDS = frozenset(
    "of the a an each more total in all is per are and for on at to by it only left old away long tall "
    "wide deep high far apart remaining leftover saved altogether overall combined together them "
    "additional text mathbf".split()
)
_PREPOSITIONS = frozenset("of in per for from during at on each every".split())
_NO_S = frozenset(
    # plurals without an s, and what is not counted one by one
    "people children men women geese mice oxen dice cattle police pence sheep deer data money change "
    "cash profit income revenue rent tax interest allowance homework work time overtime candy chocolate "
    "pizza cake pie bread rice sugar flour butter water milk juice soda tea coffee gas fuel paint paper "
    "fabric cloth wood land sand soil dirt grass hay corn wheat fruit meat beef chicken pork food gold "
    "silver copper iron steel lumber string rope ribbon wire yarn jewelry furniture clothing luggage "
    "equipment mail music trash garbage waste worth red blue green yellow white black pink purple "
    "orange brown gray grey male female "
    # abbreviations and units of one form
    "sq cu hp rpm kwh kw mw gw hz khz mhz ghz kb mb gb tb kcal cal mol pa kpa atm ev kev mev lux kelvin "
    "celsius fahrenheit hertz".split()
)
_OPERATOR = re.compile(r"^\s*[-*/.')]|\s-\s|[-*/]\s*$")
_HOW_OFTEN = re.compile(r"times(?: in total| in all| altogether| overall| each)?")
_LENGTHS = {"unit": "length"}
_NO_UNIT = frozenset(
    "and or xor nand not no nor neither none never without except unless if but instead either plus minus "
    "times over divided multiplied by than half halves quarter quarters percentile dozen dozens "
    "score pair pairs gross double triple twice thrice squared cubed root roots power factorial mod "
    "modulo remainder choose wrong false incorrect invalid untrue mistaken negative positive below "
    "above under least most maximum minimum fewer less approximately about around roughly almost "
    "nearly short lost isn wasn aren cannot isnt doubt doubtful maybe perhaps possibly probably "
    "excluded rejected removed negated crossed extraneous impossible contradiction contradictory nope "
    "guess ish undefined missing off rather ruled discarded disproved refuted wrongly error eliminated "
    "unknown to through between until up down plusminus reciprocal inverse opposite imaginary "
    "squares cubes base point hundred thousand million billion trillion "
    # comparisons, bounds and places
    "higher lower greater bigger smaller larger extra beyond before after within above outside "
    "underneath beneath inclusive exclusive upper bound bounded unbounded infinite finite upto atleast "
    "atmost ballpark circa somewhat something kinda sorta plusish "
    # operations
    "conjugate transpose transposed inverted flipped reversed mirrored rounded truncated doubled tripled "
    "quadrupled halved quartered increased decreased reduced raised lowered added subtracted "
    "incremented decremented cos sin tan log ln irrational "
    # clauses
    "otherwise else however although though because since while when where whether so thus hence "
    "therefore then till against despite versus vs vice versa via besides including excluding save "
    "barring given assuming provided suppose nothing everything anything any some many few several "
    "various both same sometimes often seldom ever yet with "
    # verdicts
    "mistake typo nonsense placeholder unverified unsure uncertain tbd tba cheat fake bogus joke lie "
    "sorry dunno idk lol jk oops anyway imo imho afaik sort kind sic "
    "approx approximate est estimated estimate octal binary hex hexadecimal "
    "fails exceeds diverges cancels vanishes differs disagrees violates contradicts misses "
    # parts and multiples
    "basis bp bps ppm ppb mille debt arrears reverse infinity "
    "ones tens hundreds thousands millions billions trillions lakh lakhs crore crores "
    "myriad googol milli micro nano kilo mega giga tera wholes noon midnight "
    # the rest of the closed classes: pronouns, auxiliaries, prepositions, conjunctions
    "i me mine you yours he him she hers we us ours they theirs itself himself herself themselves "
    "myself yourself what whatever whichever whoever somebody someone anybody anyone nobody everybody "
    "everyone was were be been being do does did have has had having might must shall should will "
    "would could need dare ought amid among amongst aside athwart atop behind beneath beside concerning "
    "considering following into like near notwithstanding onto past pending regarding since toward "
    "unlike unto upon lest whereas whether wherever whenever whereby wherein as again also hardly "
    "scarcely barely merely just quite very too enough "
    "etc et al january february april august september october november december".split()
)
_ADVERB = re.compile(r"[a-z]+(?:wards?|wise|ly)")
_NO_ADVERB = frozenset(
    # nouns and adjectives that count things, and adverbs that leave a value what it is
    "award awards reward rewards ward wards steward stewards coward cowards family fly butterfly "
    "dragonfly firefly jelly lily belly assembly ally supply reply bully monthly daily weekly yearly "
    "hourly nightly early only totally fully exactly precisely friendly elderly lovely curly lonely "
    "respectively really additionally initially finally originally".split()
)
_ORDINAL_OR_NUMBER = re.compile(
    r"(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|[a-z]+teen|twenty|thirty"
    r"|forty|fifty|sixty|seventy|eighty|ninety)"
    r"|(?:third|fourth|fifth|sixth|seventh|eighth|ninth|tenth|eleventh|twelfth|[a-z]+teenth"
    r"|[a-z]+tieth|hundredth|thousandth|millionth|billionth|th)s?|[a-z]+fold"
)
_IRREGULAR = {
    "feet": "foot", "ft": "foot", "inches": "inch", "in": "inch", "lbs": "pound", "people": "person",
    "children": "child", "men": "man", "women": "woman", "pennies": "cent", "penny": "cent",
    "days": "day", "gas": "gas", "yds": "yard", "hrs": "hour", "mins": "minute", "secs": "second",
}  # fmt: skip


def _unit_table() -> dict[str, tuple[tuple[tuple[str, int], ...], Fraction]]:
    table: dict[str, tuple[tuple[tuple[str, int], ...], Fraction]] = {}

    def put(dimensions: tuple[tuple[str, int], ...], **scales: str) -> None:
        for scale, names in ((s, n) for n, s in scales.items()):
            for name in names.split("_or_"):
                table[name] = (dimensions, Fraction(scale))

    put((("length", 1),), mm_or_millimeter_or_millimetre="1/1000", m_or_meter_or_metre="1",
        cm_or_centimeter_or_centimetre="1/100", km_or_kilometer_or_kilometre="1000",
        inch="127/5000", foot="381/1250", yd_or_yard="1143/1250", mi_or_mile="201168/125",
        nm_or_nanometer="1/1000000000", dm_or_decimeter="1/10")  # fmt: skip
    put((("mass", 1),), g_or_gram="1", kg_or_kilogram="1000", mg_or_milligram="1/1000",
        lb_or_pound="45359237/100000", oz_or_ounce="45359237/1600000", ton="1000000")  # fmt: skip
    put((("time", 1),), s_or_sec_or_second="1", min_or_minute="60", h_or_hr_or_hour="3600",
        day="86400", week="604800", ms_or_millisecond="1/1000")  # fmt: skip
    put((("month", 1),), month="1", year_or_yr="12", decade="120", century="1200")
    put((("money", 1),), dollar_or_usd_or_buck="1", cent_or_c="1/100")
    table["$"] = table["dollar"]
    for currency, names in (
        ("euro", "€ euro eur"), ("gbp", "£ gbp"), ("yen", "¥ yen"), ("rupee", "₹ rupee inr"),
    ):  # fmt: skip
        table.update(dict.fromkeys(names.split(), (((currency, 1),), Fraction(1))))
    put((("length", 3),), l_or_liter_or_litre="1/1000", ml_or_milliliter_or_millilitre="1/1000000")
    put((("volume", 1),), gallon_or_gal="16", quart_or_qt="4", pint_or_pt="2", cup="1")
    put((("angle", 1),), degree_or_deg="1")
    table["°"] = table["degree"]
    put((("angle", 1),), radian_or_rad="1/1")
    table["radian"] = table["rad"] = ((("radian", 1),), Fraction(1))
    put((("percent", 1),), percent="1", percentage="1")
    table["%"] = table["percent"]
    put((("length", 1), ("time", -1)), mph="1397/3125", kph_or_kmh="5/18")
    put((("unit", 1),), unit="1")
    return table


_UNITS = _unit_table()
