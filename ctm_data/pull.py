"""`pull`: a run on the Hub or in object storage comes into a folder, whole and as its manifest says, or not
at all."""

import os
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from ctm_eval.errors import CtmError
from ctm_eval.hub import is_hub_name

STAGING = ".pull"  # where parts wait in the run folder until all of them are verified
Fetch = Callable[[Path, list[str]], list[Path]]  # brings files by name into a folder


def pull(
    repo: str,
    output_dir: str | Path | None = None,
    *,
    revision: str | None = None,
    tokenizer: str | None = None,
) -> Path:
    """Brings the run published as `repo` (user/name) at `revision` into a folder (runs/NAME).

    `repo` may be a URL where a run was written, such as s3://bucket/run. Every part is checked against
    the manifest; the folder becomes a run folder once all of them are right. Interrupted, it goes on where
    it was when it is called again. A repository in the format of the paper's authors is read into our
    tables, its token ids by `tokenizer`. Raises CtmError naming the parts that are not what the manifest
    says.
    """
    from ctm_data.run.bucket import is_url
    from ctm_data.run.hub_client import api, ask
    from ctm_data.run.manifest import MANIFEST

    if is_url(repo):
        return _from_bucket(repo, output_dir, revision)
    if not is_hub_name(repo):
        raise CtmError(
            f"{repo} is no name on the Hub but a path here: give user/name, as its page has it",
            usage=True,
        )
    folder = Path(output_dir) if output_dir is not None else Path("runs") / repo.rpartition("/")[2]
    info = ask(repo, lambda: api().dataset_info(repo, revision=revision))
    there, sha = {file.rfilename for file in info.siblings or []}, str(info.sha)
    if MANIFEST not in there:
        return _pull_released(repo, sha, there, folder, tokenizer)
    advice = "Tell its owner, or take another --revision"
    return _whole(f"{repo} at {sha[:8]}", partial(_download, repo, sha), there, folder, advice)


def _from_bucket(url: str, output_dir: str | Path | None, revision: str | None) -> Path:
    """The run at a URL. The Hub's are refused, which are no URLs here."""
    from ctm_data.run.bucket import Bucket, same
    from ctm_data.run.manifest import MANIFEST

    bucket = Bucket(url)
    if revision is not None:
        raise CtmError(f"--revision is of runs on the Hub, and {bucket.url} is not", usage=True)
    there = bucket.names()
    if MANIFEST not in there:
        raise CtmError(f"{bucket.url} holds no run of ctm: it has no {MANIFEST}")
    folder = Path(output_dir) if output_dir is not None else Path("runs") / Path(bucket.url).name

    def fetch(staging: Path, names: list[str]) -> list[Path]:
        bucket.get([name for name in names if not same(staging / name, there[name])], staging)
        return [staging / name for name in names]

    return _whole(bucket.url, fetch, set(there), folder, "Run the command that made it again")


def _whole(repo: str, fetch: Fetch, there: set[str], folder: Path, advice: str) -> Path:
    from ctm_data.run.files import explained, read_bounded
    from ctm_data.run.manifest import LONGEST, MANIFEST, parse_manifest

    _refuse_occupied(folder)
    staging, was_there = folder / STAGING, folder.exists()
    with explained(folder):
        content = read_bounded(fetch(staging, [MANIFEST])[0], LONGEST)
        existing = folder / MANIFEST
        try:
            manifest = parse_manifest(content, repo, finished=True)
            if existing.exists() and existing.read_bytes() != content:
                raise CtmError(
                    f"{folder} holds another run than {repo}; give another --output-dir", usage=True
                )
        except CtmError:  # nothing of it can be used
            shutil.rmtree(staging)
            if not was_there:
                folder.rmdir()
            raise
        _bring(repo, fetch, manifest["parts"], there, folder, advice)
        shutil.rmtree(staging)
    return folder


def _bring(
    repo: str, fetch: Fetch, parts: dict[str, str], there: set[str], folder: Path, advice: str
) -> None:
    """Downloads what is not in `folder` yet, verifies it, and moves it there; the manifest last."""
    from ctm_data.pages.card import CARD, PICTURE
    from ctm_data.run.files import sha256
    from ctm_data.run.manifest import MANIFEST

    staging = folder / STAGING
    wanted = [p for p in parts if not ((folder / p).exists() and sha256(folder / p) == parts[p])]
    missing = sorted(set(wanted) - there)
    beside = [name for name in (CARD, PICTURE) if name in there]
    fetch(staging, [*(part for part in wanted if part in there), *beside])
    wrong = [part for part in wanted if part in there and sha256(staging / part) != parts[part]]
    for part in wrong:
        (staging / part).unlink()
    if wrong or missing:
        said = [f"{part} is not what the manifest says" for part in wrong]
        said += [f"{part} is missing" for part in missing]
        raise CtmError(
            f"{repo} is damaged, and {folder} was not made a run: {'; '.join(said)}. {advice}"
        )
    for name in [*wanted, *beside, MANIFEST]:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        os.replace(staging / name, folder / name)


def _download(repo: str, sha: str, staging: Path, names: list[str]) -> list[Path]:
    """Files of one commit, by the Hub's client, which goes on with a file that was cut off."""
    from huggingface_hub import snapshot_download

    from ctm_data.run.hub_client import ask

    def call() -> str:
        return str(
            snapshot_download(
                repo, repo_type="dataset", revision=sha, local_dir=staging, allow_patterns=names
            )
        )

    if names:
        ask(repo, call)
    return [staging / name for name in names]


def _refuse_occupied(folder: Path) -> None:
    from ctm_data.run.files import refuse_links
    from ctm_data.run.schema import SCHEMAS
    from ctm_data.run.store import is_run_folder

    refuse_links(folder, (STAGING, *SCHEMAS))
    if folder.exists() and not folder.is_dir():
        raise CtmError(f"{folder} is a file; give a folder as --output-dir", usage=True)
    begun = (folder / STAGING).exists()
    if folder.exists() and any(folder.iterdir()) and not begun and not is_run_folder(folder):
        raise CtmError(
            f"{folder} is not empty and not a run folder; give another --output-dir", usage=True
        )


def _pull_released(
    repo: str, sha: str, there: set[str], folder: Path, tokenizer: str | None
) -> Path:
    from ctm_data.released import import_released
    from ctm_data.run.hub_client import cached

    names = sorted(name for name in there if name.endswith(".json"))
    if not names:
        raise CtmError(
            f"{repo} is neither a run of ctm (it has no manifest.json) nor data in the format of the "
            "paper's authors (it has no JSON files)"
        )
    root = cached(repo, sha, names)
    files: dict[str, Any] = {name: root / name for name in names}
    recipe = {"source": repo, "revision": sha, "tokenizer": tokenizer}
    import_released(files, folder, recipe, tokenizer=tokenizer)
    return folder
