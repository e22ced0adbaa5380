"""`ctm grade`: wires options to `ctm_eval.grading.grade_file` and `explain`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ctm_cli._options import AsJson, Unisolated
from ctm_cli._output import answer

if TYPE_CHECKING:
    from ctm_eval.grading.files import FileGrades

EXAMPLES = """Examples:

ctm grade outputs.jsonl --benchmark gsm8k

ctm grade runs/eval-pocket

ctm grade runs/pocket/solutions --problems runs/pocket/problems --output graded.jsonl

ctm grade --explain "1/2" "The answer is 50%."
"""


def add_to(app: typer.Typer) -> None:
    """Adds the command to the application."""
    app.command("grade", epilog=EXAMPLES)(command)


def command(
    file: Annotated[
        Path | None,
        typer.Argument(
            help="A run folder, a JSONL or Parquet file, or a folder of Parquet.",
            show_default=False,
        ),
    ] = None,
    benchmark: Annotated[
        str | None, typer.Option(help="gsm8k, math, math500 or pocket: where its answers stand.")
    ] = None,
    text_column: Annotated[
        str | None, typer.Option(help="The column of responses. [default: text, response, ...]")
    ] = None,
    gold_column: Annotated[
        str | None, typer.Option(help="The column of golds. [default: gold, reference, ...]")
    ] = None,
    problems: Annotated[
        Path | None, typer.Option(help="Where the golds are, joined by problem_id.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option(help="Write the rows with their new verdicts here, as JSONL.")
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Exit 1 when a saved `correct` was graded otherwise.")
    ] = False,
    processes: Annotated[
        int | None, typer.Option(help="Processes to grade with. [default: one a CPU]")
    ] = None,
    explained: Annotated[
        tuple[str, str] | None,
        typer.Option("--explain", metavar="GOLD TEXT", help="Show how one response is graded."),
    ] = None,
    allow_unisolated: Unisolated = False,
    as_json: AsJson = False,
) -> None:
    """Re-score saved outputs without generating.

    The folder of an evaluation is brought up to date: verdicts and results.json.
    """
    from ctm_eval.errors import CtmError
    from ctm_eval.grading import explain, grade_file

    if explained is not None:
        print(explain(*explained, benchmark))
        return
    if file is None:
        raise CtmError("give a FILE to grade, or --explain GOLD TEXT", usage=True)
    if (file / "manifest.json").is_file():
        if benchmark or text_column or gold_column or problems or output:
            raise CtmError(
                f"a run folder knows its columns and its benchmark: give {file / 'solutions'} to grade "
                "its samples as a file",
                usage=True,
            )
        _grade_run(file, check=check, isolate=not allow_unisolated, as_json=as_json)
        return
    grades = grade_file(
        file,
        benchmark,
        text_column=text_column,
        gold_column=gold_column,
        problems=problems,
        output=output,
        processes=processes,
    )
    answer(grades.summary(), as_json=as_json, render=lambda: _show(grades))
    if check and grades.changed is None:
        raise CtmError("--check needs a boolean column `correct` in the file", usage=True)
    if check and grades.changed:
        raise CtmError(f"{len(grades.changed)} rows are graded otherwise than they were saved")


def _show(grades: "FileGrades") -> None:
    share = grades.correct / grades.total
    print(f"{grades.correct:,} of {grades.total:,} correct ({share:.1%})")
    print("reasons  " + ", ".join(f"{name} {n:,}" for name, n in grades.reasons.items()))
    print("layers   " + ", ".join(f"{name} {n:,}" for name, n in grades.layers.items()))
    if grades.changed is not None:
        print(f"changed  {len(grades.changed):,} against the saved verdicts")


def _grade_run(folder: Path, *, check: bool, isolate: bool, as_json: bool) -> None:
    from ctm_cli._progress import Progress
    from ctm_cli.eval import show_results
    from ctm_data.pages import evaluation
    from ctm_data.regrade import regrade
    from ctm_data.run.store import Store
    from ctm_eval.errors import CtmError

    with Progress() as progress:
        results, changed = regrade(folder, write=not check, isolate=isolate, progress=progress)
    store = Store(folder)

    def render() -> None:
        show_results(folder, store.manifest["recipe"], results)
        print(f"changed  {len(changed):,} against the saved verdicts")

    value = {**evaluation.as_json(store, results), "changed": changed}
    answer(value, as_json=as_json, render=render)
    if check and changed:
        raise CtmError(f"{len(changed)} samples are graded otherwise than they were saved")
