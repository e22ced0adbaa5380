"""CHAMP, where the package `champ-dataset` is installed: 270 problems, 540 solutions that humans read.

A solution whose first wrong step was found has its span in characters. The package is MIT-licensed and
no dependency of `ctm`; nothing of it is part of this repository. Only its data file is read.
Source: arXiv 2401.06961.
"""

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ctm_eval.data_files import refuse_irregular
from ctm_eval.errors import CtmError

PACKAGE = "champ-dataset"
DATA = Path("dataset_files", "v0.json")


def champ_problems() -> dict[str, dict[str, Any]]:
    """The problems of CHAMP by their identifiers, in their order. Raises CtmError without the package."""
    spec = find_spec("champ_dataset")
    if spec is None or spec.origin is None:
        raise CtmError(
            f"CHAMP comes with a package of its own: pip install --no-deps {PACKAGE}", usage=True
        )
    path = Path(spec.origin).parent / DATA
    try:
        refuse_irregular(path)
        problems: dict[str, dict[str, Any]] = json.loads(path.read_text("utf-8"))["problems"]
    except (OSError, ValueError, KeyError) as error:
        raise CtmError(
            f"{path} is not what {PACKAGE} 1.0.0 has there; install it again"
        ) from error
    return problems
