"""A folder in object storage (`s3://bucket/run`, `gs://…`), through fsspec; an error is one clear line."""

import logging
import os
import re
import time
from base64 import b64decode
from collections.abc import Callable
from datetime import datetime
from hashlib import file_digest, md5, sha256
from pathlib import Path
from typing import Any, TypeVar

from ctm_eval.errors import EXTRAS, CtmError, missing
from ctm_eval.printable import printable

T = TypeVar("T")
URL = re.compile(r"([a-z][a-z0-9+-]+):/+(.*)")  # of the two slashes, a Path keeps one
SEGMENT = re.compile(r"(?!\.\.?$)[\w.=+@ -]+")
NOT_SHARED = ("file", "local", "memory", "http", "https")
OPTIONS: dict[str, dict[str, Any]] = {  # seconds; how often a call is tried again is said below
    "s3": {
        "config_kwargs": {
            "connect_timeout": 10,
            "read_timeout": 20,
            "retries": {"total_max_attempts": 1},
        }
    },
    "gs": {"requests_timeout": 30},
}
CREDENTIALS = {
    "s3": "AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    "gs": "GOOGLE_APPLICATION_CREDENTIALS",
}
ENDPOINT = {"s3": "AWS_ENDPOINT_URL", "gs": "STORAGE_EMULATOR_HOST"}
SLOWEST = 40.0  # seconds of a write, and one more for every 100 kB
TRIES = 7  # once a run goes on: a minute in all
UNKNOWN = {"NoCredentialsError", "PartialCredentialsError", "ProfileNotFound", "TokenRetrievalError",
           "CredentialRetrievalError", "DefaultCredentialsError", "RefreshError"}  # fmt: skip
LOST = {"ConnectionError", "HTTPClientError", "ClientConnectionError", "TimeoutError"}


def is_url(where: str | Path) -> bool:
    """Whether a place is a URL and not a path; also as a Path, which takes one of its slashes away."""
    return URL.fullmatch(str(where)) is not None


def plain(url: str | Path) -> str:
    """A URL in one spelling."""
    return "{}://{}".format(*_split(url))


def working_folder(where: str | Path) -> Path:
    """The folder in which a run is made: for a URL one in the cache (XDG_CACHE_HOME), else `where`."""
    if not is_url(where):
        return Path(where)
    url = plain(where)
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ctm" / "runs"
    return cache / f"{url.rpartition('/')[2]}-{sha256(url.encode()).hexdigest()[:16]}"


def refuse_url(where: str | Path) -> None:
    """Raises CtmError where only a folder will do, and a URL was given."""
    if is_url(where):
        url = plain(where)
        raise CtmError(
            f"{url} is no folder, and only `ctm build-dataset` and `ctm eval` write to a bucket: "
            f"`ctm pull {url}` brings a run from there into a folder",
            usage=True,
        )


class Bucket:
    """The objects below a URL, by their names relative to it.

    Nothing is kept of what was there before. Every call raises CtmError in one line.
    """

    def __init__(self, url: str | Path) -> None:
        self._scheme, place = _split(url)
        self.url = plain(url)
        self.tries = 1
        self._bucket, _, key = place.partition("/")
        if self._scheme == "hf":
            raise CtmError(
                f"{self.url} can only be read: the Hub takes 128 commits an hour, and every part would be "
                "one. Write into a folder, and `ctm publish` it",
                usage=True,
            )
        if self._scheme in NOT_SHARED:
            raise CtmError(
                f"{self.url} is no place that another machine could write to: give a folder, or a URL "
                "such as s3://bucket/run",
                usage=True,
            )
        if not key or not all(map(SEGMENT.fullmatch, place.split("/"))):
            raise CtmError(
                f"{self.url} cannot hold a run: give a bucket and a plain name in it, as in s3://bucket/run",
                usage=True,
            )
        self._root = place
        self._fs = self._ask(lambda: _file_system(self._scheme))

    def names(self, below: str = "") -> dict[str, dict[str, Any]]:
        """What is there, or in a folder there, with what the store says of it."""
        found = self._ask(lambda: self._fs.find(self._at(below).rstrip("/"), detail=True))
        return {
            path.removeprefix(f"{self._root}/"): info
            for path, info in found.items()
            if path.startswith(f"{self._root}/") and not path.endswith("/")
        }

    def read(self, name: str) -> bytes | None:
        """An object; None if there is none of that name."""
        return self._if_there(lambda: self._fs.cat_file(self._at(name)))

    def get(self, names: list[str], folder: Path) -> None:
        """Brings objects into a folder, several at once. Their hashes are for the caller to check."""
        paths = [folder / name for name in names]
        for parent in {path.parent for path in paths}:
            parent.mkdir(parents=True, exist_ok=True)
        if names:
            self._ask(lambda: self._fs.get([*map(self._at, names)], [*map(str, paths)]))

    def put(self, path: Path, name: str) -> None:
        """Puts a file there, whole or not at all."""
        limit = self._limit(path.stat().st_size)
        self._ask(lambda: self._fs.put_file(str(path), self._at(name), **limit))

    def write(self, name: str, content: bytes) -> None:
        """Writes an object, whole or not at all."""
        limit = self._limit(len(content))
        self._ask(lambda: self._fs.pipe_file(self._at(name), content, **limit))

    def create(self, name: str, content: bytes) -> bool:
        """Writes an object if there is none of that name; whether it was. Of many writers, one is."""
        limit = self._limit(len(content))
        try:
            self._ask(
                lambda: self._fs.pipe_file(self._at(name), content, mode="create", **limit),
                there=True,
            )
        except FileExistsError:
            return self.read(name) == content  # an answer was lost, and the client asked again
        return True

    def modified(self, name: str) -> datetime | None:
        """When an object was last written, by the store's clock; None if there is none of that name."""
        return self._if_there(lambda: self._fs.modified(self._at(name)))

    def remove(self, name: str) -> None:
        """Removes an object, if it is there."""
        self._if_there(lambda: self._fs.rm_file(self._at(name)))

    def _if_there(self, call: Callable[[], T]) -> T | None:
        """`_ask` about an object; None if there is none of that name."""
        try:
            return self._ask(call, absent=True)
        except FileNotFoundError:
            return None

    def _limit(self, size: int) -> dict[str, float]:
        """How long a write may take. S3's client has no limit of its own while it waits for leave to send
        (`Expect: 100-continue`)."""
        return {"timeout": SLOWEST + size / 1e5} if getattr(self._fs, "async_impl", False) else {}

    def _at(self, name: str) -> str:
        return f"{self._root}/{name}"

    def _ask(self, call: Callable[[], T], *, absent: bool = False, there: bool = False) -> T:
        """`call()`, tried again where that can help. `absent` and `there` let FileNotFoundError and
        FileExistsError through, which say what the caller wants to know."""
        for attempt in range(self.tries):
            try:
                return call()
            except CtmError:
                raise
            except Exception as error:
                if (absent and isinstance(error, FileNotFoundError)) or (
                    there and isinstance(error, FileExistsError)
                ):
                    raise
                said, final = self._advice(error)
                if final or attempt == self.tries - 1:
                    raise CtmError(said) from error
                wait = 2.0**attempt
                logging.getLogger("ctm").warning(f"{said}; again in {wait:.0f} s")
                time.sleep(wait)
        raise AssertionError("the last try returns or raises")

    def _advice(self, error: Exception) -> tuple[str, bool]:
        """What to tell of an error, and whether to ask again is of no use."""
        causes = [error, *([error.__cause__] if error.__cause__ else [])]
        names = {kind.__name__ for one in causes for kind in type(one).__mro__}
        credentials = CREDENTIALS.get(self._scheme, "them as its fsspec implementation wants")
        endpoint = ENDPOINT.get(self._scheme)
        endpoint = f", and {endpoint} if it is set" if endpoint else ""
        reason = printable((str(error).splitlines() or [""])[0], 120)
        if names & UNKNOWN:
            return f"there are no credentials for {self.url}: set {credentials}", True
        if isinstance(error, PermissionError):
            return (
                f"{self.url} does not let you in ({reason}): see that the credentials ({credentials}) may "
                "list, read, write and delete there",
                True,
            )
        if isinstance(error, FileNotFoundError):
            return (
                f"there is no bucket {self._bucket} for {self.url}: make it, or check the name{endpoint}",
                True,
            )
        if names & LOST or isinstance(error, ValueError):
            return f"{self.url} cannot be reached: check the network{endpoint}", isinstance(
                error, ValueError
            )
        return (
            f"{self.url} failed ({type(error).__name__}: {reason}); what is there is not lost: run the "
            "same command again",
            False,
        )


def same(path: Path, info: dict[str, Any]) -> bool:
    """Whether a file here has the MD5 that the store says of an object.

    S3 says it (as ETag) of an object that was put in one piece, Google always. False if it says none.
    """
    said = str(info.get("ETag", "")).strip('"')
    if info.get("md5Hash"):
        said = b64decode(info["md5Hash"]).hex()
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file_digest(file, lambda: md5(usedforsecurity=False)).hexdigest() == said


def _split(url: str | Path) -> tuple[str, str]:
    found = URL.fullmatch(str(url))
    assert found is not None
    scheme = {"gcs": "gs", "s3a": "s3"}.get(found[1], found[1])
    return scheme, found[2].strip("/")


def _file_system(scheme: str) -> Any:
    import fsspec

    options = OPTIONS.get(scheme, {})
    try:
        found = fsspec.filesystem(
            scheme, skip_instance_cache=True, use_listings_cache=False, **options
        )
    except ImportError as error:
        name = {"s3": "s3fs", "gs": "gcsfs"}.get(scheme)
        if name in EXTRAS:
            raise CtmError(missing(name)) from error
        package = f"pip install {name}" if name else str(error)
        raise CtmError(f"{scheme}:// needs a package that is not installed: {package}") from error
    except ValueError as error:
        raise CtmError(
            f"{scheme}:// is nothing that can be written to: give a folder, or a URL such as s3://bucket/run",
            usage=True,
        ) from error
    found.retries = 2  # of the client itself
    return found
