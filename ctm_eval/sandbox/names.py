"""The names that tests see: their own, then those of the program, and what is the judge's own."""

import ast
import builtins
import contextlib
import importlib
from typing import Any

from ctm_eval.sandbox.channel import Channel
from ctm_eval.sandbox.remotes import RemoteCallable
from ctm_eval.sandbox.values import MODULES

HELPERS = {
    **dict.fromkeys("isclose isnan isinf fabs".split(), "math"),
    **dict.fromkeys("Counter OrderedDict defaultdict deque".split(), "collections"),
    **dict.fromkeys("copy deepcopy".split(), "copy"),
    "Fraction": "fractions",
    "Decimal": "decimal",
}
"""Names that tests use without an import, where the program imported them."""


class Names(dict[str, Any]):
    """The names that tests see: their own first, then those of the program."""

    def __init__(self, judge: Channel) -> None:
        super().__init__(__name__="__main__")
        self._judge = judge
        self._theirs: set[str] = set()
        self._defined: dict[str, Any] = {}  # functions and classes, which need not be asked for

    def wanted(self, tests: list[str]) -> list[str]:
        """The names that tests read and do not bind themselves."""
        nodes: list[ast.AST] = []
        for test in tests:
            with contextlib.suppress(SyntaxError, ValueError):  # told when it is run
                nodes += ast.walk(ast.parse(test))
        names = [node for node in nodes if isinstance(node, ast.Name)]
        bound = {node.id for node in names if not isinstance(node.ctx, ast.Load)}
        bound |= {node.arg for node in nodes if isinstance(node, ast.arg)}
        bound |= {n.name for n in nodes if isinstance(n, ast.FunctionDef | ast.ClassDef)}
        return sorted({node.id for node in names if node.id not in bound})

    def offer(self, theirs: list[Any], values: dict[Any, Any], wanted: list[str]) -> None:
        """Lets tests see the program's names. A builtin, a module or a helper that they use is not the
        program's, unless that is the only thing of the program which they name: the task then asks for
        a function of this name.
        """
        names = {name for name in theirs if type(name) is str and not name.startswith("__")}
        common = vars(builtins).keys() | HELPERS.keys() | MODULES
        both = names.intersection(wanted)
        self._theirs = names - common
        if not both - common:
            self._theirs |= (both - MODULES) or both
        for name in both:
            if name in self._theirs:
                if isinstance(values.get(name), RemoteCallable | type):
                    self._defined[name] = values[name]
            elif name in HELPERS or name in MODULES:  # the judge's own
                module = importlib.import_module(HELPERS.get(name, name))
                self[name] = getattr(module, name) if name in HELPERS else module

    def __missing__(self, name: str) -> Any:
        if name not in self._theirs:
            raise KeyError(name)
        if name in self._defined:
            return self._defined[name]
        return self._judge.ask("name", name)
