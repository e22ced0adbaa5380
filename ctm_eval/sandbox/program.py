"""The judged side: the process of one program. It runs the program and answers what the judge asks.

Nothing here is trusted. The process was forked before anybody read the tests, so their text is nowhere in
its memory; it learns the arguments of each call when the call is made, and never what is expected.
"""

import builtins
import copy
import math
import operator
import os
import sys
from collections.abc import Callable
from types import CodeType, FunctionType, GeneratorType
from typing import Any, ClassVar, NoReturn

from ctm_eval.sandbox.channel import Channel
from ctm_eval.sandbox.remotes import BINARY, ORDER

__builtins__ = dict(vars(builtins))  # type: ignore[assignment]  # a program that replaces them does so for itself

OPERATORS: dict[str, Callable[..., Any]] = {
    **{name: getattr(operator, f"__{name}__") for name in (*BINARY, *ORDER) if name != "divmod"},
    **{name: getattr(operator, name) for name in "eq contains index neg pos invert".split()},
    **{name: getattr(operator, name) for name in "getitem setitem delitem".split()},
    **{name: getattr(builtins, name) for name in "len hash bool str repr abs int float".split()},
    **{
        name: getattr(builtins, name)
        for name in "complex reversed format round iter divmod".split()
    },
    **{name: getattr(math, name) for name in "ceil floor trunc".split()},
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
}


OUT_OF_MEMORY = 102  # the process's exit code
DEFINED = (FunctionType, type)
IMPORTED = "program"  # the name of a module whose functions are tested


class Judged(Channel):
    """The program's end of the conversation."""

    main: Any = None
    output: Any = None

    def before_sending(self) -> None:
        try:
            self.output.flush()
        except Exception:
            self.output = None

    def do_run(self, code: str, tested: bool, wanted: list[str]) -> dict[str, Any]:
        """Runs the program, as `__main__` if there are no tests. Returns its names, the functions and
        classes among those `wanted`, the names that it lacks, and what is odd."""
        try:
            part = compile(code, "program.py", "exec", dont_inherit=True)
        except (SyntaxError, ValueError) as error:
            return {"unparsed": f"{type(error).__name__}: {error}"}
        if (
            tested
        ):  # as MBPP's and HumanEval's harnesses do: what a script would do is not asked for
            self.main.__name__ = IMPORTED
            sys.modules[IMPORTED] = self.main
        ours = dict(vars(builtins))
        try:
            exec(part, self.main.__dict__)
        except SystemExit as error:
            if tested or error.code not in (None, 0):
                raise
        own = self.main.__dict__
        names = [name for name in own if isinstance(name, str)]
        common = vars(builtins)
        return {
            "names": names,
            "values": {name: own[name] for name in wanted if isinstance(own.get(name), DEFINED)},
            "lacks": list(_read(part) - own.keys() - common.keys()) if tested else [],
            "odd": [name for name, value in ours.items() if common.get(name) is not value],
        }

    def do_name(self, name: str) -> Any:
        return self.main.__dict__[name]

    def do_bind(self, name: str, value: Any) -> None:
        self.main.__dict__.setdefault(name, value)

    def do_call(
        self,
        target: Any,
        arguments: tuple[Any, ...],
        named: dict[str, Any],
        streams: dict[str, Any] | None = None,
    ) -> Any:
        if not streams:
            return target(*arguments, **named)
        kept = sys.stdin, sys.stdout, builtins.input
        sys.stdin, sys.stdout = streams.get("stdin", kept[0]), streams.get("stdout", kept[1])
        builtins.input = streams.get("input", kept[2])
        try:
            return target(*arguments, **named)
        finally:
            sys.stdin, sys.stdout, builtins.input = kept

    def do_method(
        self, target: Any, name: str, arguments: tuple[Any, ...], named: dict[str, Any]
    ) -> Any:
        return getattr(target, name)(*arguments, **named)

    def do_get(self, target: Any, name: str) -> Any:
        return getattr(target, name)

    def do_set(self, target: Any, name: str, value: Any) -> None:
        setattr(target, name, value)

    def do_delete(self, target: Any, name: str) -> None:
        delattr(target, name)

    def do_step(self, target: Any, sent: Any = None) -> tuple[Any, ...]:
        try:
            if sent is not None and isinstance(target, GeneratorType):
                return (target.send(sent),)
            return (next(target),)
        except StopIteration:
            return ()

    def do_complete(self, target: Any) -> Any:
        import asyncio

        return asyncio.run(target)

    def do_apply(self, name: str, *operands: Any) -> Any:
        return OPERATORS[name](*operands)

    def do_check(self, value: Any, kind: Any) -> bool:
        return isinstance(value, kind)

    def do_content(self, value: Any) -> dict[str, Any]:
        """The attributes of an object, for a second look at an equality."""
        return {str(k): v for k, v in getattr(value, "__dict__", {}).items()}

    handlers: ClassVar[dict[str, Callable[..., Any]]] = {
        "run": do_run,
        "name": do_name,
        "bind": do_bind,
        "call": do_call,
        "method": do_method,
        "get": do_get,
        "set": do_set,
        "delete": do_delete,
        "next": do_step,
        "complete": do_complete,
        "operate": do_apply,
        "isinstance": do_check,
        "content": do_content,
    }


def serve(reader: int, writer: int, libraries: list[str]) -> NoReturn:
    """Runs one program and answers its judge. Never returns."""
    try:
        sys.path[:] = [path for path in sys.path if path.startswith(sys.base_prefix)] + libraries
        sys.modules["random"].seed(0)
        channel = Judged(reader, writer)
        channel.output = open(1, "w", encoding="utf-8", errors="replace", closefd=False)  # noqa: SIM115
        sys.stdout = channel.output
        channel.main = sys.modules["__main__"] = type(sys)("__main__")
        channel.main.__builtins__ = builtins
        channel.answer_all()
    except MemoryError:  # not even this could be told
        os._exit(OUT_OF_MEMORY)
    except BaseException:
        os._exit(0)
    os._exit(0)


def _read(part: CodeType) -> set[str]:
    """The names in a piece of code, those of attributes among them."""
    inner = [_read(const) for const in part.co_consts if isinstance(const, CodeType)]
    return set(part.co_names).union(*inner)
