"""The dataset card of a run: its figures and a picture. Text by other authors is kept.

`ctm` writes the text between two markers and a few keys of the metadata. Everything else in an existing
card belongs to whoever wrote it.
"""

import json
import re
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from ctm_data.run.schema import SCHEMAS, TABLES
from ctm_eval.benchmarks import BENCHMARKS
from ctm_eval.errors import CtmError
from ctm_eval.printable import printable_lines
from ctm_eval.types import Benchmark

if TYPE_CHECKING:
    from ctm_data.pages.summary import Summary
    from ctm_data.run.store import Store

BEGIN = "<!-- ctm: what stands from here to the end mark is written by ctm, and replaced -->"
END = "<!-- ctm: end -->"
CARD, PICTURE, RESULTS = "README.md", "trajectory.svg", "results_ctm.json"
REPORT = "report.html"  # beside the card on the Hub, not in a run folder
QUERIES = ("accuracy", "existence", "word-classes", "replacement-pass-at-k", "ce-agreement")
LITTLE = 128 << 20  # bytes in which DuckDB tries to answer them: it spills what grows with the run
OURS = ("configs", "size_categories")  # metadata that is always ours
SIZES = ((10**3, "n<1K"), (10**4, "1K<n<10K"), (10**5, "10K<n<100K"), (10**6, "100K<n<1M"),
         (10**7, "1M<n<10M"), (10**8, "10M<n<100M"), (10**9, "100M<n<1B"))  # fmt: skip


def finish(store: "Store") -> None:
    """Finishes a run: writes its picture or results, its card (keeping others' text), and its manifest."""
    from ctm_data.pages.evaluation import results_json
    from ctm_data.pages.heat_map import picture

    if store.manifest["recipe"].get("command") == "eval":
        store.write_text(RESULTS, results_json(store))
    if store.parts("rollouts"):
        store.write_text(PICTURE, picture(store))
    card = store.folder / CARD
    try:
        existing = card.read_text(encoding="utf-8") if card.exists() else None
    except UnicodeDecodeError as error:
        raise CtmError(f"{card} is not UTF-8: mend it, or move it away") from error
    store.finish(dataset_card(store, existing=existing))


def dataset_card(
    store: "Store", *, repo: str | None = None, existing: str | None = None, report: bool = False
) -> str:
    """The README.md that makes a run folder a dataset repository of the Hub, named `repo` there.

    `existing` is the card that is there already, and `report` whether the page REPORT is beside it. Raises
    CtmError if its metadata or markers are broken.
    """
    import yaml

    evaluation = store.manifest["recipe"].get("command") == "eval"
    page = REPORT if report else None
    rendered = (
        _evaluation(store, page) if evaluation else _dataset(store, repo or "user/name", page)
    )
    metadata, body = split_card(rendered)
    if existing is not None:
        metadata, body = _merged(existing, metadata, body)
    header = yaml.safe_dump(metadata, sort_keys=False, allow_unicode=True, width=1000)
    return f"---\n{header}---\n{body}"


def split_card(card: str) -> tuple[dict[str, Any], str]:
    """The metadata and the body of a card. Raises CtmError if the metadata are not YAML."""
    import yaml

    match = re.match(r"\s*---[ \t]*\r?\n(.*?)\r?\n---[ \t]*(?:\r?\n|$)", card, re.DOTALL)
    if match is None:
        return {}, card
    try:
        metadata = yaml.safe_load(match[1]) or {}
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise CtmError(
            f"the metadata of {CARD} are not valid YAML ({str(error).splitlines()[0]}): fix them"
        ) from error
    if not isinstance(metadata, dict):
        raise CtmError(f"the metadata of {CARD} are not `name: value` lines: fix them")
    return metadata, card[match.end() :]


def _merged(existing: str, metadata: dict[str, Any], body: str) -> tuple[dict[str, Any], str]:
    """Merges our keys, our tags, and our text between the markers into an existing card."""
    theirs, text = split_card(existing)
    merged = {**metadata, **theirs, **{key: metadata[key] for key in OURS if key in metadata}}
    tags = theirs.get("tags") or []
    merged["tags"] = [*tags, *(tag for tag in metadata["tags"] if tag not in tags)]
    begin, end = text.find(BEGIN), text.rfind(END)
    if begin == end == -1:
        return merged, f"{text.rstrip()}\n\n{body}" if text.strip() else body
    if not 0 <= begin < end:
        raise CtmError(
            f"one of the two marks of ctm is missing in {CARD}: remove the other one too"
        )
    return merged, text[:begin] + body.strip() + text[end + len(END) :]


def _dataset(store: "Store", repo: str, report: str | None) -> str:
    from ctm_data.pages.summary import summarize

    recipe, summary = store.manifest["recipe"], summarize(store)
    tables = [table for table in SCHEMAS if store.parts(table)]
    rows = {
        table: sum(part.num_rows for part in store.each(table, [SCHEMAS[table].names[0]]))
        for table in tables
    }
    return _rendered(
        "dataset.md.j2",
        title=_title(recipe, summary),
        recipe=recipe,
        versions=store.manifest["versions"],
        schema_version=store.manifest["schema_version"],
        shard=store.manifest.get("shard"),
        origin=_origin(recipe),
        size=size_category(sum(rows.values())),
        summary=summary,
        tables=tables,
        rows=rows,
        schemas={table: _columns(table) for table in tables},
        samples={table: _sample(store, table) for table in tables},
        picture=PICTURE if (store.folder / PICTURE).exists() else None,
        figures=_figures(store),
        repo=repo,
        report=report,
    )


def _title(recipe: dict[str, Any], summary: "Summary") -> str:
    if "model" not in recipe:
        return f"Critical tokens, from {recipe['source']}"
    models = recipe["model"] if isinstance(recipe["model"], list) else [recipe["model"]]
    what = "Critical tokens" if summary.trajectories or not summary.generators else "Solutions"
    return f"{what} of {', '.join(models)} on {recipe['benchmark']}"


def _evaluation(store: "Store", report: str | None) -> str:
    from ctm_data.pages.evaluation import summarize
    from ctm_data.sql.output import markdown_cell
    from ctm_eval.report import markdown, shown

    recipe, results = store.manifest["recipe"], summarize(store)
    return _rendered(
        "evaluation.md.j2",
        recipe=recipe,
        versions=store.manifest["versions"],
        results=results,
        shown=shown(results),
        line=markdown(results, {**recipe, "benchmark": markdown_cell(recipe["benchmark"])}),
        origin=_origin(recipe),
        tables=[table for table in SCHEMAS if store.parts(table)],
        report=report,
    )


def _rendered(name: str, **values: Any) -> str:
    from jinja2 import Environment, StrictUndefined

    from ctm_data.sql.output import markdown_cell

    template = (files("ctm_cards") / name).read_text(encoding="utf-8")
    environment = Environment(
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    environment.filters.update(cell=markdown_cell, percent="{:.1%}".format, thousands="{:,}".format)
    environment.filters["yaml"] = lambda text: json.dumps(text, ensure_ascii=False)
    return printable_lines(environment.from_string(template).render(begin=BEGIN, end=END, **values))


def _origin(recipe: dict[str, Any]) -> Benchmark:
    """Where a run's problems come from."""
    unknown = Benchmark("", str(recipe.get("source")), "unknown", "math", "")
    return BENCHMARKS.get(recipe.get("benchmark", ""), unknown)


def size_category(rows: int) -> str:
    """The Hub's size category for this number of rows."""
    return next((name for bound, name in SIZES if rows < bound), "n>1B")


def _figures(store: "Store") -> dict[str, list[dict[str, Any]]]:
    """The answers of the named queries that the card shows, in little memory where that is enough."""
    import duckdb

    from ctm_data.run.sources import find
    from ctm_data.sql.connection import open_sources
    from ctm_data.sql.named_queries import named_query

    def within(memory: int | None) -> dict[str, list[dict[str, Any]]]:
        with open_sources([find(store.folder)], memory) as con:
            return {
                name.replace("-", "_"): con.sql(named_query(name)).to_arrow_table().to_pylist()
                for name in QUERIES
            }

    try:
        return within(LITTLE)
    except duckdb.OutOfMemoryException:  # what cannot spill, such as the rows of a very large part
        return within(None)


def _columns(table: str) -> list[tuple[str, str, str]]:
    return [(column.name, str(column.type), column.meaning) for column in TABLES[table].columns]


def _sample(store: "Store", table: str) -> str:
    """The first row of a table as JSON, with long texts and lists shortened, escaped for Markdown."""
    row = next(store.each(table)).slice(0, 1).to_pylist()[0]
    shown = {name: _cut(value) for name, value in row.items()}
    text = json.dumps(shown, indent=1, ensure_ascii=False)
    text = re.sub(
        r"\[\n\s+([^\[\]{}]*?)\n\s*\]", lambda m: "[" + re.sub(r"\s*\n\s*", " ", m[1]) + "]", text
    )
    return text.replace("<", "\\u003c").replace("`", "\\u0060")


def _cut(value: Any) -> Any:
    if isinstance(value, str) and len(value) > 200:
        return value[:200] + "…"
    if isinstance(value, list):
        return [_cut(item) for item in value[:6]] + (["…"] if len(value) > 6 else [])
    if isinstance(value, float):
        return round(value, 4)
    return value
