"""A conversation of two processes: each asks the other to call, to read and to set what it was lent.

Requests nest: whoever waits for a reply answers requests in the meantime, so that a function of the
tests may be given to the program. `values` says what crosses; a `Remote` stands for what does not.
"""

import builtins
import os
from collections.abc import Callable
from errno import EACCES, EAGAIN, EFBIG, EMFILE, ENOSPC, EPERM, EROFS
from types import CoroutineType, GeneratorType
from typing import Any, ClassVar

from ctm_eval.sandbox.remotes import (
    Remote,
    RemoteCallable,
    attribute_of_value,
    local_coroutine,
    local_generator,
)
from ctm_eval.sandbox.values import MUTABLE, Broken, Codec, Crossing, base_of, dumps, loads, state

__builtins__ = dict(vars(builtins))  # type: ignore[assignment]  # a program that replaces them does so for itself

LARGEST = 32 << 20  # bytes of a message
WANTED_MORE = {EPERM, EACCES, EROFS, ENOSPC, EFBIG, EAGAIN, EMFILE}  # errors that a limit gives
KEPT = 500  # characters of an error message
NOT_THROUGH = (StopIteration, StopAsyncIteration, GeneratorExit)
"""Exceptions that would end a loop of the one who asked; they come as a RuntimeError."""

RESERVE = bytearray(8 << 20)
"""Memory that is given up when there is no more, so that this can still be told."""


class Gone(Exception):
    """The other side ended the conversation."""


class TooLarge(MemoryError):
    """A message beyond the limit, told by the one who would have sent it."""

    def __init__(self) -> None:
        super().__init__("a value beyond the limit")


class Channel(Codec):
    """One end. `handlers` answer the requests of the other side, by name."""

    handlers: ClassVar[dict[str, Callable[..., Any]]] = {}

    def __init__(self, reader: int, writer: int) -> None:
        self._reader, self._writer = reader, writer
        self._lent: list[Any] = []  # by number; kept, so that no number is used twice
        self._numbers: dict[int, int] = {}
        self._borrowed: dict[int, Any] = {}
        self._returns: dict[int, tuple[int, Any]] = {}  # id of what stands for it: number, itself
        self._stand_ins: dict[int, type[BaseException]] = {}
        self._wrappers: dict[type, type] = {}

    # Asking and answering

    def ask(self, name: str, *arguments: Any) -> Any:
        """Raises what the other side raised, and Gone, Broken, TooLarge."""
        crossing = Crossing()
        self._send(["ask", name, [self.write(argument, crossing) for argument in arguments]])
        while True:
            match self._receive():
                case ["ask", str(asked), list(parts)]:
                    self._answer(asked, parts)
                case ["reply", value, list(changes)]:
                    result = self.read(value, crossing)
                    self._change(changes, crossing)
                    return result
                case ["raise", error, list(changes)]:
                    raised = self._read_error(error, crossing)
                    self._change(changes, crossing)
                    raise raised
                case _:
                    raise Broken("no message")

    def answer_all(self) -> None:
        """Answers until the other side goes."""
        while True:
            match self._receive():
                case ["ask", str(asked), list(parts)]:
                    self._answer(asked, parts)
                case _:
                    raise Broken("no question")

    def _answer(self, name: str, parts: list[Any]) -> None:
        crossing = Crossing()
        before: list[Any] = []
        try:
            arguments = [self.read(part, crossing) for part in parts]
            before = [state(value, base_of(type(value)) or "") for value in crossing.objects]
            result = self.write(self.handlers[name](self, *arguments), crossing)
            reply = ["reply", result, self._changes(before, crossing)]
            self._send(reply)
            return
        except (Gone, Broken):
            raise
        except BaseException as error:
            RESERVE.clear()
            error.__traceback__ = None  # what its frames hold is free again
            self.noticed(error)
            raised = error
        try:
            self._send(["raise", self._write_error(raised), self._changes(before, crossing)])
        except TooLarge as error:
            self._send(["raise", self._write_error(error), []])

    def noticed(self, error: BaseException) -> None:
        """An error that is about to be told to the other side."""

    def before_sending(self) -> None:
        """Called before every message."""

    def _changes(self, before: list[Any], crossing: Crossing) -> list[Any]:
        changes = []
        for number in range(len(before)):
            value = crossing.objects[number]
            name = base_of(type(value)) or ""
            now = state(value, name)
            if len(now) != len(before[number]) or any(
                a is not b for a, b in zip(now, before[number], strict=True)
            ):
                changes.append([number, self.write_state(value, name, crossing)])
        return changes

    def _change(self, changes: list[Any], crossing: Crossing) -> None:
        for change in changes:
            match change:
                case [int(number), content] if 0 <= number < len(crossing.objects):
                    value = crossing.objects[number]
                    self.read_state(value, base_of(type(value)) or "", content, crossing)
                case _:
                    raise Broken("no change")

    # Bytes

    def _send(self, message: object) -> None:
        self.before_sending()
        body = dumps(message)
        if len(body) > LARGEST:
            raise TooLarge
        data = memoryview(len(body).to_bytes(4, "big") + body)
        try:
            while data:
                data = data[os.write(self._writer, data) :]
        except OSError as error:
            raise Gone from error

    def _receive(self) -> Any:
        size = int.from_bytes(self._exactly(4), "big")
        if size > LARGEST:
            raise Broken("a message beyond the limit")
        return loads(self._exactly(size))

    def _exactly(self, count: int) -> bytes:
        data = _read(self._reader, count)
        if len(data) == count:
            return data
        parts = [data]
        count -= len(data)
        while count:
            data = _read(self._reader, min(count, 1 << 16))
            count -= len(data)
            parts.append(data)
        return b"".join(parts)

    # What is lent and borrowed

    def lend(self, value: Any) -> list[Any]:
        """A number for a value, and what its class can do."""
        number = self._numbers.get(id(value))
        if number is None:
            number = self._numbers[id(value)] = len(self._lent)
            self._lent.append(value)
        kind = type(value)
        if isinstance(value, type) and issubclass(value, BaseException):
            return [number, "x", _ancestry(value)]
        can = "c" if isinstance(value, type) else "f" if callable(value) else ""
        can += "g" if kind is GeneratorType else "a" if kind is CoroutineType else ""
        can += "=" if _overrides(kind, "__eq__") else ""
        can += "i" if hasattr(kind, "__iter__") or hasattr(kind, "__getitem__") else ""
        return [number, can, None]

    def returned(self, value: Any, crossing: Crossing) -> list[Any] | None:
        found = self._returns.get(id(value))
        if found is None or found[1] is not value:
            return None
        mutable = not isinstance(value, Remote) and base_of(type(value)) in MUTABLE
        return ["back", found[0], crossing.add(value) if mutable else None]

    def taken_back(self, parts: list[Any], crossing: Crossing) -> Any:
        number, place = parts
        if type(number) is not int or not 0 <= number < len(self._lent):
            raise Broken("nothing that was lent")
        value = self._lent[number]
        if place is not None and crossing.add(value) != place:
            raise Broken("containers out of order")
        return value

    def borrow(self, parts: list[Any]) -> Any:
        number, can, ancestry = parts
        if type(number) is not int or type(can) is not str:
            raise Broken("nothing to borrow")
        if number in self._borrowed:
            return self._borrowed[number]
        if can == "x":
            return self._stand_in(number, ancestry)
        made: Any = (RemoteCallable if "c" in can or "f" in can else Remote)(self, number, can)
        if "g" in can or "a" in can:
            self._keep(number, made)
        if "g" in can:
            made = local_generator(made)
        if "a" in can:
            made = local_coroutine(made)
        return self._keep(number, made)

    def borrow_value(self, lent: list[Any], read: Callable[[Any], Any]) -> Any:
        """A value of a class of the other side's: a plain one that knows where the original is."""
        number, can, _ = lent
        if type(number) is not int or type(can) is not str:
            raise Broken("nothing to borrow")
        value = read(self._wrapper)
        self.noted_value(can)
        if not hasattr(value, "__dict__"):
            return value
        value.__dict__["_ctm_remote"] = Remote(self, number, can)
        return self._keep(number, value)

    def noted_value(self, can: str) -> None:
        """A value came whose class can do `can`."""

    def _keep(self, number: int, value: Any) -> Any:
        self._borrowed[number] = value
        self._returns[id(value)] = (number, value)
        return value

    def _wrapper(self, base: type) -> type:
        if base not in self._wrappers:
            self._wrappers[base] = type(base.__name__, (base,), {"__getattr__": attribute_of_value})
        return self._wrappers[base]

    def _stand_in(self, number: int, ancestry: Any) -> type[BaseException]:
        """A class of exceptions for one of the other side's."""
        if number not in self._stand_ins:
            name: str = "Error"
            base: type[BaseException] = Exception
            if isinstance(ancestry, list) and ancestry:
                name = str(ancestry[0])
                base = next((e for e in map(_builtin_error, ancestry) if e is not None), Exception)
            made = type(
                name if name.isidentifier() else "Error", (base,), {"__module__": "program"}
            )
            self._stand_ins[number] = self._keep(number, made)
        return self._stand_ins[number]

    # Errors

    def _write_error(self, error: BaseException) -> Any:
        crossing = Crossing()
        try:
            arguments = [self.write(argument, crossing) for argument in error.args]
        except Exception:
            arguments = []
        kind = type(error)
        own = self.write(kind, Crossing())
        return [_ancestry(kind), own, arguments, said(error), why_refused(error)]

    def _read_error(self, data: Any, crossing: Crossing) -> BaseException:
        match data:
            case [list(ancestry), own, list(parts), str(text), str() | None as refused]:
                pass
            case _:
                raise Broken("no error")
        scope = Crossing()
        arguments = [self.read(part, scope) for part in parts]
        kind = self.read(own, scope)
        if not (isinstance(kind, type) and issubclass(kind, BaseException)):
            kind = next((e for e in map(_builtin_error, ancestry) if e is not None), Exception)
        if issubclass(kind, NOT_THROUGH):
            kind, arguments = RuntimeError, [text[:KEPT]]
        try:
            error = kind(*arguments)
        except Exception:
            error = RuntimeError(text[:KEPT])
        error.ctm_refused = refused
        return error

    # What may be done with a Remote; a judge is warier

    def operate(self, name: str, *operands: Any) -> Any:
        return self.ask("operate", name, *operands)

    def attribute(self, remote: Remote, name: str) -> Any:
        return self.ask("get", remote, name)

    def equal(self, remote: Remote, other: Any) -> Any:
        return self.operate("eq", remote, other)

    def contains(self, remote: Remote, item: Any) -> Any:
        return self.operate("contains", remote, item)

    def call(self, target: Any, arguments: tuple[Any, ...], named: dict[str, Any]) -> Any:
        return self.ask("call", target, arguments, named)


def said(error: BaseException) -> str:
    """An error in a line, whatever its own text does."""
    try:
        return f"{type(error).__name__}: {error}"[:KEPT]
    except Exception:
        return type(error).__name__


def why_refused(error: BaseException) -> str | None:
    """What a limit kept a program from, if the error tells; an error of memory tells through others."""
    told = getattr(error, "ctm_refused", None)
    if isinstance(told, str):
        return told
    chain: list[BaseException | None] = [error]
    while chain and len(chain) < 50:
        one = chain.pop()
        if one is None:
            continue
        if isinstance(one, MemoryError):
            return str(one) if isinstance(one, TooLarge) else "memory"
        chain += [one.__cause__, one.__context__]
    if isinstance(error, OSError) and error.errno in WANTED_MORE:
        return said(error)
    if isinstance(error, RuntimeError) and "start new thread" in said(error):
        return said(error)
    return None


def _overrides(kind: type, name: str) -> bool:
    """Whether a class made in Python has its own `name`."""
    own = next((vars(a)[name] for a in type.mro(kind) if name in vars(a)), None)
    return hasattr(own, "__code__")


def _ancestry(kind: type) -> list[str]:
    return [str(ancestor.__name__) for ancestor in type.mro(kind)]


def _builtin_error(name: Any) -> type[BaseException] | None:
    found = getattr(builtins, name, None) if type(name) is str else None
    return found if isinstance(found, type) and issubclass(found, BaseException) else None


def _read(descriptor: int, count: int) -> bytes:
    data = os.read(descriptor, count)
    if not data:
        raise Gone
    return data
