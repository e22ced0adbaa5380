"""What crosses between a program and its judge: copies of plain values, numbers for all else.

A message is JSON. Numbers, text, the containers of the standard library and a few of its types are
copied, a subclass by the methods of its base; anything else stays where it is and is `lent`: the other
side gets a number. A reader takes nothing but these forms, so that whatever a program sends is a plain
value or an error, and never code.
"""

import builtins
import datetime
import importlib
import json
import sys
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from numbers import Integral, Rational, Real
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any

__builtins__ = dict(vars(builtins))  # type: ignore[assignment]  # a program that replaces them does so for itself

WHOLE = 1 << 62  # larger integers are sent in hexadecimal, which takes linear time
PURE = frozenset(
    "abs all any ascii bin bool bytearray bytes callable chr complex dict divmod enumerate filter float "
    "frozenset hash hex int isinstance issubclass iter len list map max min next oct ord pow print range "
    "repr reversed round set slice sorted str sum tuple type zip object".split()
) | {
    name for name, value in vars(builtins).items() if name[:1].isupper() and isinstance(value, type)
}
"""The builtins that may be named across: functions without power, types, exceptions."""
KNOWN = frozenset(
    "math cmath collections fractions decimal datetime statistics string copy".split()
)
"""Modules whose public functions and classes may be named across."""
MODULES = KNOWN | set(
    "bisect functools heapq itertools json numbers operator random re sys typing time types io".split()
)
"""Modules that may be named across; each side has its own."""


class Broken(Exception):
    """The other side sent what is no message."""


class Crossing:
    """The mutable containers of a request, numbered in the order in which they are met.

    A reply may refer to them, and says how they were changed.
    """

    def __init__(self) -> None:
        self.objects: list[Any] = []
        self.numbers: dict[int, int] = {}

    def add(self, value: object) -> int:
        self.numbers[id(value)] = len(self.objects)
        self.objects.append(value)
        return len(self.objects) - 1


def dumps(message: object) -> bytes:
    return _encode_text(message).encode("ascii")


def loads(data: bytes) -> Any:
    """Raises Broken, RecursionError or MemoryError."""
    try:
        return json.loads(data)
    except ValueError as error:
        raise Broken("not JSON") from error


_encode_text = json.JSONEncoder(separators=(",", ":")).encode


# Immutable types: (name, type, to plain parts, from them). Parts that are a list are values themselves.
ATOMS: tuple[tuple[str, type, Callable[[Any], Any], Callable[[Any], Any]], ...] = (
    ("int", int, lambda v: [int.__format__(v, "x")], lambda p: int(_text(p[0]), 16)),
    ("str", str, lambda v: [str.__str__(v)], lambda p: _text(p[0])),
    ("float", float, lambda v: [float.__float__(v)], lambda p: _real(p[0])),
    ("complex", complex, lambda v: [v.real, v.imag], lambda p: complex(_real(p[0]), _real(p[1]))),
    ("bytes", bytes, lambda v: [bytes.hex(v)], lambda p: bytes.fromhex(_text(p[0]))),
    (
        "range",
        range,
        lambda v: [hex(v.start), hex(v.stop), hex(v.step)],
        lambda p: range(*_wholes(p)),
    ),
    (
        "Fraction",
        Fraction,
        lambda v: list(map(hex, Fraction.as_integer_ratio(v))),
        lambda p: Fraction(*_wholes(p)),
    ),
    ("Decimal", Decimal, lambda v: [Decimal.__str__(v)], lambda p: Decimal(_text(p[0]))),
    (
        "datetime",
        datetime.datetime,
        lambda v: [datetime.datetime.isoformat(v)],
        lambda p: datetime.datetime.fromisoformat(_text(p[0])),
    ),
    (
        "date",
        datetime.date,
        lambda v: [datetime.date.isoformat(v)],
        lambda p: datetime.date.fromisoformat(_text(p[0])),
    ),
    (
        "time",
        datetime.time,
        lambda v: [datetime.time.isoformat(v)],
        lambda p: datetime.time.fromisoformat(_text(p[0])),
    ),
    (
        "timedelta",
        datetime.timedelta,
        lambda v: [hex(v.days), hex(v.seconds), hex(v.microseconds)],
        lambda p: datetime.timedelta(*_wholes(p)),
    ),
)
GROUPS: dict[str, type] = {"tuple": tuple, "frozenset": frozenset, "slice": slice}
VIEWS: dict[str, type] = {"dict_keys": type({}.keys()), "dict_items": type({}.items())}
MUTABLE: dict[str, type] = {
    "Counter": Counter,
    "OrderedDict": OrderedDict,
    "defaultdict": defaultdict,
    "dict": dict,
    "list": list,
    "set": set,
    "deque": deque,
    "bytearray": bytearray,
}
BASES: dict[type, str] = {
    **{kind: name for name, kind, *_ in ATOMS},
    **{kind: name for name, kind in (*GROUPS.items(), *VIEWS.items(), *MUTABLE.items())},
}
DERIVED = {"int", "str", "float", "complex", "bytes", "Fraction", "Decimal"}
"""Atoms of which a subclass can be made from a value."""
READERS = {name: read for name, _, _, read in ATOMS}
WRITERS = {name: write for name, _, write, _ in ATOMS}


def state(value: Any, name: str) -> tuple[Any, ...]:
    """The content of a container, by its base's own methods."""
    if name in ("Counter", "OrderedDict", "defaultdict", "dict"):
        items = OrderedDict.items if name == "OrderedDict" else dict.items
        return tuple(pair for items_of in items(value) for pair in items_of)
    if name == "slice":
        return (value.start, value.stop, value.step)
    if name == "dict_items":
        return tuple(part for pair in value for part in pair)
    if name == "dict_keys":
        return tuple(value)
    return tuple((MUTABLE.get(name) or GROUPS[name]).__iter__(value))  # type: ignore[attr-defined]


def fill(value: Any, name: str, parts: list[Any]) -> None:
    """Makes `parts` the content of a container."""
    if name == "bytearray":
        bytearray.__setitem__(value, slice(None), bytes(parts))
        return
    MUTABLE[name].clear(value)  # type: ignore[attr-defined]
    if name in ("list", "deque"):
        MUTABLE[name].extend(value, parts)  # type: ignore[attr-defined]
    elif name == "set":
        set.update(value, parts)
    else:
        _even(parts)
        for key, item in zip(parts[::2], parts[1::2], strict=True):
            dict.__setitem__(
                value, key, item
            ) if name != "OrderedDict" else OrderedDict.__setitem__(value, key, item)


def base_of(kind: type) -> str | None:
    """The name of the plain type that `kind` is or derives from."""
    found = BASES.get(kind)
    if found is None:
        for ancestor in type.mro(kind):
            if ancestor in BASES:
                return BASES[ancestor]
    return found


class Codec:
    """Writes values for the other side, and reads its own; `lend` and `borrow` are for all that is no
    plain value."""

    def write(self, value: Any, crossing: Crossing) -> Any:
        kind = type(value)
        if value is None or kind is bool or kind is str or kind is float:
            return value
        if kind is int and -WHOLE < value < WHOLE:
            return value
        number = crossing.numbers.get(id(value))
        if number is not None:
            return ["ref", number]
        if (back := self.returned(value, crossing)) is not None:
            return back
        name = BASES.get(kind)
        if name is not None:
            return self._write_plain(value, name, crossing)
        if value is Ellipsis or value is NotImplemented:
            return ["constant", "Ellipsis" if value is Ellipsis else "NotImplemented"]
        if kind is ModuleType and value.__name__ in MODULES:
            return ["module", value.__name__]
        if (known := _known(value)) is not None:
            return ["global", *known]
        if (number_like := _as_number(value)) is not None:
            return self.write(number_like, crossing)
        if (name := base_of(kind)) is not None:
            return ["sub", *self.lend(value), self._write_plain(value, name, crossing)]
        return ["obj", *self.lend(value)]

    def _write_plain(self, value: Any, name: str, crossing: Crossing) -> Any:
        if name in WRITERS:
            return [name, *WRITERS[name](value)]
        if name in MUTABLE:
            number = crossing.add(value)
            extra: Any = None
            if name == "deque":
                extra = value.maxlen
            elif name == "defaultdict":
                extra = self.write(value.default_factory, crossing)
            return [name, number, extra, self.write_state(value, name, crossing)]
        return [name, self.write_state(value, name, crossing)]

    def write_state(self, value: Any, name: str, crossing: Crossing) -> Any:
        if name == "bytearray":
            return bytearray.hex(value)
        return [self.write(item, crossing) for item in state(value, name)]

    def read(self, data: Any, crossing: Crossing) -> Any:
        """A value of the other side. Raises Broken."""
        if not isinstance(data, list):
            if isinstance(data, dict):
                raise Broken("an object")
            return data
        try:
            return self._read(data, crossing, None)
        except (ValueError, TypeError, IndexError, KeyError, ArithmeticError) as error:
            raise Broken(f"no value: {type(error).__name__}") from error

    def _read(self, data: list[Any], crossing: Crossing, wrap: Any) -> Any:
        name, *parts = data
        if name in READERS:
            value = READERS[name](parts)
            return wrap(type(value))(value) if wrap and name in DERIVED else value
        if name in GROUPS:
            items = [self.read(item, crossing) for item in _items(parts[0])]
            kind = GROUPS[name]
            if kind is slice:
                return slice(*items)
            return wrap(kind)(items) if wrap else kind(items)
        if name in VIEWS:
            items = [self.read(item, crossing) for item in _items(parts[0])]
            if name == "dict_keys":
                return dict.fromkeys(items).keys()
            _even(items)
            return dict(zip(items[::2], items[1::2], strict=True)).items()
        if name in MUTABLE:
            number, extra, content = parts
            kind = wrap(MUTABLE[name]) if wrap else MUTABLE[name]
            made: Any
            if name == "deque" and extra is not None:
                made = kind((), _whole(extra))
            else:
                made = kind()
            if crossing.add(made) != number:
                raise Broken("containers out of order")
            if name == "defaultdict":
                factory = self.read(extra, crossing)
                made.default_factory = factory if callable(factory) else None
            self.read_state(made, name, content, crossing)
            return made
        if name == "ref":
            return crossing.objects[_whole(parts[0])]
        if name == "constant":
            return {"Ellipsis": Ellipsis, "NotImplemented": NotImplemented}[parts[0]]
        if name == "module":
            if parts[0] not in MODULES:
                raise Broken("a module")
            return importlib.import_module(parts[0])
        if name == "global":
            return _resolve(*parts)
        if name == "sub":
            *lent, content = parts
            return self.borrow_value(
                lent, lambda wrapper: self._read(_items(content), crossing, wrapper)
            )
        if name == "obj":
            return self.borrow(parts)
        if name == "back":
            return self.taken_back(parts, crossing)
        raise Broken("an unknown form")

    def read_state(self, value: Any, name: str, content: Any, crossing: Crossing) -> None:
        if name == "bytearray":
            fill(value, name, list(bytes.fromhex(_text(content))))
        else:
            fill(value, name, [self.read(item, crossing) for item in _items(content)])

    # What a channel provides.
    def lend(self, value: Any) -> list[Any]:
        raise NotImplementedError

    def returned(self, value: Any, crossing: Crossing) -> list[Any] | None:
        raise NotImplementedError

    def borrow(self, parts: list[Any]) -> Any:
        raise NotImplementedError

    def borrow_value(self, lent: list[Any], read: Callable[[Any], Any]) -> Any:
        raise NotImplementedError

    def taken_back(self, parts: list[Any], crossing: Crossing) -> Any:
        raise NotImplementedError


def _known(value: Any) -> tuple[str, str] | None:
    """The module and name of a function or class of the standard library that both sides have."""
    if not isinstance(value, (type, BuiltinFunctionType, FunctionType)):
        return None
    module, name = getattr(value, "__module__", None), getattr(value, "__name__", None)
    if type(module) is not str or type(name) is not str:
        return None
    if (
        name in PURE if module == "builtins" else module in KNOWN and not name.startswith("_")
    ) and (getattr(sys.modules.get(module), name, None) is value):
        return module, name
    return None


def _resolve(module: Any, name: Any) -> Any:
    allowed = name in PURE if module == "builtins" else module in KNOWN
    if not allowed or _text(name).startswith("_"):
        raise Broken("a name")
    value = getattr(importlib.import_module(module), name)
    if not isinstance(value, (type, BuiltinFunctionType, FunctionType)):
        raise Broken("a name")
    return value


def _as_number(value: Any) -> int | float | bool | Fraction | None:
    """The plain number that a number of another library (sympy) stands for."""
    kind = type(value)
    if not str(getattr(kind, "__module__", "")).startswith("sympy."):
        return None
    try:
        if kind.__name__ in ("BooleanTrue", "BooleanFalse"):
            return bool(value)
        if isinstance(value, Integral):
            return int(value)
        if isinstance(value, Rational):
            return Fraction(int(value.numerator), int(value.denominator))
        if isinstance(value, Real) or (value.is_number and value.is_extended_real):
            return float(value)
    except Exception:
        return None
    return None


def _text(value: Any) -> str:
    if type(value) is not str:
        raise Broken("no text")
    return value


def _real(value: Any) -> float:
    if type(value) not in (int, float):
        raise Broken("no number")
    return float(value)


def _whole(value: Any) -> int:
    if type(value) is not int or value < 0:
        raise Broken("no number")
    return value


def _wholes(values: list[Any]) -> list[int]:
    return [int(_text(value), 16) for value in values]


def _items(value: Any) -> list[Any]:
    if type(value) is not list:
        raise Broken("no list")
    return value


def _even(items: list[Any]) -> None:
    if len(items) % 2:
        raise Broken("a key without a value")
