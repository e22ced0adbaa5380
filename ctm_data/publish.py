"""`publish`: a finished run becomes a dataset repository of the Hub, a trained model one of its models.

The files travel first, and nobody sees them; one commit then names all of them at once, on top of the
very revision that was looked at. So a reader finds the old dataset or the new one, never a half.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ctm_eval.errors import CtmError
from ctm_eval.progress import Progress, silent

if TYPE_CHECKING:
    from huggingface_hub import CommitOperationAdd

    from ctm_data.run.store import Store

LONGEST = 16 << 20  # bytes of a card or of a training record
LARGEST_PAGE = 15 << 20  # bytes of the page that goes along
SCRATCH = (".", "checkpoint-")  # what a training that was killed may leave beside the model
BATCH = 50  # parts that travel between two words of progress


@dataclass(frozen=True)
class Publication:
    """What was published, or would be: the files and their sizes, the card, where it is now."""

    repo: str
    files: dict[str, int]
    card: str
    revision: str | None = None  # the commit; None for a dry run
    url: str | None = None


def publish(
    run: str | Path,
    repo: str,
    *,
    private: bool = False,
    revision: str | None = None,
    dry_run: bool = False,
    report: bool = True,
    progress: Progress | None = None,
) -> Publication:
    """Publishes the finished run in a folder as the dataset `repo` (user/name), on branch `revision`; or
    the model that `ctm train` left there as the model `repo`.

    With `report`, the page of `ctm report` goes along, as far as LARGEST_PAGE allows. A dataset's card that
    is there keeps the text that is not ours. Interrupted, it goes on where it was
    when it is called again. `dry_run` asks the Hub nothing. Raises CtmError if the run does not pass
    `verify`, or the repository holds tables of another schema, or the training has not ended, or the
    Hub refuses.
    """
    from ctm_data.pages.card import CARD, PICTURE, REPORT, RESULTS, dataset_card
    from ctm_data.run.files import refuse_links
    from ctm_data.run.hub_client import REPO, api, ask
    from ctm_data.run.store import MANIFEST, Store
    from ctm_train.record import RECORD

    if REPO.fullmatch(repo) is None or ".." in repo or "--" in repo:
        raise CtmError(f"{repo!r} cannot be the name of a repository: give user/name", usage=True)
    if (Path(run) / RECORD).exists():
        return _publish_model(Path(run), repo, private, revision, dry_run, progress)
    store = Store(run)
    _refuse_unfit(store)
    extras = [name for name in (PICTURE, RESULTS) if (store.folder / name).exists()]
    names = [*store.manifest["parts"], MANIFEST, *extras]
    refuse_links(store.folder, names)
    files = {name: (store.folder / name).stat().st_size for name in names}
    page = _page(store) if report else None
    if page is not None:
        files[REPORT] = len(page)
    if dry_run:
        card = dataset_card(store, repo=repo, report=page is not None)
        return Publication(repo, {**files, CARD: len(card.encode())}, card)
    client = api()
    ask(repo, client.whoami)
    _make_repo(repo, "dataset", private=private, revision=revision)

    def attempt() -> Publication:
        from huggingface_hub import CommitOperationAdd, CommitOperationDelete

        head = client.dataset_info(repo, revision=revision)
        there = {file.rfilename for file in head.siblings or []}
        _refuse_other_schema(repo, str(head.sha), there)
        existing = _card(repo, str(head.sha)) if CARD in there else None
        card = dataset_card(store, repo=repo, existing=existing, report=page is not None)
        parts = [CommitOperationAdd(name, store.folder / name) for name in names]
        if page is not None:
            parts.append(CommitOperationAdd(REPORT, page))
        _send(repo, "dataset", revision, parts, progress)
        gone = [CommitOperationDelete(name) for name in sorted(_ours(there) - set(files))]
        commit = client.create_commit(
            repo,
            [*parts, CommitOperationAdd(CARD, card.encode()), *gone],
            commit_message=f"Publish {store.folder.resolve().name} with ctm",
            repo_type="dataset",
            revision=revision,
            parent_commit=head.sha,
        )
        all_files = {**files, CARD: len(card.encode())}
        return Publication(repo, all_files, card, commit.oid, f"{client.endpoint}/datasets/{repo}")

    return ask(repo, attempt)


def _page(store: "Store") -> bytes | None:
    """The page of a run, with as many entries as fit; None if there is nothing to look at."""
    from ctm_data.report import whole_page

    if not store.parts("solutions"):
        return None
    for limit in (1000, 100):
        page = whole_page(store.folder, limit=limit).encode()
        if len(page) <= LARGEST_PAGE:
            return page
    return None


def _publish_model(
    folder: Path,
    repo: str,
    private: bool,
    revision: str | None,
    dry_run: bool,
    progress: Progress | None,
) -> Publication:
    """The folder as it is; hidden files and checkpoints stay here."""
    from ctm_data.pages.card import CARD
    from ctm_data.run.files import read_bounded, refuse_links
    from ctm_data.run.hub_client import api, ask
    from ctm_train.record import RECORD

    try:
        record = json.loads(read_bounded(folder / RECORD, LONGEST).decode("utf-8"))
        card = read_bounded(folder / CARD, LONGEST).decode("utf-8")
    except (ValueError, RecursionError) as error:
        raise CtmError(f"{folder} holds no trained model: its record cannot be read") from error
    if not isinstance(record, dict) or "outcome" not in record:
        raise CtmError(
            f"{folder}: the training has not ended, nothing was published; run `ctm train` again"
        )
    names = sorted(
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_file()
        and not any(part.startswith(SCRATCH) for part in path.relative_to(folder).parts)
    )
    refuse_links(folder, names)
    files = {name: (folder / name).stat().st_size for name in names}
    if dry_run:
        return Publication(repo, files, card)
    client = api()
    ask(repo, client.whoami)
    _make_repo(repo, "model", private=private, revision=revision)

    def attempt() -> Publication:
        from huggingface_hub import CommitOperationAdd

        head = client.model_info(repo, revision=revision)
        additions = [CommitOperationAdd(name, folder / name) for name in names]
        _send(repo, "model", revision, additions, progress)
        commit = client.create_commit(
            repo,
            additions,
            commit_message=f"Publish {folder.resolve().name} with ctm",
            revision=revision,
            parent_commit=head.sha,
        )
        return Publication(repo, files, card, commit.oid, f"{client.endpoint}/{repo}")

    return ask(repo, attempt)


def _refuse_unfit(store: "Store") -> None:
    from ctm_data.verify import verify

    if "shard" in store.manifest:
        raise CtmError(
            f"{store.folder} is one shard of a run: join them with `ctm build-dataset --merge` first",
            usage=True,
        )
    failed = [check for check in verify(store.folder, texts=False).checks if check.failed]
    if failed:
        first = f"{failed[0].name}: {failed[0].failures[0]}"
        raise CtmError(
            f"{store.folder} does not pass `ctm verify`, nothing was published ({first})"
        )


def _make_repo(
    repo: str, repo_type: Literal["model", "dataset"], *, private: bool, revision: str | None
) -> None:
    """The repository and its branch, new or as they are."""
    from ctm_data.run.hub_client import api, ask

    client = api()
    ask(repo, lambda: client.create_repo(repo, repo_type=repo_type, private=private, exist_ok=True))
    if private and not ask(repo, lambda: client.repo_info(repo, repo_type=repo_type)).private:
        raise CtmError(
            f"{repo} is there already and is public: make it private on its page, or leave out --private"
        )
    if revision is not None:
        ask(
            repo,
            lambda: client.create_branch(repo, repo_type=repo_type, branch=revision, exist_ok=True),
        )


def _send(
    repo: str,
    repo_type: str,
    revision: str | None,
    additions: Sequence["CommitOperationAdd"],
    progress: Progress | None,
) -> None:
    """Brings the content of large files there; what the Hub has already is not sent again."""
    from ctm_data.run.hub_client import api

    client, sent = api(), 0
    for start in range(0, len(additions), BATCH):
        batch = additions[start : start + BATCH]
        client.preupload_lfs_files(repo, batch, repo_type=repo_type, revision=revision)
        sent += sum(addition.upload_info.size for addition in batch)
        (progress or silent)("uploading", start + len(batch), len(additions), sent)


def _ours(names: set[str]) -> set[str]:
    """Of a repository's files, the parts of tables, our picture, our page and our results."""
    from ctm_data.pages.card import PICTURE, REPORT, RESULTS
    from ctm_data.run.schema import SCHEMAS
    from ctm_data.run.store import PART

    split = [(name, *name.partition("/")[::2]) for name in names]
    parts = {name for name, table, part in split if table in SCHEMAS and PART.fullmatch(part)}
    return parts | ({PICTURE, REPORT, RESULTS} & names)


def _refuse_other_schema(repo: str, sha: str, there: set[str]) -> None:
    """Refuses to write over data that are not a run of this schema."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from ctm_data.run.hub_client import filesystem
    from ctm_data.run.manifest import MANIFEST, parse_manifest
    from ctm_data.run.schema import SCHEMAS, fits

    data = (".parquet", ".json", ".jsonl", ".csv", ".arrow", ".zip", ".gz")
    if MANIFEST not in there:
        foreign = sorted(name for name in there if name.endswith(data))
        if foreign:
            raise CtmError(
                f"{repo} holds data that are no run of ctm ({foreign[0]}); publish under another name"
            )
        return
    parse_manifest(_read(repo, MANIFEST, sha), repo, finished=True)
    files = filesystem()
    for table in SCHEMAS:
        parts = sorted(name for name in _ours(there) if name.startswith(f"{table}/"))
        if not parts:
            continue
        with files.open(f"datasets/{repo}@{sha}/{parts[0]}", "rb") as file:
            try:
                same = fits(pq.read_schema(file), table)
            except pa.ArrowInvalid:
                same = False
        if not same:
            raise CtmError(
                f"{repo} holds a table {table!r} of another schema; publish under another name, or to "
                "another branch with --revision"
            )


def _card(repo: str, sha: str) -> str:
    from ctm_data.pages.card import CARD

    try:
        return _read(repo, CARD, sha).decode("utf-8")
    except UnicodeDecodeError as error:
        raise CtmError(f"{CARD} of {repo} is not UTF-8: mend it on its page first") from error


def _read(repo: str, name: str, sha: str) -> bytes:
    from ctm_data.run.hub_client import filesystem

    content: Any = filesystem().cat_file(f"datasets/{repo}@{sha}/{name}")
    return bytes(content)
