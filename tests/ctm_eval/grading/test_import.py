"""Importing grading is cheap, and the first calls need neither sympy nor a process."""

import os
import subprocess
import sys


def run(code: str) -> str:
    compiled = {**os.environ, "PYTHONDONTWRITEBYTECODE": ""}  # as pip leaves an installed package
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=compiled
    )
    return done.stdout.strip()


def test_importing_loads_no_heavy_module():
    heavy = "{'sympy', 'mpmath', 'flint', 'torch', 'numpy', 'pyarrow', 'multiprocessing'}"
    assert run(f"import sys, ctm_eval.grading; print({heavy} & set(sys.modules))") == "set()"


def test_importing_takes_less_than_a_tenth_of_a_second():
    code = "import time; t = time.process_time(); import ctm_eval.grading; print(time.process_time() - t)"
    assert min(float(run(code)) for _ in range(3)) < 0.1


def test_text_and_numbers_are_graded_without_sympy_and_without_a_process():
    code = (
        "import sys; from ctm_eval.grading import grade\n"
        "assert grade('1/2', r'\\boxed{0.5}').correct and grade('east', r'\\boxed{East}').correct\n"
        "print({'sympy', 'mpmath', 'flint', 'subprocess'} & set(sys.modules))"
    )
    assert run(code) == "set()"
