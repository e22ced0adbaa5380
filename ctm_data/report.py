"""`report`: a run as one HTML page that opens offline."""

from pathlib import Path

from ctm_data.pages.html import html
from ctm_data.run.store import Store
from ctm_eval.data_files import writable
from ctm_eval.errors import CtmError
from ctm_eval.output_file import output_file


def report(run: str | Path, file: str | Path, *, limit: int = 5000) -> int:
    """Writes the page of a run folder to `file`, whole or not at all; returns its size in bytes.

    It shows the `limit` trajectories whose critical tokens cost most. Raises CtmError.
    """
    if limit < 1:
        raise CtmError(f"--limit must be 1 or more, not {limit}", usage=True)
    writable(file)
    page = html(Store(run), limit).encode()
    with output_file(file) as out:
        out.write(page)
    return len(page)
