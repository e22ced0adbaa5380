"""Where tables are read from: a run folder, or a published run on the Hub."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ctm_data.run.bucket import refuse_url
from ctm_eval.errors import CtmError

if TYPE_CHECKING:
    from datasets import Dataset
    from huggingface_hub import HfFileSystem

    from ctm_data.run.store import Store


IN_MEMORY = 2**28
"""A table of a folder whose parts are larger is memory-mapped."""


@dataclass(frozen=True)
class Source:
    """A run: its name, its manifest, the paths of the parts of every table it has, and their bytes."""

    name: str
    manifest: dict[str, Any]
    root: str  # every part is below it
    parts: dict[str, list[str]]
    size: int
    filesystem: "HfFileSystem | None" = None  # of an hf:// source


def load(run: str | Path, table: str, *, revision: str | None = None) -> "Dataset":
    """A table of a run folder or of user/name on the Hub, as a `datasets.Dataset`.

    A folder's is read from its parts as they are now: `load_dataset` keeps a copy of local files by name
    and time, and may give the rows of another run. One whose parts have more than IN_MEMORY bytes, and one
    on the Hub, which is pinned to a commit, are copied to the cache of `datasets` and memory-mapped.
    Raises CtmError if there is no such run or table.
    """
    from datasets import Dataset, load_dataset

    from ctm_data.run.hub_client import ask, is_repo_name
    from ctm_data.run.store import Store

    if not is_repo_name(run):
        refuse_revision(run, revision)
    source = find(run, revision)
    if not source.parts.get(table):
        have = ", ".join(name for name, parts in source.parts.items() if parts)
        raise CtmError(
            f"{source.name} has no table {table!r}; it has: {have or 'none yet'}", usage=True
        )
    if source.filesystem is None:
        store = Store(run)
        if sum(path.stat().st_size for path in store.parts(table)) > IN_MEMORY:
            return Dataset.from_file(str(_arrow_copy(store, table)))
        return Dataset(store.read(table))
    return ask(
        source.name, lambda: load_dataset("parquet", data_files=source.parts[table], split="train")
    )


def _arrow_copy(store: "Store", table: str) -> Path:
    """A table as an Arrow file in the cache of `datasets`, named after the bytes of its parts."""
    import pyarrow as pa
    from datasets import config

    from ctm_data.run.files import sha256
    from ctm_data.run.schema import SCHEMAS
    from ctm_eval.output_file import whole_file

    digests = "".join(sha256(path) for path in store.parts(table))
    name = hashlib.sha256(f"{table} {digests}".encode()).hexdigest()
    copy = Path(config.HF_DATASETS_CACHE) / "ctm" / f"{name}.arrow"
    if not copy.exists():
        copy.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(copy) as file, pa.ipc.new_stream(file, SCHEMAS[table]) as stream:
            for part in store.each(table):
                stream.write_table(part)
    return copy


def find(run: str | Path, revision: str | None = None) -> Source:
    """The run in a folder, or in user/name on the Hub at `revision` (pinned to the commit it is now).

    A name that is a folder here is that folder. Raises CtmError if there is no run.
    """
    from ctm_data.run.hub_client import is_repo_name
    from ctm_data.run.store import Store

    if is_repo_name(run):
        return _on_the_hub(str(run), revision)
    refuse_url(run)
    if not Path(run).is_dir():
        raise CtmError(
            f"there is no run folder {run}; a repository on the Hub is named user/name",
            usage=True,
        )
    from ctm_data.run.schema import SCHEMAS

    store = Store(run)
    parts = {table: [str(path) for path in store.parts(table)] for table in SCHEMAS}
    return Source(
        str(run), store.manifest, f"{store.folder.resolve()}/", parts, size_of_parts(parts)
    )


def refuse_revision(run: str | Path, revision: str | None) -> None:
    """Raises CtmError where a revision was given of what is a folder or a file here."""
    if revision is not None:
        raise CtmError(
            f"--revision is of what is on the Hub, and {run} is here: leave it out", usage=True
        )


def size_of_parts(parts: dict[str, list[str]]) -> int:
    """The bytes of parts that are here."""
    return sum(Path(path).stat().st_size for paths in parts.values() for path in paths)


def _on_the_hub(repo: str, revision: str | None) -> Source:
    from ctm_data.run.hub_client import api, ask, filesystem
    from ctm_data.run.manifest import MANIFEST, parse_manifest, parts_by_table

    info = ask(repo, lambda: api().dataset_info(repo, revision=revision, files_metadata=True))
    root = f"hf://datasets/{repo}@{info.sha}/"
    sizes = {file.rfilename: file.size or 0 for file in info.siblings or []}
    if MANIFEST not in sizes:
        raise CtmError(
            f"{repo} holds no run of ctm (it has no {MANIFEST}); `ctm pull {repo}` can bring down data in "
            "the format of the paper's authors"
        )
    files = filesystem()
    manifest = parse_manifest(
        ask(repo, lambda: files.cat_file(root + MANIFEST)), repo, finished=True
    )
    by_table = parts_by_table(manifest)
    parts = {table: [root + part for part in names] for table, names in by_table.items()}
    size = sum(sizes.get(part, 0) for names in by_table.values() for part in names)
    return Source(repo, manifest, root, parts, size, files)
