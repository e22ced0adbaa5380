"""Stand-ins for what stays with the other side: every use of one is asked of its channel."""

import builtins
from collections.abc import Callable, Generator
from typing import Any

__builtins__ = dict(vars(builtins))  # type: ignore[assignment]  # a program that replaces them does so for itself


class Remote:
    """An object of the other side. What is done with it is asked of the other side."""

    __slots__ = ("_ctm_can", "_ctm_channel", "_ctm_made", "_ctm_number", "_ctm_told")

    def __init__(self, channel: Any, number: int, can: str) -> None:
        put = object.__setattr__
        put(self, "_ctm_channel", channel)
        put(self, "_ctm_number", number)
        put(self, "_ctm_can", can)
        put(self, "_ctm_made", False)  # by the call of a class, or by what was
        put(self, "_ctm_told", False)  # it knows a value of the tests through an operator

    def __getattr__(self, name: str) -> Any:
        return self._ctm_channel.attribute(self, name)

    def __setattr__(self, name: str, value: Any) -> None:
        self._ctm_channel.ask("set", self, name, value)

    def __delattr__(self, name: str) -> None:
        self._ctm_channel.ask("delete", self, name)

    def __eq__(self, other: object) -> Any:
        return self._ctm_channel.equal(self, other)

    def __ne__(self, other: object) -> Any:
        equal = self._ctm_channel.equal(self, other)
        return equal if equal is NotImplemented else not equal

    def __contains__(self, item: object) -> Any:
        return self._ctm_channel.contains(self, item)

    def __next__(self) -> Any:
        found = self._ctm_channel.ask("next", self)
        if not found:
            raise StopIteration
        return found[0]

    def __iter__(self) -> Any:
        found = self._ctm_channel.operate("iter", self)
        return iter(found) if not isinstance(found, Remote) else found

    def __enter__(self) -> Any:
        return self.__getattr__("__enter__")()

    def __exit__(self, kind: Any, error: Any, trace: Any) -> bool:
        done = self.__getattr__("__exit__")(kind, error, None)
        return bool(done) and not isinstance(error, AssertionError)  # a test's failure stands

    def __instancecheck__(self, value: object) -> bool:
        if not isinstance(value, Remote) and not hasattr(value, "_ctm_remote"):
            return False
        return bool(self._ctm_channel.ask("isinstance", value, self))

    def __copy__(self) -> Any:
        return self._ctm_channel.operate("copy", self)

    def __deepcopy__(self, memo: Any) -> Any:
        return self._ctm_channel.operate("deepcopy", self)

    def __reduce_ex__(self, protocol: Any) -> Any:
        raise TypeError("an object of the program cannot be pickled")


class RemoteCallable(Remote):
    """A function or class of the other side, or an object that can be called."""

    __slots__ = ()

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        return self._ctm_channel.call(self, arguments, named)


BINARY = "add sub mul truediv floordiv mod pow matmul and or xor lshift rshift divmod".split()
ORDER = "lt le gt ge".split()
ONE = "len hash bool str repr abs int float complex index neg pos invert reversed ceil floor trunc".split()
ITEMS = "getitem setitem delitem format round".split()


def _method(name: str, swapped: bool = False) -> Callable[..., Any]:
    def method(self: Remote, *others: Any) -> Any:
        operands = (*others, self) if swapped else (self, *others)
        return self._ctm_channel.operate(name, *operands)

    return method


for _name in (*BINARY, *ORDER, *ONE, *ITEMS):
    setattr(Remote, f"__{_name}__", _method(_name))
for _name in BINARY:
    setattr(Remote, f"__r{_name}__", _method(_name, swapped=True))


def attribute_of_value(self: Any, name: str) -> Any:
    """What a plain value lacks, its original may have."""
    remote = self.__dict__.get("_ctm_remote")
    if remote is None or name.startswith("__"):
        raise AttributeError(name)
    channel = remote._ctm_channel
    found = channel.ask("get", self, name)
    if isinstance(found, RemoteCallable):  # a method may change it, so it goes along
        return lambda *arguments, **named: channel.ask("method", self, name, arguments, named)
    return found


def local_generator(remote: Remote) -> Generator[Any, Any, Any]:
    """A generator here for one of the other side's."""
    sent = None
    while True:
        found = remote._ctm_channel.ask("next", remote, sent)
        if not found:
            return
        sent = yield found[0]


async def local_coroutine(remote: Remote) -> Any:
    """A coroutine here for one of the other side's, which runs there to its end."""
    return remote._ctm_channel.ask("complete", remote)
