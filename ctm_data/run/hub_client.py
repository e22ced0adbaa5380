"""Talking to the Hub: calls are tried again when that can help, and errors say what to do."""

import logging
import os
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from ctm_eval.errors import CtmError
from ctm_eval.hub import is_hub_name, reachable

if TYPE_CHECKING:
    from huggingface_hub import HfApi, HfFileSystem

T = TypeVar("T")
REPO = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+", re.ASCII)
TRIES = 4  # beside those of the client itself
LONGEST_WAIT = 300.0  # seconds; a Retry-After beyond it is not waited for
TRANSIENT = {408, 429, 500, 502, 503, 504}
MOVED = 412  # "a commit has happened since"


def is_repo_name(name: str | Path) -> bool:
    """Whether `name` is a string that is no folder here and looks like user/name on the Hub."""
    return isinstance(name, str) and is_hub_name(name) and REPO.fullmatch(name) is not None


def api() -> "HfApi":
    """The client, with the token that `hf auth login` or HF_TOKEN gives it."""
    from huggingface_hub import HfApi

    return HfApi(library_name="ctm")


def filesystem() -> "HfFileSystem":
    """The Hub as an fsspec file system."""
    from huggingface_hub import HfFileSystem

    return HfFileSystem(skip_instance_cache=True)


def ask(repo: str, call: Callable[[], T]) -> T:
    """`call()`, tried again after server errors, rate limits (Retry-After is kept), lost connections,
    and when the repository moved meanwhile: so `call` has to look at it anew, and be safe to repeat.

    Raises CtmError in one line, which never holds the access token or an address.
    """
    for attempt in range(TRIES):
        try:
            return call()
        except Exception as raised:
            error = _of_the_hub(raised)
            wait = _worth_a_wait(error, attempt)
            if wait is None or attempt == TRIES - 1:
                advice = _advice(error, repo)
                if advice is None:
                    raise
                raise advice from raised
            reason = f"{repo}: {_reason(error)}; again in {wait:.0f} s"
            logging.getLogger("ctm").warning(reason)
            time.sleep(wait)
    raise AssertionError("the last try returns or raises")


def snapshot(repo: str, revision: str | None = None) -> Path:
    """The published run as a folder in the Hub's cache, nothing checked yet."""
    from ctm_data.run.store import MANIFEST

    info = ask(repo, lambda: api().dataset_info(repo, revision=revision))
    folder = cached(repo, str(info.sha))
    if not (folder / MANIFEST).exists():
        raise CtmError(f"{repo} holds no run of ctm: it has no {MANIFEST}")
    return folder


def cached(repo: str, sha: str, names: list[str] | None = None) -> Path:
    """Files of one commit, by default all, as a folder in the Hub's cache.

    Raises CtmError, also where the cache cannot be written to.
    """
    from huggingface_hub import constants, snapshot_download

    def call() -> str:
        return snapshot_download(repo, repo_type="dataset", revision=sha, allow_patterns=names)

    try:
        return Path(ask(repo, call))
    except OSError as error:
        if error.errno is None:  # not the system's
            raise
        raise CtmError(
            f"cannot write to the Hub's cache {constants.HF_HUB_CACHE} "
            f"({os.strerror(error.errno)}): free some space there, or set HF_HOME to another folder"
        ) from error


def _of_the_hub(error: Exception) -> Exception:
    """The Hub's answer inside of the client's own error about a file that it was sending."""
    cause = error.__cause__
    return (
        cause
        if isinstance(cause, Exception) and _status(error) is None and _status(cause)
        else error
    )


def _worth_a_wait(error: Exception, attempt: int) -> float | None:
    """Seconds to wait before another try, or None if that cannot help."""
    status = _status(error)
    if status == MOVED:
        return 0.0
    if status in TRANSIENT:
        asked = _said(error, "Retry-After")
        wait = float(asked) if asked.isdigit() else 2.0**attempt
        return wait if wait <= LONGEST_WAIT else None
    return 2.0**attempt if _lost(error) and reachable() else None


def _advice(error: Exception, repo: str) -> CtmError | None:
    """The Hub's error as one that says what to do; None if it is not the Hub's."""
    from huggingface_hub import errors

    status = _status(error)
    if isinstance(error, errors.LocalTokenNotFoundError):
        return CtmError("the Hub does not know you: `hf auth login`, or set HF_TOKEN")
    if isinstance(error, errors.OfflineModeIsEnabled):
        return CtmError(
            f"{repo} is no folder here, and HF_HUB_OFFLINE keeps from the Hub: unset it"
        )
    if isinstance(error, errors.HFValidationError):
        return CtmError(f"{repo!r} cannot be the name of a repository: give user/name", usage=True)
    if isinstance(error, errors.GatedRepoError):
        return CtmError(f"{repo} is gated: ask for access on its page on the Hub")
    if isinstance(error, errors.RevisionNotFoundError):
        return CtmError(f"{repo} has no such revision: see its page, or leave out --revision")
    if status == 401 and (
        "expired" in _said(error, "X-Error-Message")
        or "redentials" in _said(error, "X-Error-Message")
        or not isinstance(error, errors.RepositoryNotFoundError)
    ):
        return CtmError(
            "the Hub refuses the access token, which may have expired: `hf auth login`, or set "
            "HF_TOKEN to a new one"
        )
    if isinstance(error, errors.RepositoryNotFoundError):
        return CtmError(
            f"there is no repository {repo} on the Hub, or it is private and you are not let in (nor is "
            "there a folder of that name): check the name, or `hf auth login`"
        )
    if status == 403:
        return CtmError(
            f"the Hub does not let you write to {repo}: take a token with write access, or a name of "
            "your own"
        )
    if status == 409:
        return CtmError(
            f"{repo} was changed by someone else at the same moment, and nothing was published: run the "
            "same command again"
        )
    if _lost(error) and not reachable():
        return CtmError(
            f"the Hub cannot be reached from here, and {repo} is no folder: check the network"
        )
    if status is not None or _lost(error):
        return CtmError(
            f"the Hub failed over {repo} ({_reason(error)}): run the same command again to go on"
        )
    return None


def _lost(error: BaseException) -> bool:
    """Whether the connection broke or timed out, whichever HTTP library the client uses."""
    names = {kind.__name__ for kind in type(error).__mro__}
    return bool(names & {"TransportError", "ConnectionError", "Timeout"}) and _status(error) is None


def _status(error: BaseException) -> int | None:
    status: Any = getattr(getattr(error, "response", None), "status_code", None)
    return status


def _said(error: BaseException, header: str) -> str:
    response: Any = getattr(error, "response", None)
    return "" if response is None else str(response.headers.get(header, ""))


def _reason(error: Exception) -> str:
    """What went wrong in our words: the client's may hold addresses, which may be signed."""
    known = {MOVED: "someone else has changed it meanwhile", 429: "too many requests"}
    status = _status(error)
    return type(error).__name__ if status is None else known.get(status, f"it answered {status}")
