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
