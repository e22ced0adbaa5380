"""The dataset card of a run folder, from its manifest and its figures."""

from importlib.resources import files
from typing import TYPE_CHECKING, Any

from ctm_data.tables import SCHEMAS

if TYPE_CHECKING:
    from ctm_data.store import Store
    from ctm_data.summary import Summary
    from ctm_eval.results import Results


def dataset_card(store: "Store", summary: "Summary") -> str:
    """The README.md that makes a run folder a Hub dataset repository."""
    return _rendered(
        "dataset.md.j2",
        recipe=store.manifest["recipe"],
        versions=store.manifest["versions"],
        schema_version=store.manifest["schema_version"],
        shard=store.manifest.get("shard"),
        summary=summary,
        tables=[table for table in SCHEMAS if store.parts(table)],
    )


def evaluation_card(store: "Store", results: "Results") -> str:
    """The README.md of a run folder that `ctm eval` made."""
    from ctm_eval.results import markdown, shown

    recipe = store.manifest["recipe"]
    return _rendered(
        "evaluation.md.j2",
        recipe=recipe,
        versions=store.manifest["versions"],
        results=results,
        shown=shown(results),
        line=markdown(results, recipe),
        tables=[table for table in SCHEMAS if store.parts(table)],
    )


def _rendered(name: str, **values: Any) -> str:
    from jinja2 import Environment, StrictUndefined

    template = (files("ctm_cards") / name).read_text(encoding="utf-8")
    environment = Environment(
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    return environment.from_string(template).render(**values)
