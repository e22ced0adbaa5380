"""The house rules: imports run downwards, and importing stays light."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FLOOR = {"cli": 3, "ctm_data": 2, "ctm_train": 1, "ctm_eval": 1, "cards": 0}
FOLDER_OF = {"ctm_cli": "cli", "ctm_cards": "cards"}


def imported_folders(path: Path) -> set[str]:
    """The folders of ours that a file imports, at its top or inside a function."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import hides where it leads"
            names.add(node.module or "")
    tops = {name.split(".")[0] for name in names}
    return {FOLDER_OF.get(top, top) for top in tops} & set(FLOOR)


@pytest.mark.parametrize("folder", FLOOR)
def test_imports_run_downwards(folder):
    for path in (ROOT / folder).rglob("*.py"):
        for other in imported_folders(path) - {folder}:
            assert FLOOR[other] < FLOOR[folder], f"{path} imports {other}, which is not below it"


def loaded_by(statement: str) -> set[str]:
    code = f"import sys; {statement}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize("statement", ["import ctm_data", "import ctm_eval", "import ctm_cli.main"])
def test_importing_loads_nothing_heavy(statement):
    heavy = {"torch", "transformers", "datasets", "pyarrow", "sympy", "scipy", "vllm", "ray"}
    heavy |= {"duckdb", "huggingface_hub", "jinja2"}
    assert not loaded_by(statement) & heavy


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
