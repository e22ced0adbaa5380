"""The run folder: Parquet parts written atomically, and what is done read off their own keys.

RUN/manifest.json               schema version, recipe, versions; at the end the parts' hashes
RUN/README.md                   the card, which makes the folder a Hub dataset
RUN/TABLE/part-00003.parquet    the rows of the work units of chunk 3
RUN/set-aside/                  truncated, altered and foreign files, never read

A part's Parquet metadata bind it to the recipe and to its place: `ctm.recipe` is a hash of the options that
decide the rows, `ctm.part` is TABLE/part-00003.parquet. Parts from before that are not bound, and valid.
"""

import fcntl
import json
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from ctm_data.run.bucket import refuse_url
from ctm_data.run.files import atomic, atomic_write, copy, explained, refuse_links, sha256
from ctm_data.run.manifest import BESIDE, MANIFEST, PART, read_manifest
from ctm_data.run.recipe import differences, recipe_hash
from ctm_data.run.schema import KEYS, SCHEMA_VERSION, SCHEMAS, fits, to_table
from ctm_eval.data_files import BATCH, bounded_parquet
from ctm_eval.errors import CtmError
from ctm_eval.output_file import partial_of
from ctm_train.record import first_of

if TYPE_CHECKING:
    from ctm_data.run.mirror import Mirror

PACKAGES = ("ctm", "torch", "transformers", "pyarrow")
SET_ASIDE = "set-aside"
RECIPE_KEY, PART_KEY = b"ctm.recipe", b"ctm.part"
Binding = Literal["bound", "not bound", "other"]


class Store:
    """An open run folder. Use `Store.open`, which holds the folder's lock, or `Store(folder)` to read.

    With a `mirror`, the folder is a copy of a run in object storage, and what is written is put there.
    """

    def __init__(self, folder: str | Path, mirror: "Mirror | None" = None) -> None:
        refuse_url(folder)
        self.folder, self._mirror = Path(folder), mirror
        self.name = mirror.url if mirror else str(folder)
        self.set_aside: list[str] = []
        self.on_write: Callable[[str], None] | None = None  # called with the table of a part
        if not is_run_folder(folder):
            if self.folder.is_file():
                raise CtmError(f"{folder} is a file, not a run folder", usage=True)
            if not self.folder.is_dir():
                raise CtmError(f"there is no run folder {folder}", usage=True)
            raise CtmError(f"{folder} is not a run folder: it has no {MANIFEST}", usage=True)
        self.manifest: dict[str, Any] = read_manifest(self.folder)
        self.recipe_hash = recipe_hash(self.manifest["recipe"])
        self._signed = dict(self.manifest.get("parts", {}))

    @classmethod
    @contextmanager
    def open(
        cls,
        folder: str | Path,
        recipe: Mapping[str, Any],
        shard: tuple[int, int] | None = None,
        makes: Collection[str] = tuple(SCHEMAS),
        mirror: "Mirror | None" = None,
    ) -> Iterator["Store"]:
        """Opens `folder` for writing under `recipe`, new or to be finished.

        `makes` names the tables that the caller can make anew: of these a damaged part is set aside, one
        of any other is refused. Raises CtmError if the folder belongs to another recipe (the difference
        is printed), holds other files, or another process is writing to it.
        """
        refuse_url(folder)
        folder = Path(folder)
        if folder.exists() and not folder.is_dir():
            raise CtmError(f"{folder} is a file; give a folder as --output-dir", usage=True)
        _refuse_foreign(folder)
        refuse_links(folder, (".lock", SET_ASIDE, *SCHEMAS))
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
                "versions": _versions(),
            }
            if shard:
                described["shard"] = list(shard)
            if not is_run_folder(folder):
                with explained(folder):
                    atomic_write(folder / MANIFEST, _as_json(described))
                if mirror:
                    mirror.put(folder / MANIFEST)
            store = cls(folder, mirror)
            store._refuse_other(described)
            with explained(folder):
                store._tidy(makes)
            yield store
        finally:
            os.close(lock)

    def parts(self, table: str) -> list[Path]:
        """The parts of a table in their order.

        Raises CtmError if the manifest lists one that is not there: a run that was copied in half is not
        read as a smaller one.
        """
        found = self.present(table)
        listed = {part for part in self._signed if part.startswith(f"{table}/")}
        if gone := listed - {self._name(path) for path in found}:
            raise CtmError(
                f"{self.name}/{min(gone)} is missing, and the manifest lists it: bring the run here "
                "anew, or run the command that made it again"
            )
        return found

    def present(self, table: str) -> list[Path]:
        """The parts of a table that are there, whatever the manifest lists."""
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
            yield _read_part(path, columns)

    def part(self, table: str, chunk: int, columns: list[str]) -> pa.Table:
        """The part of a chunk; empty if there is none."""
        path = self.path(table, chunk)
        return (
            _read_part(path, columns)
            if path.exists()
            else SCHEMAS[table].empty_table().select(columns)
        )

    def rows(
        self, table: str, chunk: int, columns: list[str] | None = None
    ) -> list[dict[str, Any]]:
        """The rows of a chunk's part."""
        return _read_part(self.path(table, chunk), columns).to_pylist()

    def chunks(self, table: str) -> list[int]:
        """The numbers of the chunks that a table has parts of, in their order."""
        return [int(path.stem.removeprefix("part-")) for path in self.parts(table)]

    def done(self, table: str, chunk: int) -> set[tuple[Any, ...]]:
        """The keys of the rows that are there of a chunk."""
        path = self.path(table, chunk)
        if not path.exists():
            return set()
        keys = _read_part(path, list(KEYS[table]))
        return set(zip(*(column.to_pylist() for column in keys.columns), strict=True))

    def path(self, table: str, chunk: int) -> Path:
        """Where the part of a chunk is."""
        return self.folder / table / f"part-{chunk:05d}.parquet"

    def write(self, table: str, chunk: int, rows: Iterable[Mapping[str, Any]]) -> None:
        """Writes the part of a chunk, whole or not at all. There must be rows: `datasets` cannot open
        a part without any."""
        path = self.path(table, chunk)
        arrow = to_table(table, rows).replace_schema_metadata(
            {RECIPE_KEY: self.recipe_hash, PART_KEY: self._name(path)}
        )
        self._unsign(table)
        with explained(self.folder):
            path.parent.mkdir(exist_ok=True)
        self._put(
            path,
            lambda file: pq.write_table(arrow, file, compression="zstd", write_page_checksum=True),
        )
        if self.on_write:
            self.on_write(table)

    def add(self, table: str, chunk: int, rows: Iterable[Mapping[str, Any]]) -> None:
        """Writes the part of a chunk anew with these rows at its end; rows of the same keys are gone."""
        new = {tuple(row[key] for key in KEYS[table]): row for row in rows}
        before = self.rows(table, chunk) if self.path(table, chunk).exists() else []
        kept = [row for row in before if tuple(row[key] for key in KEYS[table]) not in new]
        self.write(table, chunk, [*kept, *new.values()])

    def copy(self, source: Path, part: str, digest: str) -> bool:
        """Copies a part from elsewhere, whole or not at all, if its SHA-256 is `digest`; whether it was."""
        path = self.folder / part
        with explained(self.folder):
            path.parent.mkdir(exist_ok=True)
            copied = copy(source, path, digest)
        if copied and self._mirror:
            self._mirror.put(path)
        return copied

    def write_text(self, name: str, text: str) -> None:
        """Writes a file beside the tables, whole or not at all."""
        self._put(self.folder / name, lambda file: file.write(text.encode("utf-8")))

    def finish(self, card: str) -> None:
        """Writes the card and the manifest with a SHA-256 for every part.

        Raises CtmError if a part that the manifest lists is not there: the run is not what it was.
        """
        parts = {
            self._name(path): sha256(path) for table in SCHEMAS for path in self.present(table)
        }
        for part in self._signed:
            if part.partition("/")[0] in SCHEMAS and part not in parts:
                raise CtmError(f"{self.name}/{part} is gone; run the command that made it again")
        self.write_text("README.md", card)
        self.manifest["parts"] = parts
        self.write_text(MANIFEST, _as_json(self.manifest))
        self._signed = dict(parts)

    def _put(self, path: Path, write: Callable[[BinaryIO], object]) -> None:
        """Lets `write` fill a file of the run, here and then where it is mirrored, each time whole or not
        at all."""
        with explained(self.folder):
            atomic(path, write)
        if self._mirror:
            self._mirror.put(path)

    def _name(self, path: Path) -> str:
        return str(path.relative_to(self.folder))

    def _unsign(self, table: str) -> None:
        """Takes the hashes of a table out of the manifest before the first change to a part of it: a kill
        between the change and the end of the run must not make the new part look altered."""
        if not any(part.startswith(f"{table}/") for part in self._signed):
            return
        self._signed = {
            part: digest
            for part, digest in self._signed.items()
            if not part.startswith(f"{table}/")
        }
        self.manifest["parts"] = dict(self._signed)
        self.write_text(MANIFEST, _as_json(self.manifest))

    def _refuse_other(self, described: Mapping[str, Any]) -> None:
        version = self.manifest.get("schema_version")
        if version != described["schema_version"]:
            raise CtmError(
                f"{self.name} has schema version {version}, and this ctm writes "
                f"{described['schema_version']}: it can be read, not gone on with; give another "
                "--output-dir",
                usage=True,
            )
        for field in ("shard",):
            if self.manifest.get(field) != described.get(field):
                raise CtmError(
                    f"{self.name} was made with {field} {self.manifest.get(field)}, not "
                    f"{described.get(field)}; give another --output-dir",
                    usage=True,
                )
        kinds = [
            "an evaluation" if one.get("command") == "eval" else "a dataset"
            for one in (self.manifest["recipe"], described["recipe"])
        ]
        if kinds[0] != kinds[1]:
            raise CtmError(
                f"{self.name} holds {kinds[0]}, not {kinds[1]}; give another --output-dir",
                usage=True,
            )
        changed = differences(self.manifest["recipe"], described["recipe"])
        if changed:
            raise CtmError(
                f"{self.name} belongs to another recipe ({first_of(changed)}); give the same "
                "options to go on with it, or another --output-dir",
                usage=True,
            )

    def _tidy(self, makes: Collection[str]) -> None:
        """Removes what a kill left half-written, and sets aside what is not a whole part of ours."""
        for name in BESIDE:
            partial_of(self.folder / name).unlink(missing_ok=True)
        for table in SCHEMAS:
            for path in sorted((self.folder / table).glob("*")):
                if path.name.startswith(".") and path.name.endswith(".partial"):
                    path.unlink()
                    continue
                fault = self.fault(path, table)
                if fault is None:
                    continue
                if table not in makes:
                    raise CtmError(
                        f"{self.name}/{self._name(path)} {fault}; run the command that made it again first"
                    )
                aside = self.folder / SET_ASIDE
                aside.mkdir(exist_ok=True)
                target = aside / f"{table}-{path.name}"
                while target.exists():
                    target = target.with_name(target.name + "~")
                os.replace(path, target)
                if self._mirror:
                    self._mirror.moved(path, target)
                self.set_aside.append(self._name(path))

    def fault(self, path: Path, table: str) -> str | None:
        """Why a file in a table's folder is no part of this run; None if it is one."""
        if PART.fullmatch(path.name) is None:
            return f"is no part of {table}"
        if not is_whole(path, table):
            return f"cannot be read as a part of {table}"
        signed = self._signed.get(self._name(path))
        if signed is not None and sha256(path) != signed:
            return "is not the part that the manifest lists: its SHA-256 is another"
        if self.binding(path) == "other":
            return "was made for another place or by another recipe"
        return None

    def binding(self, path: Path) -> Binding:
        """Whether a whole part says that it is of this recipe and of this place, or of others."""
        said = pq.read_schema(path).metadata or {}
        if RECIPE_KEY not in said:
            return "not bound"
        own = {RECIPE_KEY: self.recipe_hash, PART_KEY: self._name(path)}
        return "bound" if all(said.get(k) == v.encode() for k, v in own.items()) else "other"


def _versions() -> dict[str, str]:
    """The versions of the packages that make rows, as far as they are installed."""
    found = {}
    for package in PACKAGES:
        with suppress(PackageNotFoundError):
            found[package] = version(package)
    return found


def is_run_folder(folder: str | Path) -> bool:
    """Whether a run was begun in `folder`."""
    return (Path(folder) / MANIFEST).is_file()


def _refuse_foreign(folder: Path) -> None:
    """Refuses a folder with anything but a run, or what a kill left of the first moments of one."""
    if is_run_folder(folder) or not folder.exists():
        return
    ours = {".lock", partial_of(folder / MANIFEST).name}
    with explained(folder):
        names = set(os.listdir(folder))
    if names - ours:
        raise CtmError(
            f"{folder} is not empty and not a run folder; give another --output-dir", usage=True
        )


def _read_part(path: Path, columns: list[str] | None) -> pa.Table:
    """A part in the columns of today's schema: those that an earlier one lacks are null."""
    schema = SCHEMAS[path.parent.name]
    try:
        with bounded_parquet(path) as file:
            there = set(file.schema_arrow.names)
            asked = schema.names if columns is None else columns
            read = file.read([name for name in asked if name in there])
            if not fits(file.schema_arrow, path.parent.name):
                raise pa.ArrowInvalid(f"it is no part of {path.parent.name}")
    except (OSError, ValueError, OverflowError, pa.ArrowException) as error:
        reason = (str(error).splitlines() or ["it is broken"])[0]
        raise CtmError(
            f"{path} cannot be read ({reason}); run the command that wrote it again, which sets the "
            "part aside and makes it anew"
        ) from error
    found = [
        read[name] if name in there else pa.nulls(len(read), schema.field(name).type)
        for name in asked
    ]
    return pa.table(found, schema=pa.schema([schema.field(name) for name in asked]))


def is_whole(path: Path, table: str) -> bool:
    """Whether a file is a part of a table, within bounds, whose every page can be read."""
    try:
        with bounded_parquet(path) as file:
            if not fits(file.schema_arrow, table):
                return False
            for batch in file.iter_batches(BATCH):
                batch.validate(full=True)  # also that texts are UTF-8
    except (OSError, pa.ArrowException, CtmError, ValueError, OverflowError):
        return False
    return True


def _as_json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"
