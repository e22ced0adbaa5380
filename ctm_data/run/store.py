"""The run folder: Parquet parts written atomically, and what is done read off their own keys.

RUN/manifest.json               schema version, recipe, versions; at the end the parts' hashes
RUN/README.md                   the card, which makes the folder a Hub dataset
RUN/TABLE/part-00003.parquet    the rows of the work units of chunk 3
RUN/set-aside/                  truncated and foreign files, never read
"""

import fcntl
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ctm_data.run.files import atomic_write, explained, sha256, sync_folder
from ctm_data.run.schema import KEYS, SCHEMA_VERSION, SCHEMAS, TABLES, filled, to_table
from ctm_eval.errors import CtmError

MANIFEST = "manifest.json"
PACKAGES = ("ctm", "torch", "transformers", "pyarrow")
PART = re.compile(r"part-(\d{5})\.parquet")


class Store:
    """An open run folder. Use `Store.open`, which holds the folder's lock, or `Store(folder)` to read."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.set_aside: list[str] = []
        if not is_run_folder(folder):
            raise CtmError(f"{folder} is not a run folder: it has no {MANIFEST}", usage=True)
        try:
            self.manifest: dict[str, Any] = json.loads((self.folder / MANIFEST).read_text())
        except ValueError as error:
            raise CtmError(f"{self.folder / MANIFEST} is not JSON: {error}") from error

    @classmethod
    @contextmanager
    def open(
        cls,
        folder: str | Path,
        recipe: Mapping[str, Any],
        shard: tuple[int, int] | None = None,
    ) -> Iterator["Store"]:
        """Opens `folder` for writing under `recipe`, new or to be finished.

        Raises CtmError if it belongs to another recipe (the difference is printed), holds other
        files, or another process is writing to it.
        """
        folder = Path(folder)
        if folder.exists() and not folder.is_dir():
            raise CtmError(f"{folder} is a file; give a folder as --output-dir", usage=True)
        new = not is_run_folder(folder)
        if new and folder.exists() and any(name != ".lock" for name in os.listdir(folder)):
            raise CtmError(
                f"{folder} is not empty and not a run folder; give another --output-dir", usage=True
            )
        with explained(folder):
            folder.mkdir(parents=True, exist_ok=True)
            lock = os.open(folder / ".lock", os.O_CREAT | os.O_RDWR)
        try:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise CtmError(f"another process is writing to {folder}") from None
            described = {
                "schema_version": SCHEMA_VERSION,
                "recipe": dict(recipe),
                "versions": {package: version(package) for package in PACKAGES},
            }
            if shard:
                described["shard"] = list(shard)
            if new:
                atomic_write(folder / MANIFEST, _as_json(described))
            store = cls(folder)
            store._refuse_other(described)
            store._tidy()
            yield store
        finally:
            os.close(lock)

    def parts(self, table: str) -> list[Path]:
        """The parts of a table in their order."""
        folder = self.folder / table
        return sorted(path for path in folder.glob("*.parquet") if PART.fullmatch(path.name))

    def read(self, table: str, columns: list[str] | None = None) -> pa.Table:
        """All rows of a table, in the order of its parts; empty if it has none.

        Raises CtmError naming a part that cannot be read.
        """
        empty = SCHEMAS[table].empty_table()
        tables = [*self.each(table, columns), empty.select(columns) if columns else empty]
        return pa.concat_tables(tables)

    def each(self, table: str, columns: list[str] | None = None) -> Iterator[pa.Table]:
        """The parts of a table one by one, for tables that do not fit the memory."""
        for path in self.parts(table):
            yield _read_part(path, table, columns)

    def rows(self, table: str, chunk: int) -> list[dict[str, Any]]:
        """The rows of a chunk's part."""
        return _read_part(self.path(table, chunk), table, None).to_pylist()

    def chunks(self, table: str) -> list[int]:
        """The numbers of the chunks that a table has parts of, in their order."""
        return [int(path.stem.removeprefix("part-")) for path in self.parts(table)]

    def done(self, table: str, chunk: int) -> set[tuple[Any, ...]]:
        """The keys of the rows that are there of a chunk."""
        path = self.path(table, chunk)
        if not path.exists():
            return set()
        keys = _read_part(path, table, list(KEYS[table]))
        return set(zip(*(column.to_pylist() for column in keys.columns), strict=True))

    def path(self, table: str, chunk: int) -> Path:
        """Where the part of a chunk is."""
        return self.folder / table / f"part-{chunk:05d}.parquet"

    def write(self, table: str, chunk: int, rows: Iterable[Mapping[str, Any]]) -> None:
        """Writes the part of a chunk, whole or not at all. There must be rows: `datasets` cannot open
        a part without any."""
        path = self.path(table, chunk)
        arrow = to_table(table, rows)
        with explained(self.folder):
            path.parent.mkdir(exist_ok=True)
            partial = path.with_name(f".{path.name}.partial")
            try:
                with partial.open("wb") as file:
                    pq.write_table(arrow, file, compression="zstd", write_page_checksum=True)
                    file.flush()
                    os.fsync(file.fileno())
                os.replace(partial, path)
                sync_folder(path.parent)
            except OSError:
                partial.unlink(missing_ok=True)
                raise

    def add(self, table: str, chunk: int, rows: Iterable[Mapping[str, Any]]) -> None:
        """Writes the part of a chunk anew with these rows at its end; rows of the same keys are gone."""
        new = {tuple(row[key] for key in KEYS[table]): row for row in rows}
        before = self.rows(table, chunk) if self.path(table, chunk).exists() else []
        kept = [row for row in before if tuple(row[key] for key in KEYS[table]) not in new]
        self.write(table, chunk, [*kept, *new.values()])

    def write_text(self, name: str, text: str) -> None:
        """Writes a file beside the tables, whole or not at all."""
        with explained(self.folder):
            atomic_write(self.folder / name, text)

    def finish(self, card: str) -> None:
        """Writes the card and the manifest with a SHA-256 for every part."""
        with explained(self.folder):
            atomic_write(self.folder / "README.md", card)
            parts = {
                str(path.relative_to(self.folder)): sha256(path)
                for table in SCHEMAS
                for path in self.parts(table)
            }
            self.manifest["parts"] = parts
            atomic_write(self.folder / MANIFEST, _as_json(self.manifest))

    def _refuse_other(self, described: Mapping[str, Any]) -> None:
        version = self.manifest.get("schema_version")
        if version != described["schema_version"]:
            raise CtmError(
                f"{self.folder} has schema version {version}, and this ctm writes "
                f"{described['schema_version']}: it can be read, not gone on with; give another "
                "--output-dir",
                usage=True,
            )
        for field in ("shard",):
            if self.manifest.get(field) != described.get(field):
                raise CtmError(
                    f"{self.folder} was made with {field} {self.manifest.get(field)}, not "
                    f"{described.get(field)}; give another --output-dir",
                    usage=True,
                )
        old, new = self.manifest["recipe"], described["recipe"]
        changed = [
            f"{name}: {old.get(name)!r} there, {new.get(name)!r} here"
            for name in sorted({*old, *new})
            if old.get(name) != new.get(name)
        ]
        if changed:
            raise CtmError(
                f"{self.folder} belongs to another recipe ({'; '.join(changed)}); give the same "
                "options to go on with it, or another --output-dir",
                usage=True,
            )

    def _tidy(self) -> None:
        """Sets aside what is not a whole part of ours, and removes what a kill left half-written."""
        for table in SCHEMAS:
            for path in sorted((self.folder / table).glob("*")):
                if path.name.startswith(".") and path.name.endswith(".partial"):
                    path.unlink()
                elif not PART.fullmatch(path.name) or not is_whole(path, SCHEMAS[table]):
                    aside = self.folder / "set-aside"
                    aside.mkdir(exist_ok=True)
                    target = aside / f"{table}-{path.name}"
                    while target.exists():
                        target = target.with_name(target.name + "~")
                    os.replace(path, target)
                    self.set_aside.append(str(path.relative_to(self.folder)))


def is_run_folder(folder: str | Path) -> bool:
    """Whether a run was begun in `folder`."""
    return (Path(folder) / MANIFEST).is_file()


def _read_part(path: Path, table: str, columns: list[str] | None) -> pa.Table:
    later = {column.name for column in TABLES[table].columns if column.since > 1}
    try:
        there = columns
        if columns is not None and later & {*columns}:
            names = set(pq.read_schema(path).names)
            there = [name for name in columns if name in names or name not in later]
        return filled(pq.read_table(path, columns=there, partitioning=None), table, columns)
    except (OSError, pa.ArrowException) as error:
        raise CtmError(
            f"{path} cannot be read ({error}); run the command that wrote it again, which sets the "
            "part aside and makes it anew"
        ) from error


def is_whole(path: Path, schema: pa.Schema) -> bool:
    """Whether a file is a Parquet file of `schema` whose every page can be read."""
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            if not file.schema_arrow.equals(schema):
                return False
            file.read()
    except (OSError, pa.ArrowException):
        return False
    return True


def _as_json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"
