"""Talking to the Hub: calls that are tried again when that can help, and errors that say what to do."""

import logging
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from ctm_eval.errors import CtmError

if TYPE_CHECKING:
    from huggingface_hub import HfApi, HfFileSystem

T = TypeVar("T")
REPO = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")
TRIES = 6
LONGEST_WAIT = 300.0  # seconds; a Retry-After beyond it is not waited for
TRANSIENT = {408, 429, 500, 502, 503, 504}
log = logging.getLogger("ctm")


def is_repo_name(name: str | Path) -> bool:
    """Whether `name` is not a folder here and looks like user/name on the Hub."""
    return not Path(name).exists() and REPO.fullmatch(str(name)) is not None


def api() -> "HfApi":
    """The client, with the token that `hf auth login` or HF_TOKEN gives it."""
    from huggingface_hub import HfApi

    return HfApi(library_name="ctm")


def filesystem() -> "HfFileSystem":
    """The Hub as an fsspec file system that caches no listings."""
    from huggingface_hub import HfFileSystem

    return HfFileSystem(use_listings_cache=False, skip_instance_cache=True)


def ask(repo: str, call: Callable[[], T], *, moved: bool = False) -> T:
    """`call()`, tried again after server errors, rate limits (Retry-After is kept) and lost connections.

    With `moved`, also after "a commit has happened since": `call` has to look at the repository anew.
    Raises CtmError in one line; what the line says never holds the access token.
    """
    with explained(repo):
        for attempt in range(1, TRIES + 1):
            try:
                return call()
            except Exception as error:
                wait = _worth_a_wait(error, attempt, moved)
                if wait is None or attempt == TRIES:
                    raise
                log.warning("%s: %s; again in %.0f s", repo, _reason(error), wait)
                time.sleep(wait)
    raise AssertionError("the last try returns or raises")


@contextmanager
def explained(repo: str) -> Iterator[None]:
    """Turns the Hub's errors into a `CtmError` with the way out."""
    from httpx2 import HTTPError
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        HFValidationError,
        LocalEntryNotFoundError,
        LocalTokenNotFoundError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    try:
        yield
    except CtmError:
        raise
    except LocalTokenNotFoundError as error:
        raise CtmError("the Hub does not know you: `hf auth login`, or set HF_TOKEN") from error
    except OfflineModeIsEnabled as error:
        raise CtmError(f"{repo} is on the Hub, and HF_HUB_OFFLINE is set: unset it") from error
    except GatedRepoError as error:
        raise CtmError(f"{repo} is gated: ask for access on its page on the Hub") from error
    except RevisionNotFoundError as error:
        raise CtmError(f"{repo} has no such revision: leave out --revision, or see its page") from error
    except HFValidationError as error:
        raise CtmError(f"{repo!r} cannot be the name of a repository: give user/name", usage=True) from error
    except HfHubHTTPError as error:
        status = _status(error)
        if status == 401 and not isinstance(error, RepositoryNotFoundError) or _bad_token(error):
            raise CtmError(
                "the Hub refuses the access token (it may have expired): `hf auth login`, or set "
                "HF_TOKEN to a new one"
            ) from error
        if isinstance(error, RepositoryNotFoundError):
            raise CtmError(
                f"there is no dataset {repo} on the Hub, or it is private and you are not let in: check "
                "the name, and `hf auth login`"
            ) from error
        if status == 403:
            raise CtmError(
                f"the Hub does not let you write to {repo}: use a token with write access, or a name of "
                "your own"
            ) from error
        raise CtmError(f"the Hub failed over {repo} ({_reason(error)}); run the same command again") from error
    except (HTTPError, ConnectionError, TimeoutError, LocalEntryNotFoundError) as error:
        raise CtmError(
            f"the Hub cannot be reached ({_reason(error)}); run the same command again to go on"
        ) from error


def _worth_a_wait(error: Exception, attempt: int, moved: bool) -> float | None:
    """Seconds to wait before another try, or None if that cannot help."""
    from httpx2 import NetworkError, RemoteProtocolError, TimeoutException

    status = _status(error)
    if status == 412:
        return 0.0 if moved else None
    if status in TRANSIENT:
        asked = getattr(error, "response").headers.get("Retry-After", "")
        wait = float(asked) if asked.isdigit() else 2.0 ** (attempt - 1)
        return wait if wait <= LONGEST_WAIT else None
    if isinstance(error, (NetworkError, RemoteProtocolError, TimeoutException)):
        return 2.0 ** (attempt - 1)
    return None


def _status(error: BaseException) -> int | None:
    status: Any = getattr(getattr(error, "response", None), "status_code", None)
    return status


def _bad_token(error: Exception) -> bool:
    response = getattr(error, "response", None)
    said = response.headers.get("X-Error-Message", "") if response is not None else ""
    return _status(error) == 401 and "credentials" in said


def _reason(error: Exception) -> str:
    """What went wrong, without addresses (they may be signed) or anything else a client may have sent."""
    status = _status(error)
    if status is None:
        return type(error).__name__
    said = {412: "someone else has changed it meanwhile", 429: "too many requests"}
    return said.get(status, f"it answered with {status}")
