"""`runs`: the run folders below a folder, and what each holds."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ctm_data.run.manifest import MANIFEST
from ctm_data.run.schema import SCHEMAS
from ctm_data.run.store import Store
from ctm_eval.errors import CtmError

DEEP = 3  # folders below the one that is asked about


@dataclass(frozen=True)
class RunListing:
    """A run folder: what made it, its rows by table, its size in bytes.

    `finished` says that the manifest lists its parts. A folder that cannot be read has a `fault`.
    """

    run: str
    kind: str
    model: str
    benchmark: str
    rows: dict[str, int]
    size: int
    finished: bool
    fault: str | None = None


def list_runs(folder: str | Path = "runs") -> list[RunListing]:
    """The runs in `folder` and below it, by name; `folder` itself may be one.

    Rows are counted from the footers of the parts, so this is fast for large runs. Raises CtmError if
    there is no such folder.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise CtmError(
            f"{folder} is {'a file' if folder.exists() else 'not there'}: give a folder that holds runs, "
            "or make a run with `ctm build-dataset`",
            usage=True,
        )
    return [_listing(run) for run in sorted(run_folders(folder))]


def run_folders(folder: Path, deep: int = DEEP) -> Iterator[Path]:
    """The run folders in `folder` and a few folders below it."""
    if (folder / MANIFEST).is_file():
        yield folder
    elif deep:
        try:
            inside = [path for path in folder.iterdir() if path.is_dir() and path.name[0] != "."]
        except OSError:
            return
        for path in inside:
            yield from run_folders(path, deep - 1)


def _rows(part: Path) -> int:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return int(pq.read_metadata(part).num_rows)
    except (OSError, pa.ArrowException) as error:
        raise CtmError(f"{part} cannot be read; `ctm verify` says more") from error


def _listing(run: Path) -> RunListing:
    size = sum(path.stat().st_size for path in run.rglob("*") if path.is_file())
    rows: dict[str, int] = {}
    try:
        store = Store(run)
        for table in SCHEMAS:
            if parts := store.parts(table):
                rows[table] = sum(_rows(part) for part in parts)
    except CtmError as error:
        fault = (str(error).splitlines() or [type(error).__name__])[0]
        return RunListing(str(run), "damaged", "", "", rows, size, False, fault)
    recipe = store.manifest["recipe"]
    return RunListing(
        run=str(run),
        kind=_kind(recipe, rows),
        model=_text(recipe.get("model")),
        benchmark=_text(recipe.get("benchmark")),
        rows=rows,
        size=size,
        finished=bool(store.manifest.get("parts")),
    )


def _kind(recipe: dict[str, Any], rows: dict[str, int]) -> str:
    if recipe.get("command") == "eval":
        return "evaluation"
    return "verifier data" if "verifier" in rows else "dataset"


def _text(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value or "")
