"""The pages of the site that are made from code or stand outside of docs/: a hook of mkdocs.

`index.md` is the README. The reference of commands, tables and named queries is read from the code itself,
so it cannot fall behind.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
OUTSIDE = {  # a page of the site: the file that it is
    "index.md": "README.md",
    "SECURITY.md": "SECURITY.md",
    "CONTRIBUTING.md": "CONTRIBUTING.md",
    "CHANGELOG.md": "CHANGELOG.md",
    "benchmarks/RESULTS.md": "benchmarks/RESULTS.md",
    "pocket-card.md": "ctm_eval/pocket/weights/README.md",
    "pocket-coder-card.md": "ctm_eval/pocket/coder_weights/README.md",
    **{f"examples/{path.name}": f"examples/{path.name}" for path in ROOT.glob("examples/*.ipynb")},
}
CONVENTIONS = (
    "Results are printed to stdout, progress and warnings to stderr. The exit code is 0 if the work is "
    "done, 1 if it failed, 2 if the call was wrong, and 130 after ctrl-C."
)
LINK = re.compile(r"\]\((?!https?:|#|mailto:)([^)#\s]+)(#[^)\s]*)?\)")


def on_files(files: Any, config: Any) -> Any:
    """Adds the pages that are not in docs/."""
    from mkdocs.structure.files import File

    pages = {name: _outside(path) for name, path in OUTSIDE.items()}
    pages |= {"reference/commands.md": commands(), "reference/tables.md": tables()}
    for name, content in pages.items():
        files.append(File.generated(config, name, content=content))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Leads links between pages to where these are on the site."""
    here = page.file.src_uri
    source = ROOT / OUTSIDE.get(here, f"docs/{here}")
    homes = {(ROOT / path).resolve(): name for name, path in OUTSIDE.items()}

    def led(match: re.Match[str]) -> str:
        target = (source.parent / match[1]).resolve()
        if target.is_relative_to(ROOT / "docs"):
            home = target.relative_to(ROOT / "docs").as_posix()
        else:
            home = homes.get(target, match[1])
        up = "../" * here.count("/")
        return f"]({up}{home}{match[2] or ''})"

    return LINK.sub(led, markdown)


def _outside(path: str) -> str:
    text = (ROOT / path).read_text(encoding="utf-8")
    return re.sub(r"\A---\n.*?\n---\n", "", text, flags=re.DOTALL)  # a card's metadata


def commands() -> str:
    """Every command with its options, their defaults and its examples."""
    import typer

    from ctm_cli.main import app

    group: Any = typer.main.get_command(app)
    head = ["| option | what it does | default |", "|---|---|---|"]
    text = ["# Commands and options\n", str(group.help), "", CONVENTIONS, "", *head]
    for parameter in group.params:
        text += _row(parameter)
    for name, command in group.commands.items():
        text += [f"\n## ctm {name}\n", str(command.help), "", *head]
        for parameter in command.params:
            text += _row(parameter)
        examples = [
            line for line in (command.epilog or "").splitlines() if line.startswith(("ctm", "acc"))
        ]
        text += ["\n```bash", *examples, "```"]
    return "\n".join(text) + "\n"


def _row(parameter: Any) -> Iterator[str]:
    if getattr(parameter, "hidden", False):
        return
    names = ", ".join(f"`{name}`" for name in [*parameter.opts, *parameter.secondary_opts])
    if parameter.param_type_name == "argument":
        names = f"`{parameter.name.upper()}`"
    default = parameter.default
    unsaid = default is None or default is ... or isinstance(default, bool) or callable(default)
    shown = "" if unsaid or default == [] else f"`{default}`"
    about = (getattr(parameter, "help", None) or "").replace("|", "\\|").replace("\n", " ")
    yield f"| {names} | {about} | {shown} |"


def tables() -> str:
    """Every column of every table, and every named query."""
    from ctm_data.run.schema import SCHEMA_VERSION, TABLES
    from ctm_data.sql.named_queries import named_queries

    text = [
        "# Tables\n",
        f"The tables of a run folder, schema version {SCHEMA_VERSION}. A column *per token* has lists "
        "exactly as long as the column of token ids that is named.",
    ]
    for name, table in TABLES.items():
        text += [f"\n## {name}\n", f"Key: {', '.join(f'`{key}`' for key in table.key)}.\n"]
        text += ["| column | type | per token of | meaning |", "|---|---|---|---|"]
        for column in table.columns:
            per = f"`{column.per_token}`" if column.per_token else ""
            kind = str(column.type).replace("|", "\\|")
            text.append(f"| `{column.name}` | {kind} | {per} | {column.meaning} |")
    text += ["\n## Named queries\n", "| `ctm query --name` | answers |", "|---|---|"]
    text += [f"| `{name}` | {about} |" for name, (about, _) in named_queries().items()]
    return "\n".join(text) + "\n"
