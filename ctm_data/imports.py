"""`import_steps`: others' files of steps and pivotal tokens into a run folder, every row checked."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ctm_data.formats import FORKING_FAST, FORMATS, READ, Format
from ctm_data.formats.record import Stepped, Unfit
from ctm_data.run.store import Store
from ctm_eval.data_files import fingerprint, read_rows
from ctm_eval.errors import CtmError
from ctm_eval.hub import is_hub_name, notice_offline

CHUNK = 500  # problems in a part
Row = dict[str, Any]


@dataclass(frozen=True)
class Imported:
    """How many problems, solutions and steps came in, after how many steps the value rises or falls, and
    how many rows were set aside, by reason."""

    problems: int
    solutions: int
    steps: int
    rises: int
    falls: int
    set_aside: dict[str, int]


def import_steps(
    data_file: str | Path, kind: str, output_dir: str | Path, *, tokenizer: str | None = None
) -> Imported:
    """Reads `data_file` in the format `kind` (see `ctm_data.formats`) into a run folder.

    It is a file, a folder of Parquet files, or a dataset on the Hub (USER/NAME or USER/NAME:CONFIG), of
    which the split `train` is read. `tokenizer` names the one whose tokens tokenhd scores. Every row is
    checked: lines that are no JSON object, texts, lengths, differences that do not follow from their
    probabilities, rows that are there twice. What fails is set aside and counted, in the manifest too.
    Raises CtmError if no row can be taken.
    """
    from ctm_data.pages.card import finish

    form = format_called(kind, tokenizer)
    broken: Counter[str] = Counter()
    read, source = _source(data_file, broken)
    records, aside = checked(form, read)
    aside += broken
    if not records:
        reasons = "; ".join(f"{reason}: {count}" for reason, count in aside.most_common(5))
        raise CtmError(
            f"{data_file}: no row can be taken as {kind} ({reasons or 'the file is empty'})",
            usage=True,
        )
    set_aside = dict(sorted(aside.items()))
    recipe = {"source": source, "format": kind, "set_aside": set_aside}
    tables = list(_tables(records, kind))
    with Store.open(output_dir, recipe) as store:
        for chunk, rows in enumerate(tables):
            for table, own in rows.items():
                store.write(table, chunk, own)
        finish(store)
    steps = [step for record in records for step in record.steps]
    changes = [s.value - s.value_before for s in steps
               if s.value is not None and s.value_before is not None]  # fmt: skip
    return Imported(
        problems=sum(len(rows["problems"]) for rows in tables),
        solutions=len(records),
        steps=len(steps),
        rises=sum(change > 0 for change in changes),
        falls=sum(change < 0 for change in changes),
        set_aside=set_aside,
    )


def checked(form: Format, rows: Iterable[Row]) -> tuple[list[Stepped], Counter[str]]:
    """The records of a format's rows, each once, and why others were set aside. Never raises for what a
    row holds."""
    found: dict[Stepped, None] = {}
    aside: Counter[str] = Counter()
    for one in form.read(rows):
        if isinstance(one, Unfit):
            aside[str(one)] += 1
        elif one in found:
            aside["a row that is there twice"] += 1
        else:
            found[one] = None
    return list(found), aside


def format_called(kind: str, tokenizer: str | None = None) -> Format:
    """The format of that name. Raises CtmError if there is none, or for a tokenizer too many or too few."""
    if kind not in READ:
        raise CtmError(f"unknown format {kind!r}; there are: {', '.join(READ)}", usage=True)
    if (tokenizer is None) == (kind == "tokenhd"):
        told = "needs" if tokenizer is None else "has no use for"
        raise CtmError(f"{kind} {told} a --tokenizer", usage=True)
    if tokenizer is not None:
        from ctm_data.formats.tokenhd import tokenhd
        from ctm_eval.models import load_tokenizer

        return tokenhd(load_tokenizer(tokenizer))
    return FORKING_FAST if kind == FORKING_FAST.name else FORMATS[kind]


def _source(data_file: str | Path, broken: Counter[str]) -> tuple[Iterable[Row], str | None]:
    """The rows of a file or a dataset on the Hub, and what a manifest says of where they are from. Lines
    of a file that are no row are counted in `broken` as they are met."""
    name, _, config = str(data_file).partition(":")
    if Path(data_file).exists() or Path(name).suffix or not is_hub_name(name):
        return (row for _, row in read_rows(data_file, broken)), fingerprint(data_file)
    from datasets import load_dataset, load_dataset_builder

    notice_offline()
    try:
        commit = load_dataset_builder(name, config or None).hash
        # A row at a time: some of these are gigabytes of rollouts, of which few files are read.
        rows = load_dataset(name, config or None, split="train", revision=commit, streaming=True)
    except (OSError, ValueError) as error:
        raise CtmError(
            f"cannot read {data_file}: it is neither a file nor a dataset on the Hub that can be reached "
            f"({(str(error).strip().splitlines() or [type(error).__name__])[0]})",
            usage=True,
        ) from error
    return iter(rows), f"{data_file} {commit}"


def _tables(records: Iterable[Stepped], kind: str) -> Iterator[dict[str, list[Row]]]:
    """The rows of the tables, chunk by chunk; solutions follow their problems."""
    problems: dict[tuple[str, str | None], list[Stepped]] = {}
    for record in records:
        problems.setdefault((record.question, record.answer), []).append(record)
    numbered = list(enumerate(problems.items()))
    for start in range(0, len(numbered), CHUNK):
        rows: dict[str, list[Row]] = {"problems": [], "solutions": [], "steps": []}
        for number, ((question, answer), own) in numbered[start : start + CHUNK]:
            problem_id = f"{kind}-{number:06d}"
            rows["problems"].append(
                {"problem_id": problem_id, "question": question, "answer": answer, "tests": []}
            )
            for index, record in enumerate(own):
                ids = {"solution_id": f"{problem_id}-{index:03d}", "problem_id": problem_id}
                rows["solutions"].append(
                    {
                        **ids,
                        "sample_index": index,
                        "model": record.model,
                        "text": record.text,
                        "correct": record.correct,
                    }
                )
                rows["steps"] += [
                    {**ids, "step_index": i, **asdict(step)} for i, step in enumerate(record.steps)
                ]
        yield rows
