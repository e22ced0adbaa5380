"""Benchmarks: one file for each, with all facts about it, and the loading of their problems."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import Any

from ctm_eval.data_files import read_rows
from ctm_eval.errors import CtmError
from ctm_eval.hub import notice_offline
from ctm_eval.types import Benchmark, Problem

FOUND = (
    found
    for module in iter_modules(__path__)
    for found in vars(import_module(f"{__name__}.{module.name}")).values()
    if isinstance(found, Benchmark)
)
BENCHMARKS = {
    one.name: one
    for one in sorted(
        FOUND, key=lambda one: (one.generate is None or one.size is not None, one.name)
    )
}
"""Every benchmark that a file of this folder defines, by name; the endless ones first."""

GENERATED_COUNT = 32  # problems of a generated benchmark, where no limit is given
QUESTION_MOST = 1_000_000  # characters; a tokenizer is silent for seconds over as many
GENERATED_MOST = 100_000  # and at most; they are held in memory


def load_problems(benchmark: str, **options: Any) -> list[Problem]:
    """The problems that `each_problem` gives for the same options, in a list. Raises CtmError."""
    return list(each_problem(benchmark, **options))


def each_problem(
    benchmark: str,
    *,
    split: str = "test",
    data_file: str | Path | None = None,
    limit: int | None = None,
    seed: int = 0,
    revision: str | None = None,
) -> Iterator[Problem]:
    """The first `limit` problems of a benchmark's split, read from the Hub or from `data_file`.

    `data_file` is a JSONL or Parquet file with the same fields as the rows on the Hub; `revision` is the
    commit on the Hub. `code` reads any file of tasks with a `prompt` and `tests`. `pocket` and
    `pocket-code` are generated from `seed`, with 32 problems unless `limit` is given. Raises CtmError for
    an unknown benchmark, a missing file, or a row that cannot be read, whose number is in the message; also
    for a question of more than `QUESTION_MOST` characters, and for two rows of one problem.
    """
    kind = benchmark_called(benchmark)
    if kind.generate is not None:
        if data_file is not None or revision is not None:
            option = "--data-file" if data_file is not None else "--revision"
            raise CtmError(f"{benchmark} generates its problems: leave out {option}", usage=True)
        if limit is not None and limit > GENERATED_MOST:
            raise CtmError(
                f"--limit is at most {GENERATED_MOST:,} for {benchmark}, whose problems are generated",
                usage=True,
            )
        count = limit or kind.size or GENERATED_COUNT
        yield from kind.generate(split, count, seed)
        return
    assert kind.read is not None
    if kind.repo is None and data_file is None:
        raise CtmError(f"{benchmark} is read from a file: give --data-file", usage=True)
    if data_file is not None and revision is not None:
        raise CtmError(
            f"--revision is of {benchmark} on the Hub, and {data_file} is here: leave it out",
            usage=True,
        )
    rows = read_rows(data_file) if data_file else _rows_of_hub(kind, split, revision)
    found, named = 0, dict[str, str]()
    for index, (where, row) in enumerate(rows):
        if found == limit:
            break
        try:
            problem = kind.read(row, split, index)
        except CtmError as error:
            raise CtmError(f"{where} is not a row of {benchmark}: {error}", usage=True) from error
        if problem is None:
            continue
        if len(problem.question) > QUESTION_MOST:
            raise CtmError(
                f"{where} has a question of {len(problem.question):,} characters, more than any model "
                f"reads: shorten it to {QUESTION_MOST:,} at most, or leave the row out",
                usage=True,
            )
        if kind.own_ids and (first := named.setdefault(problem.problem_id, where)) != where:
            raise CtmError(
                f"{where} is the problem {problem.problem_id} again, which {first} is already: leave one "
                "of them out, or give it an id of its own",
                usage=True,
            )
        found += 1
        yield problem
    if not found:
        source = data_file or kind.repo
        raise CtmError(f"{source} has no problems in the split {split}", usage=True)


def benchmark_called(name: str) -> Benchmark:
    """The benchmark of that name. Raises CtmError if there is none."""
    if name not in BENCHMARKS:
        raise CtmError(
            f"unknown benchmark {name!r}; there are: {', '.join(BENCHMARKS)}", usage=True
        )
    return BENCHMARKS[name]


def revision_of(benchmark: str, revision: str | None = None) -> str | None:
    """The commit that `revision` (a branch or tag, by default the latest) currently refers to on the Hub.

    None for a benchmark that is not on the Hub. Raises CtmError if the Hub cannot be reached.
    """
    kind = BENCHMARKS.get(benchmark)
    if kind is None or kind.repo is None:
        return None
    from datasets import load_dataset_builder

    with _explained(kind):
        return load_dataset_builder(kind.repo, kind.config, revision=revision).hash


def _rows_of_hub(
    kind: Benchmark, split: str, revision: str | None
) -> Iterable[tuple[str, dict[str, Any]]]:
    from datasets import load_dataset

    assert kind.repo is not None
    with _explained(kind):
        dataset = load_dataset(kind.repo, kind.config, split=split, revision=revision)
    return ((f"{kind.repo}, row {number}", row) for number, row in enumerate(dataset, 1))


@contextmanager
def _explained(kind: Benchmark) -> Iterator[None]:
    notice_offline()
    try:
        yield
    except (OSError, ValueError) as error:
        raise CtmError(
            f"cannot load {kind.repo} from the Hub: {str(error).splitlines()[0]}; "
            f"without network access, give a local copy with --data-file"
        ) from error
