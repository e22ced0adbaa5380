"""`show`: a wrong solution in the terminal, each token coloured by the chance that it still ends well."""

from pathlib import Path
from typing import TYPE_CHECKING

from ctm_data.pages.heat_map import heat_map
from ctm_data.run.store import Store

if TYPE_CHECKING:
    from rich.console import Group


def show(
    run: str | Path, solution_id: str | None = None, *, width: int = 100, colour: bool = True
) -> "Group":
    """The heat map of a rolled-out solution of the run in a folder: see `ctm_data.pages.heat_map`."""
    return heat_map(Store(run), solution_id, width=width, colour=colour)
