"""The house rules: imports run downwards and never in a circle, and importing stays light."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FLOOR = {"cli": 3, "ctm_data": 2, "ctm_train": 1, "ctm_eval": 1, "cards": 0}
FOLDER_OF = {"ctm_cli": "cli", "ctm_cards": "cards"}
# Within ctm_data: the folders of the machinery, then the configurations, then a file for each command.
FLOOR_OF_DATA = {
    "run": 1,
    "estimator": 1,
    "options": 1,
    "config": 2,
    "sql": 2,
    "formats": 2,
    "stages": 3,
    "pages": 3,
}
COMMANDS = 4


def modules(folder: str) -> dict[str, Path]:
    """The modules of a folder by their dotted names, the folder's own name in front."""
    found = {}
    for path in (ROOT / folder).rglob("*.py"):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = {name: path for folder in FLOOR for name, path in modules(folder).items()}


def imported(path: Path) -> Iterator[str]:
    """Our own modules that a file imports, at its top or inside a function."""
    for node in ast.walk(ast.parse(path.read_text())):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import hides where it leads"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        for name in names:
            top, _, rest = name.partition(".")
            name = ".".join(filter(None, (FOLDER_OF.get(top, top), rest)))
            known = name if name in MODULES else name.rpartition(".")[0]
            if known in MODULES:
                yield known


GRAPH = {name: set(imported(path)) - {name} for name, path in MODULES.items()}


def floor(name: str) -> tuple[int, int]:
    """A module's floor in the house, and within ctm_data its floor there."""
    folder, _, rest = name.partition(".")
    inner = FLOOR_OF_DATA.get(rest.partition(".")[0], COMMANDS) if folder == "ctm_data" else 0
    return FLOOR[folder], inner


@pytest.mark.parametrize("folder", FLOOR)
def test_imports_run_downwards(folder):
    for name in modules(folder):
        for other in GRAPH[name]:
            if other.partition(".")[0] != folder:
                assert floor(other)[0] < floor(name)[0], f"{name} imports {other}: not below it"


def test_within_ctm_data_too():
    for name in modules("ctm_data"):
        for other in GRAPH[name] & set(modules("ctm_data")) - {"ctm_data"}:
            assert floor(other) <= floor(name), f"{name} imports {other}, which is above it"


def test_no_imports_run_in_a_circle():
    TopologicalSorter(GRAPH).prepare()  # raises CycleError, which names the circle


def loaded_by(statement: str) -> set[str]:
    code = f"import sys; {statement}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize("statement", ["import ctm_data", "import ctm_eval", "import ctm_cli.main"])
def test_importing_loads_nothing_heavy(statement):
    heavy = {"torch", "transformers", "datasets", "pyarrow", "sympy", "scipy", "vllm", "ray"}
    heavy |= {"duckdb", "huggingface_hub", "jinja2", "numpy", "flint"}
    assert not loaded_by(statement) & heavy


def test_every_public_name_leads_to_what_it_names():
    import ctm_data

    for name in ctm_data.__all__:
        assert callable(getattr(ctm_data, name)), name


def test_the_estimator_does_not_load_torch():
    assert "torch" not in loaded_by(
        "import ctm_data.build, ctm_data.estimator.values, ctm_data.estimator.critical"
    )


def auto_loaders(path: Path) -> list[ast.Call]:
    """The calls of a file that let a repository choose the class of what is loaded: Auto… and `kind`."""
    return [
        node
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "from_pretrained"
        and isinstance(node.func.value, ast.Name)
        and (node.func.value.id.startswith("Auto") or node.func.value.id == "kind")
    ]


def refuses_remote_code(call: ast.Call, text: str) -> bool:
    """`trust_remote_code=False` among the arguments, or in the options that are spread over them."""
    return any(
        (
            k.arg == "trust_remote_code"
            and isinstance(k.value, ast.Constant)
            and k.value.value is False
        )
        or (k.arg is None and '"trust_remote_code": False' in text)
        for k in call.keywords
    )


def test_no_loader_runs_the_code_of_a_repository():
    found = 0
    for folder in ("ctm_data", "ctm_train", "ctm_eval", "cli"):
        for path in (ROOT / folder).rglob("*.py"):
            text = path.read_text()
            assert "trust_remote_code=True" not in text, path
            for call in auto_loaders(path):
                found += 1
                assert refuses_remote_code(call, text), f"{path}:{call.lineno}"
    assert found >= 5


def test_every_test_that_the_security_page_names_is_there():
    page = (ROOT / "SECURITY.md").read_text()
    files = set(re.findall(r"`(tests/[\w/]+\.py)`", page))
    code = "".join((ROOT / file).read_text() for file in files)
    names = set(re.findall(r"`(test_\w+)`", page))
    assert len(files) > 10 and len(names) > 10
    assert {name for name in names if f"def {name}(" not in code} == set()
