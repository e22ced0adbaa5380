"""`ctm grade`: wires options to `ctm_eval.grading.grade_file` and `explain`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ctm_cli._options import AsJson, Unisolated, refuse_beside
from ctm_cli._output import answer

if TYPE_CHECKING:
    from ctm_eval.grading.files import FileGrades

EXAMPLES = """Examples:

ctm grade outputs.jsonl --benchmark gsm8k

ctm grade runs/eval-pocket

ctm grade runs/pocket/solutions --problems runs/pocket/problems --output graded.jsonl

ctm grade --explain "1/2" "The answer is 50%."
"""


OF_FILES = ("benchmark", "text_column", "gold_column", "problems", "output", "processes")


def add_to(app: typer.Typer) -> None:
    """Adds the command to the application."""
    app.command("grade", epilog=EXAMPLES)(command)


def command(
    ctx: typer.Context,
    file: Annotated[
        Path | None,
        typer.Argument(
            help="Run folder, JSONL or Parquet file, or folder of Parquet files.",
            show_default=False,
        ),
    ] = None,
    benchmark: Annotated[
        str | None,
        typer.Option(
            help="Benchmark whose answer format is expected, such as gsm8k (####) or math500 (a box)."
        ),
    ] = None,
    text_column: Annotated[
        str | None, typer.Option(help="Column of the responses. [default: text, response, ...]")
    ] = None,
    gold_column: Annotated[
        str | None, typer.Option(help="Column of the gold answers. [default: gold, reference, ...]")
    ] = None,
    problems: Annotated[
        Path | None, typer.Option(help="File with the gold answers, joined by problem_id.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option(help="Write the rows with their new verdicts to this JSONL file.")
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Exit with 1 if a saved verdict would change.")
    ] = False,
    processes: Annotated[
        int | None, typer.Option(help="Number of grading processes. [default: one for each CPU]")
    ] = None,
    explained: Annotated[
        tuple[str, str] | None,
        typer.Option("--explain", metavar="GOLD TEXT", help="Show how one response is graded."),
    ] = None,
    allow_unisolated: Unisolated = False,
    as_json: AsJson = False,
) -> None:
    """Grade saved outputs again, without generating.

    In the run folder of an evaluation, the verdicts and results_ctm.json are updated.
    """
    from ctm_eval.errors import CtmError
    from ctm_eval.grading import explain, grade_file

    if explained is not None:
        refuse_beside(ctx, "--explain", used=("explained", "benchmark"))
        print(explain(*explained, benchmark))
        return
    if file is None:
        raise CtmError("give a FILE to grade, or --explain GOLD TEXT", usage=True)
    if (file / "manifest.json").is_file():
        refuse_beside(
            ctx,
            f"a run folder ({file / 'solutions'} is graded as files)",
            unused=OF_FILES,
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
        raise CtmError(f"the verdicts of {len(grades.changed)} rows differ from the saved ones")


def _show(grades: "FileGrades") -> None:
    share = grades.correct / grades.total
    print(f"{grades.correct:,} of {grades.total:,} correct ({share:.1%})")
    print("reasons  " + ", ".join(f"{name} {n:,}" for name, n in grades.reasons.items()))
    print("layers   " + ", ".join(f"{name} {n:,}" for name, n in grades.layers.items()))
    if grades.changed is not None:
        print(f"changed  {len(grades.changed):,} of the saved verdicts")


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
        print(f"changed  {len(changed):,} of the saved verdicts")

    value = {**evaluation.as_json(store, results), "changed": changed}
    answer(value, as_json=as_json, render=render)
    if check and changed:
        raise CtmError(f"the verdicts of {len(changed)} samples differ from the saved ones")
