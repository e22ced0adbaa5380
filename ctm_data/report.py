"""`report`: a run as one HTML page that opens offline."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ctm_data.figures import figures, overview
from ctm_data.pages.contents import Contents
from ctm_data.pages.evaluation import paired
from ctm_data.pages.html import page
from ctm_data.query import connect
from ctm_data.run.store import Store
from ctm_eval.data_files import writable
from ctm_eval.errors import CtmError
from ctm_eval.output_file import output_file

BATCH = 200  # entries whose rows are held at a time


def report(
    run: str | Path, file: str | Path, *, limit: int = 5000, compare: str | Path | None = None
) -> int:
    """Writes the page of a run folder to `file`, whole or not at all; returns its size in bytes.

    It shows the `limit` trajectories whose critical tokens cost most, or as many problems of an evaluation,
    those with the fewest right samples. With `compare`, another run: the problems that both have, from
    `compare` to `run`. Raises CtmError.
    """
    if limit < 1:
        raise CtmError(f"--limit must be 1 or more, not {limit}", usage=True)
    if Path(file).suffix not in ("", ".html", ".htm"):
        raise CtmError(
            f"{file} would be HTML: give a name that ends with .html (a browser prints it as PDF)",
            usage=True,
        )
    writable(file)
    content = whole_page(run, limit=limit, compare=compare).encode()
    with output_file(file) as out:
        out.write(content)
    return len(content)


def whole_page(run: str | Path, *, limit: int = 5000, compare: str | Path | None = None) -> str:
    """The page with all its data. Raises CtmError."""
    stores = opened(run, compare)
    with connect(*(store.folder for store in stores)) as con:
        contents = Contents(con, *stores, limit=limit)
        lists = {name: contents.listed(name)["entries"] for name in contents.lists}
        parts = {"lists": lists, "overview": overview(con, *stores)}
        return page(contents.described(), parts, _rows(contents, lists))


def write_figures(
    run: str | Path, folder: str | Path, *, compare: str | Path | None = None
) -> list[str]:
    """Writes the figures of a run, or of two, into a folder. Returns the names of the files.

    For each a CSV with its numbers, and pictures as SVG and PNG for a column and for a page of a paper.
    Raises CtmError.
    """
    from ctm_data.pages.drawing import write

    stores = opened(run, compare)
    with connect(*(store.folder for store in stores)) as con:
        return write(figures(con, *stores), Path(folder))


def opened(run: str | Path, compare: str | Path | None) -> list[Store]:
    """The run, or the one to compare with and the run. Raises CtmError if they cannot be compared."""
    if compare is None:
        return [Store(run)]
    stores = [Store(compare), Store(run)]
    if stores[0].folder.resolve() == stores[1].folder.resolve():
        raise CtmError(f"--compare wants another run, and {compare} is the same one", usage=True)
    paired(*(store.folder for store in stores))  # says why they cannot be compared
    return stores


def _rows(contents: Contents, lists: dict[str, list[dict[str, Any]]]) -> Iterator[Any]:
    """All that is shown of entries, some read at a time. Each entry is told which `row` is its own."""
    number = 0
    for name, entries in lists.items():
        stored = sorted(entries, key=lambda entry: str(entry["id"]))  # about as the parts have them
        for start in range(0, len(stored), BATCH):
            some = stored[start : start + BATCH]
            found = contents.whole(name, [entry["id"] for entry in some])
            for entry in some:
                entry["row"] = number
                number += 1
                yield found[entry["id"]]
