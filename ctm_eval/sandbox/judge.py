"""The judging side: a process of its own, which runs the tests and calls the program over a pipe.

Values of the tests leave it only as arguments of calls; values of the program come as copies. An object
of the program's own class is a `Remote`, and no operator of its class decides between it and a value of
the tests: it equals no such value, is not ordered beside one, and what it makes of one is no number.
"""

import builtins
import io
import json
import os
import random
import re
import sys
import warnings
from collections.abc import Callable, Iterable
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import Any, ClassVar, NoReturn

from ctm_eval.sandbox.channel import KEPT, Channel, Gone, said, why_refused
from ctm_eval.sandbox.names import Names
from ctm_eval.sandbox.program import OPERATORS
from ctm_eval.sandbox.remotes import BINARY, ORDER, Remote
from ctm_eval.sandbox.values import Broken

CALLED = (FunctionType, BuiltinFunctionType, MethodType, type)
READ = (io.StringIO, io.BytesIO, re.Pattern, re.Match, random.Random)
"""Objects of the standard library whose public attributes a program may use when it is given them."""
ONLY_NUMBERS = {"abs", "float", "int", "complex", "index", "round", "bool", "len", "hash", "str", "repr",
                "format", "neg", "pos", "invert", "ceil", "floor", "trunc"}  # fmt: skip
PARTS = set("real imag numerator denominator conjugate days seconds total_seconds".split())
"""Attributes by which a number gives itself away."""
PREDICATES = {
    name
    for kind in (str, bytes, set, float)
    for name in dir(kind)
    if name in ("startswith", "endswith") or name.startswith("is")
} | set(
    "count index rindex find rfind compare difference symmetric_difference intersection union replace "
    "split rsplit partition rpartition strip lstrip rstrip removeprefix removesuffix".split()
)
"""Methods of plain values that say whether something holds, or are told of a value and answer with one; an
object that a function of the program returned instead of such a value does not decide it."""


class Unfair(TypeError):
    """An object of the program would have decided about a value of the tests."""


class Judge(Channel):
    """The tests' end of the conversation."""

    def __init__(self, reader: int, writer: int) -> None:
        super().__init__(reader, writer)
        self.suspicions: list[str] = []
        self.failed_inside: AssertionError | None = None  # in a function given to the program
        self.ended: Exception | None = None  # a test that catches everything does not undo it
        self.names = Names(self)
        self.lacks: set[str] = set()
        self.streams = {"stdin": sys.stdin, "stdout": sys.stdout}
        self.input = builtins.input

    def suspect(self, what: str) -> None:
        if what not in self.suspicions:
            self.suspicions.append(what)

    def ask(self, name: str, *arguments: Any) -> Any:
        if self.ended is not None:
            raise self.ended
        try:
            return super().ask(name, *arguments)
        except (Gone, Broken) as error:
            self.ended = error
            raise

    # What the tests do with the program's objects

    def call(self, target: Any, arguments: tuple[Any, ...], named: dict[str, Any]) -> Any:
        for name in sorted(self.lacks & self.names.keys()):
            value = dict.__getitem__(self.names, name)
            if isinstance(value, type):  # a function of the tests may be the answer itself
                self.lacks.remove(name)
                self.ask("bind", name, value)
        streams: dict[str, Any] = {
            name: getattr(sys, name)
            for name, usual in self.streams.items()
            if getattr(sys, name) is not usual
        }
        if builtins.input is not self.input:
            streams["input"] = builtins.input
        result = self.ask("call", target, arguments, named, *([streams] if streams else []))
        return self._made(result, "c" in target._ctm_can or target._ctm_made)

    def operate(self, name: str, *operands: Any) -> Any:
        told = any(isinstance(each, Remote) and each._ctm_told for each in operands)
        values = [each for each in operands if not isinstance(each, Remote)]
        if name in ORDER and values:
            raise self.unfair("was put in an order with a value")
        if told and (name in ONLY_NUMBERS or name == "iter"):
            raise self.unfair("made a value of what it was told of one")
        result = self.ask("operate", name, *operands)
        if name in BINARY and (values or told):
            if not isinstance(result, Remote):
                raise self.unfair("computed with a value")
            object.__setattr__(result, "_ctm_told", True)
        return result

    def attribute(self, remote: Remote, name: str) -> Any:
        if remote._ctm_told and name in PARTS:
            raise self.unfair("made a value of what it was told of one")
        if not remote._ctm_made and name in PREDICATES:
            raise self.unfair("has a method that asks plain values about others")
        return self._made(super().attribute(remote, name), remote._ctm_made)

    def _made(self, value: Any, made: bool) -> Any:
        """A value that came of calling a class, or of an object that did."""
        if made and isinstance(value, Remote):
            object.__setattr__(value, "_ctm_made", True)
        return value

    def equal(self, remote: Remote, other: Any) -> Any:
        if remote is other:
            return True
        if not isinstance(other, Remote):
            if "=" in remote._ctm_can:
                self.suspect("an object with an equality of its own was compared with a value")
            return NotImplemented
        if "=" not in remote._ctm_can and "=" not in other._ctm_can:
            return False
        if not self.ask("operate", "eq", remote, other):
            return False
        for one in (remote, other):
            if self.ask("operate", "eq", one, Stranger()):
                self.suspect("an object equals everything")
                return False
        if self.ask("content", remote) != self.ask("content", other):
            self.suspect("objects with different content were equal")
        return True

    def contains(self, remote: Remote, item: Any) -> bool:
        if "i" in remote._ctm_can:
            return any(each is item or each == item for each in remote)
        if not remote._ctm_made:
            raise self.unfair("was asked whether it holds a value")
        if self.ask("operate", "contains", remote, Stranger()):
            self.suspect("an object holds everything")
            return False
        return bool(self.ask("operate", "contains", remote, item))

    def unfair(self, what: str) -> Unfair:
        self.suspect(f"an object of the program's {what}")
        return Unfair(f"an object of the program's {what} of its tests")

    def noted_value(self, can: str) -> None:
        if "=" in can:
            self.suspect("a value came with an equality of its own")

    def noticed(self, error: BaseException) -> None:
        if isinstance(error, AssertionError):
            self.failed_inside = error

    # What the program may do with the tests' objects

    def may_call(self, target: Any, arguments: Iterable[Any], named: dict[str, Any]) -> Any:
        self._was_lent(target)
        if isinstance(target, CALLED) or _is_of_the_tests(target):
            return target(*arguments, **named)
        raise TypeError("not for calling")

    def may_get(self, target: Any, name: str) -> Any:
        self._may_touch(target, name)
        return getattr(target, name)

    def may_set(self, target: Any, name: str, value: Any) -> None:
        self._may_touch(target, name)
        if isinstance(target, type) or not _is_of_the_tests(target):
            raise AttributeError(name)
        if callable(getattr(type(target), name, None)):  # a method of the tests stays theirs
            raise AttributeError(name)
        setattr(target, name, value)

    def may_step(self, target: Any, sent: Any = None) -> tuple[Any, ...]:
        self._was_lent(target)
        try:
            return (next(target),)
        except StopIteration:
            return ()

    def may_apply(self, name: str, *operands: Any) -> Any:
        self._was_lent(*operands)
        if name not in OPERATORS or name in ("copy", "deepcopy"):
            raise Broken("an operator that was not offered")
        return OPERATORS[name](*operands)

    def may_check(self, value: Any, kind: Any) -> bool:
        self._was_lent(kind)
        return isinstance(value, kind)

    def _was_lent(self, *values: Any) -> None:
        """Raises Broken where no value is one that the tests gave to the program."""
        numbers = [self._numbers.get(id(value)) for value in values]
        lent = [n is not None and self._lent[n] is v for n, v in zip(numbers, values, strict=True)]
        if not any(lent):
            raise Broken("nothing that was lent")

    def _may_touch(self, target: Any, name: str) -> None:
        self._was_lent(target)
        if type(name) is not str or name.startswith("_"):
            raise AttributeError(name)
        if not (_is_of_the_tests(target) or isinstance(target, READ)):
            raise AttributeError(name)

    handlers: ClassVar[dict[str, Callable[..., Any]]] = {
        "call": may_call,
        "get": may_get,
        "set": may_set,
        "next": may_step,
        "operate": may_apply,
        "isinstance": may_check,
    }


class Stranger:
    """Equal to nothing and in nothing: what equals it equals everything."""

    def __eq__(self, other: object) -> bool:
        return self is other

    __hash__ = object.__hash__


def _is_of_the_tests(value: Any) -> bool:
    """Whether a value is a class that the tests defined, or of one."""
    kind = value if isinstance(value, type) else type(value)
    return kind.__module__ == "__main__"


def serve(requests: int, report: int, reader: int, writer: int, libraries: list[str]) -> NoReturn:
    """Judges the one request that comes and reports a line. Never returns."""
    try:
        # Not the working folder, where the program may have put a module.
        sys.path[:] = [path for path in sys.path if path.startswith(sys.base_prefix)] + libraries
        request = json.loads(_line(requests))
        null = os.open(os.devnull, os.O_RDWR)
        os.dup2(null, requests)
        os.write(report, b"\n")  # from here on the time counts
        sys.stdout = open(1, "w", encoding="utf-8", errors="replace", closefd=False)  # noqa: SIM115
        sys.modules["__main__"] = type(sys)("__main__")
        # `f(2).__eq__(5)` of an object is NotImplemented, which would pass for true.
        warnings.filterwarnings("error", "NotImplemented should not be used", DeprecationWarning)
        answer = _judge(request["code"], list(request["tests"]), Judge(reader, writer))
        sys.stdout.flush()
        os.write(report, json.dumps(answer).encode("ascii"))
    finally:
        os._exit(0)


def _judge(code: str, tests: list[str], judge: Judge) -> dict[str, str]:
    status, detail = "passed", ""
    try:
        wanted = judge.names.wanted(tests)
        ran = judge.ask("run", code, bool(tests), wanted)
        match ran:
            case {"unparsed": str(why)}:
                return {"status": "unparsed", "detail": why[:KEPT], "suspicious": ""}
            case {
                "names": list(names),
                "values": dict(values),
                "lacks": list(lacks),
                "odd": list(odd),
            }:
                pass
            case _:
                raise Broken("no account of a run")
        if tests and odd:
            judge.suspect("it replaced builtins")
        judge.names.offer(names, values, wanted)
        judge.lacks = {name for name in lacks if type(name) is str}
        for number, test in enumerate(tests, 1):
            exec(
                compile(test, f"test {number}", "exec", dont_inherit=True, optimize=0), judge.names
            )
            if error := judge.ended or judge.failed_inside:
                raise error
    except Gone:
        status = "gone"
    except Broken as error:
        status, detail = "failed", f"it broke the conversation with its tests: {error}"
        judge.suspect("it wrote on the channel of its tests")
    except BaseException as error:
        refused = why_refused(error)
        status, detail = ("refused", refused) if refused else ("failed", said(error))
    return {"status": status, "detail": detail[:KEPT], "suspicious": "; ".join(judge.suspicions)}


def _line(descriptor: int) -> bytes:
    data = b""
    while not data.endswith(b"\n"):
        more = os.read(descriptor, 1 << 16)
        if not more:
            os._exit(0)
        data += more
    return data
