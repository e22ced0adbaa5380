"""A server with OpenAI's interface: many requests at once, asked again where it was busy or gone, bounded.

What the server answered is booked at once and never asked again. The key comes from the environment
(`OPENAI_API_KEY`) and goes to the server alone: it is taken out of all that is said about errors.
"""

import asyncio
import os
import random
import time
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from email.utils import mktime_tz, parsedate_tz
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ctm_eval.errors import CtmError, missing
from ctm_eval.printable import printable
from ctm_eval.progress import Traffic

if TYPE_CHECKING:
    import openai

KEY = "OPENAI_API_KEY"  # the environment variable
CONCURRENCY = 64  # requests in flight
TOLD_EVERY = 1.0  # seconds between reports of what is in flight
PATIENCE = 600.0  # seconds for which a request may fail before the run is given up
LONGEST_ANSWER = 600.0  # seconds for one, to its last byte; the client has it for a silence
LONGEST_PAUSE = 30.0  # seconds between two attempts, unless the server says otherwise
AGAIN = frozenset(
    {408, 409, 425, 429}
)  # and all from 500 on: statuses that another attempt may mend
BUSY = frozenset({429, 503})  # the server wants fewer requests, of whatever kind

Call = Callable[["openai.AsyncOpenAI"], Awaitable[Any]]
Book = Callable[[Any], object]
"""Takes an answer. Raises ValueError if it is none, which is tried again like any other failure."""


class Server:
    """Where requests are sent. `sent` counts those that it may have computed, which is what they cost."""

    def __init__(
        self,
        base_url: str | None,
        *,
        concurrency: int = CONCURRENCY,
        max_requests: int | None = None,
        patience: float = PATIENCE,
        traffic: Traffic | None = None,
    ) -> None:
        """Raises CtmError if there is no such address, or `openai` is not installed."""
        try:
            import openai  # noqa: F401
        except ImportError as error:
            raise CtmError(missing("openai"), usage=True) from error
        self.base_url = checked(base_url)
        self.concurrency, self.max_requests, self.patience = concurrency, max_requests, patience
        self.sent, self.traffic = 0, traffic or Traffic()
        self._key = os.environ.get(KEY) or "none"  # a server of one's own wants none
        self._welcome = 0.0  # no request before this time
        self._hasty = False

    def ask(self, questions: Iterable[tuple[Call, Book]]) -> None:
        """Sends every call, `concurrency` at a time, and books each answer as it comes.

        Raises CtmError when the server refuses a request, fails one for `patience` seconds, or
        `max_requests` are spent; requests in flight are answered and booked before.
        """
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            asyncio.run(self._ask_all(questions))
            return
        with ThreadPoolExecutor(1) as thread:  # a notebook has a loop of its own
            thread.submit(asyncio.run, self._ask_all(questions)).result()

    def ask_one(self, call: Call, book: Book) -> None:
        """Sends one call. A server that is not there now is not waited for. Raises CtmError."""
        self._hasty = True
        try:
            self.ask([(call, book)])
        finally:
            self._hasty = False

    async def _ask_all(self, questions: Iterable[tuple[Call, Book]]) -> None:
        import openai

        waiting, stop = iter(questions), _Stop()
        options = {"base_url": self.base_url, "api_key": self._key, "max_retries": 0}
        async with openai.AsyncOpenAI(**options) as client:  # type: ignore[arg-type]

            async def work() -> None:
                for call, book in waiting:
                    try:
                        await self._answered(client, call, book, stop)
                    except CtmError as error:
                        stop.because(error)
                    if stop.error:
                        return

            telling = asyncio.create_task(self._tell())
            try:
                await asyncio.gather(*(work() for _ in range(self.concurrency)))
            finally:
                telling.cancel()
        if stop.error:
            raise stop.error

    async def _tell(self) -> None:
        """Tells of the requests in flight while nothing else is told: an answer may take minutes."""
        while True:
            await asyncio.sleep(TOLD_EVERY)
            self.traffic.tell()

    async def _answered(
        self, client: "openai.AsyncOpenAI", call: Call, book: Book, stop: "_Stop"
    ) -> None:
        """Sends a call until it is answered, or the others have stopped."""
        import openai

        failing_since, pause = None, 0.5
        while await stop.sleep(self._welcome - time.monotonic()):
            self._spend()
            self.traffic.in_flight += 1
            wait, hasty = None, self._hasty
            try:
                book(await asyncio.wait_for(call(client), LONGEST_ANSWER))
                return
            except openai.APIStatusError as error:
                self.sent, hasty = self.sent - 1, False
                reason = f"says {error.status_code}: {self._said(error)}"
                if error.status_code not in AGAIN and error.status_code < 500:
                    raise CtmError(f"the server {self.base_url} {reason}") from None
                wait = retry_after(error.response.headers)
                if error.status_code in BUSY and wait is not None:
                    self._welcome = max(self._welcome, time.monotonic() + wait)
            except openai.APIConnectionError as error:
                self.sent -= type(error.__cause__).__name__.startswith("Connect")
                reason = f"cannot be reached, or broke off ({self._said(error)})"
            except TimeoutError:
                reason = f"has not finished an answer within {LONGEST_ANSWER:.0f} s"
            except (openai.APIError, ValueError, RecursionError) as error:
                reason = f"answered what is no answer ({self._said(error)})"
            finally:
                self.traffic.in_flight -= 1
            if hasty:
                raise CtmError(f"the server {self.base_url} {reason}")
            now = time.monotonic()
            failing_since = now if failing_since is None else failing_since
            if wait is None:
                wait, pause = pause * random.uniform(0.5, 1), min(LONGEST_PAUSE, 2 * pause)
            if now + wait - failing_since > self.patience:
                raise CtmError(
                    f"the server {self.base_url} {reason}; see to it and run the same command again, which "
                    "goes on from here"
                )
            self.traffic.retries += 1
            self.traffic.tell()
            await stop.sleep(wait)

    def _spend(self) -> None:
        if self.max_requests is not None and self.sent >= self.max_requests:
            raise CtmError(
                f"--max-requests {self.max_requests} are spent; the same command goes on from here, with "
                "as many more"
            )
        self.sent += 1

    def _said(self, error: Exception) -> str:
        """What an error says, in one line, without the key."""
        body = getattr(error, "body", None)
        told = None
        if isinstance(body, dict):
            told = body.get("message") or body.get("detail") or body
        cause = error.__cause__
        text = str(told or (str(cause) if cause and str(cause) else error) or type(error).__name__)
        if len(self._key) > 4:
            text = text.replace(self._key, "…")
        return printable(" ".join(text.split()), 300)


class _Stop:
    """Why the requests that are left are not sent; those that sleep wake up."""

    def __init__(self) -> None:
        self.error: CtmError | None = None
        self._event = asyncio.Event()

    def because(self, error: CtmError) -> None:
        """Stops the rest; the first reason counts."""
        self.error = self.error or error
        self._event.set()

    async def sleep(self, seconds: float) -> bool:
        """Sleeps; False if there is no use in going on."""
        if seconds > 0 and not self._event.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(self._event.wait(), seconds)
        return not self._event.is_set()


def checked(base_url: str | None) -> str:
    """An address of a server, as given. Raises CtmError for anything else, or one with a password."""
    if base_url is None:
        raise CtmError(
            "--engine openai needs the server's address: --base-url http://127.0.0.1:8000/v1",
            usage=True,
        )
    try:
        parts = urlsplit(base_url)
        known = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        known = False
    if not known:
        raise CtmError(
            "--base-url takes the address of a server, such as http://127.0.0.1:8000/v1", usage=True
        )
    if parts.username or parts.password or parts.query:
        raise CtmError(
            f"--base-url holds a password or a query: give the key in the environment, as {KEY}",
            usage=True,
        )
    return base_url


def retry_after(headers: Any) -> float | None:
    """The seconds that a Retry-After header asks to wait (RFC 9110, 10.2.3); None without a valid one."""
    said = headers.get("retry-after")
    if said is None:
        return None
    try:
        seconds = float(said)
    except ValueError:
        date = parsedate_tz(said)
        if date is None:
            return None
        seconds = mktime_tz(date) - time.time()
    return max(0.0, seconds) if seconds < float("inf") else None
