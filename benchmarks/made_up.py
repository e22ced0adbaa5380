"""Runs that are made up, for benchmarks of what reads them."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ctm_data.run.store import Store


def write_chunks(
    store: "Store", rows: Mapping[str, list[dict[str, Any]]], chunks: Iterable[int]
) -> None:
    """Writes every chunk with the same `rows` by table, its number in place of `chunk` in their words."""
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    from ctm_data.run.schema import SCHEMAS, to_table
    from ctm_data.run.store import PART_KEY, RECIPE_KEY

    first = {name: to_table(name, own) for name, own in rows.items()}
    for chunk in chunks:
        for name, table in first.items():
            columns = [
                pc.replace_substring(table[c], "chunk", f"{chunk:05d}") if table[c].type == "string"
                else table[c]
                for c in SCHEMAS[name].names
            ]  # fmt: skip
            path = store.path(name, chunk)
            path.parent.mkdir(exist_ok=True)
            own = {RECIPE_KEY: store.recipe_hash, PART_KEY: f"{name}/{path.name}"}
            part = type(table).from_arrays(columns, schema=SCHEMAS[name])
            pq.write_table(
                part.replace_schema_metadata(own),
                path,
                compression="zstd",
                write_page_checksum=True,
            )
