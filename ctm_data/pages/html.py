"""A run as one HTML page: the same page whether it brings its data with it or asks a server for them.

The page loads nothing from elsewhere: a content security policy with the hashes of its own script and style
forbids it. What models wrote is compressed, and the script puts it in place as text only. Each entry is
compressed by itself and inflated by the browser when it is opened.
"""

import base64
import hashlib
import json
import zlib
from collections.abc import Iterable, Mapping
from importlib.resources import files
from typing import Any

from ctm_data.pages import palette

SCRIPTS = ("base", "source", "list", "trajectory", "tracks", "answers", "overview", "app")


def page(
    data: Mapping[str, Any],
    parts: Mapping[str, Any] | None = None,
    rows: Iterable[Any] = (),
) -> str:
    """The page. `data` describes it, `parts` are what it needs when it opens, by name, `rows` the entries.

    Without `parts` it asks the server that it came from, which has to answer in their place.
    """
    folder = files("ctm_data.pages") / "web"
    style = (folder / "report.css").read_text("utf-8")
    script = "".join((folder / f"{name}.js").read_text("utf-8") for name in SCRIPTS)
    told = {"colours": palette.STEPS, "unseen": palette.UNSEEN, "series": palette.SERIES, **data,
            "remote": parts is None}  # fmt: skip
    packed = [_brought(f"row{number}", row) for number, row in enumerate(rows)]
    brought = [*(_brought(name, value) for name, value in (parts or {}).items()), *packed]
    values = {
        "connect": " connect-src 'self';" if parts is None else "",
        "style": style,
        "style_hash": _hash(style),
        "script": script,
        "script_hash": _hash(script),
        "data": json.dumps(told, separators=(",", ":")).replace("<", "\\u003c"),
        "brought": "\n".join(brought),
    }
    first, *rest = (folder / "report.html").read_text("utf-8").split("{{")
    pieces = [first]
    for piece in rest:
        name, _, text = piece.partition("}}")
        pieces += [values[name], text]
    return "".join(pieces)


def _brought(name: str, value: Any) -> str:
    """A value as an element that the browser does not look into."""
    packed = zlib.compress(json.dumps(value, separators=(",", ":")).encode(), 9)
    return f'<script type="text/plain" id="{name}">{base64.b64encode(packed).decode()}</script>'


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
