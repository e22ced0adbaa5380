"""The named queries: SQL files that answer what the paper's tables answer, and more."""

import re
from importlib.resources import files

from ctm_eval.errors import CtmError


def named_queries() -> dict[str, tuple[str, str]]:
    """The named queries: what each answers, and its SQL. They are the files of `ctm_data/sql/queries`."""
    found = {}
    for file in sorted((files("ctm_data.sql") / "queries").iterdir(), key=lambda file: file.name):
        if file.name.endswith(".sql"):
            sql = file.read_text(encoding="utf-8")
            about = re.findall(r"^-- (.*)", sql, re.MULTILINE)
            found[file.name.removesuffix(".sql")] = (" ".join(about), sql)
    return found


def named_query(name: str) -> str:
    """The SQL of a named query. Raises CtmError if there is none of that name."""
    known = named_queries()
    if name not in known:
        raise CtmError(f"there is no query {name!r}; there are: {', '.join(known)}", usage=True)
    return known[name][1]
