"""`show`: a wrong solution in the terminal, each token coloured by the chance that it still ends well."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ctm_data.pages.heat_map import heat_map, picture, trajectory
from ctm_data.run.store import Store
from ctm_eval.data_files import writable
from ctm_eval.errors import CtmError
from ctm_eval.output_file import output_file

if TYPE_CHECKING:
    from rich.console import Group


def show(
    run: str | Path,
    solution_id: str | None = None,
    *,
    at: int | None = None,
    width: int = 100,
    colour: bool = True,
) -> "Group":
    """The heat map of a rolled-out solution of the run in a folder: see `ctm_data.pages.heat_map`."""
    return heat_map(Store(run), solution_id, at=at, width=width, colour=colour)


def shown(run: str | Path, solution_id: str | None = None) -> dict[str, Any]:
    """What `show` would show, as data: the row of `rollouts`. Raises CtmError if there is none."""
    return trajectory(Store(run), solution_id)


def write_svg(
    run: str | Path,
    file: str | Path,
    solution_id: str | None = None,
    *,
    at: int | None = None,
    width: int = 96,
) -> None:
    """Writes the heat map to `file` as an SVG, whole or not at all. Raises CtmError."""
    if Path(file).suffix not in ("", ".svg"):
        raise CtmError(f"{file} would be SVG: give a name that ends with .svg", usage=True)
    writable(file)
    svg = picture(Store(run), solution_id, at=at, width=width)
    with output_file(file) as out:
        out.write(svg.encode())
