"""`ctm eval`: wires options to `ctm_data.evaluate`."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ctm_cli.options import AsJson, Config, Model, Seed

if TYPE_CHECKING:
    from ctm_eval.cotnpot import Filter
    from ctm_eval.metrics import Comparison
    from ctm_eval.results import Results

EXAMPLES = """Examples:

ctm eval

ctm eval --benchmark math500 --model Qwen/Qwen2.5-Math-1.5B --few-shot 4

ctm eval --benchmark gsm8k --model Qwen/Qwen2.5-0.5B-Instruct --chat --n-samples 16

ctm eval --benchmark mbpp --data-file mbpp.jsonl --model ./coder --engine vllm

ctm eval --n 16 --verifier models/orm --cotnpot --output-dir runs/eval-16

ctm eval --summary runs/eval-pocket --compare runs/eval-other
"""


def add_to(app: typer.Typer) -> None:
    """Adds the command to the application."""
    app.command("eval", epilog=EXAMPLES)(command)


def command(
    config: Config = None,
    output_dir: Annotated[
        Path | None, typer.Option(help="The run folder. [default: runs/eval-BENCHMARK]")
    ] = None,
    model: Model = "pocket",
    adapter: Annotated[
        str | None, typer.Option(help="The folder of a LoRA adapter, used without merging.")
    ] = None,
    benchmark: Annotated[
        str, typer.Option(help="pocket, pocket-code, gsm8k, math500, math or mbpp.")
    ] = "pocket",
    split: Annotated[str, typer.Option(help="Which split of the benchmark.")] = "test",
    data_file: Annotated[
        Path | None, typer.Option(help="The rows, from JSONL or Parquet, instead of the Hub.")
    ] = None,
    revision: Annotated[
        str | None, typer.Option(help="The benchmark's revision on the Hub. [default: the newest]")
    ] = None,
    limit: Annotated[int | None, typer.Option(help="Take the first so many problems.")] = None,
    few_shot: Annotated[
        int | None,
        typer.Option(
            help="Solved exercises before the question. [default: 8 gsm8k, 4 math, 3 mbpp]"
        ),
    ] = None,
    few_shot_file: Annotated[
        Path | None, typer.Option(help="Take them from this JSONL or Parquet file.")
    ] = None,
    chat: Annotated[
        bool, typer.Option("--chat", help="Ask in the model's chat template, without exemplars.")
    ] = False,
    n_samples: Annotated[
        int, typer.Option("--n-samples", "--n", help="Solutions a problem; one is greedy.")
    ] = 1,
    temperature: Annotated[
        float | None, typer.Option(help="Applied first. [default: 0 for one sample, else 1]")
    ] = None,
    top_p: Annotated[
        float | None, typer.Option(help="Applied after it. [default: 1 for one sample, else 0.95]")
    ] = None,
    max_new_tokens: Annotated[
        int | None, typer.Option(help="Bound on a solution. [default: 1024; for pocket 192]")
    ] = None,
    engine: Annotated[str, typer.Option(help="transformers or vllm.")] = "transformers",
    device: Annotated[str | None, typer.Option(help="cpu, cuda, … [default: cuda if any]")] = None,
    tensor_parallel: Annotated[int, typer.Option(help="GPUs a model is split over (vllm).")] = 1,
    seed: Seed = 0,
    chunk_size: Annotated[
        int | None, typer.Option(help="Problems in a part of a table. [default: 512 samples]")
    ] = None,
    allow_unisolated: Annotated[
        bool, typer.Option("--allow-unisolated", help="Run programs where they cannot be isolated.")
    ] = False,
    verifier: Annotated[
        Path | None,
        typer.Option(help="Score the samples by this verifier, a folder that `ctm train` wrote."),
    ] = None,
    cotnpot: Annotated[
        bool,
        typer.Option("--cotnpot", help="Keep the samples that a program of --coder agrees with."),
    ] = False,
    coder: Annotated[
        str | None,
        typer.Option(
            help="The model that turns solutions into programs. [default: pocket-coder for pocket]"
        ),
    ] = None,
    pool: Annotated[
        str | None, typer.Option(help="orm, prm: last, mean or min. [default: last; for prm min]")
    ] = None,
    select: Annotated[
        str | None,
        typer.Option(help="Show only first, majority, best-of-n, weighted or oracle."),
    ] = None,
    summary: Annotated[
        Path | None, typer.Option(help="Only print the figures of this run folder again.")
    ] = None,
    compare: Annotated[
        Path | None, typer.Option(help="Also test against this run, problem by problem.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Evaluate a model on a benchmark: every sample kept, figures with intervals.

    With no option at all: the built-in model on the built-in benchmark.
    """
    from ctm_cli.progress import Progress
    from ctm_data import evaluate
    from ctm_data import results as made
    from ctm_data.cotnpot import check_run
    from ctm_data.score import score_run
    from ctm_data.store import Store
    from ctm_eval.results import SELECT, shown
    from ctm_eval.verifiers import training_record

    # What is wrong with the choosing is said before the sampling, which takes long.
    if select is not None and select not in SELECT:
        raise typer.BadParameter(f"--select is one of {', '.join(SELECT)}, not {select!r}")
    if select in ("best-of-n", "weighted") and verifier is None and summary is None:
        raise typer.BadParameter(f"--select {select} needs a --verifier")
    if verifier is not None:
        training_record(verifier)
    if summary is not None:
        store = Store(summary)
    else:
        with Progress() as progress:
            store = evaluate.evaluate(
                output_dir or Path("runs") / f"eval-{benchmark}",
                model=model,
                adapter=adapter,
                benchmark=benchmark,
                split=split,
                data_file=data_file,
                revision=revision,
                limit=limit,
                few_shot=few_shot,
                few_shot_file=few_shot_file,
                chat=chat,
                n_samples=n_samples,
                temperature=temperature,
                top_p=top_p,
                max_new_tokens=max_new_tokens,
                engine=engine,
                device=device,
                tensor_parallel=tensor_parallel,
                seed=seed,
                chunk_size=chunk_size,
                isolate=not allow_unisolated,
                report=progress,
            )
    for name in store.set_aside:
        where = store.folder / "set-aside"
        print(f"set aside, and made anew: {name} (see {where})", file=sys.stderr)
    if cotnpot:
        if coder is None and store.manifest["recipe"]["model"] == "pocket":
            coder = "pocket-coder"
        with Progress() as progress:
            store = check_run(
                store.folder,
                coder,
                engine=engine,
                device=device,
                isolate=not allow_unisolated,
                report=progress,
            )
    if verifier is not None:
        with Progress() as progress:
            store = score_run(store.folder, verifier, pool=pool, device=device, report=progress)
    results = made.summarize(store)
    if select is not None:
        shown(results, select)  # a wish that cannot be met is said before anything is printed
    paired = None if compare is None else made.compare(compare, store.folder)
    if as_json:
        print(json.dumps(made.as_json(store, results, paired)))
        return
    print_results(store.folder, store.manifest["recipe"], results, select)
    if compare is not None and paired is not None:
        _print_comparison(compare, paired)


def print_results(
    folder: Path, recipe: dict, results: "Results", select: str | None = None
) -> None:
    """Prints a run's figures as a table, with the row for a model card."""
    from rich.console import Console
    from rich.table import Table

    from ctm_eval.results import markdown, shown

    console = Console()
    table = Table(box=None, pad_edge=False)
    for name, justify in (("", "left"), ("value", "right"), ("95% interval", "right")):
        table.add_column(name, justify=justify)  # type: ignore[arg-type]
    for name, estimate in shown(results, select).items():
        table.add_row(name, f"{estimate.value:.1%}", f"{estimate.low:.1%} – {estimate.high:.1%}")
    samples = f" × {results.samples} samples" if results.samples > 1 else ""
    console.print(
        f"[bold]{recipe['model']}[/bold] on [bold]{recipe['benchmark']}[/bold]: "
        f"{results.problems:,} problems{samples}\n",
        highlight=False,
    )
    console.print(table)
    for coder, kept in results.filters.items():
        console.print(f"\n{_told(coder, kept)}", highlight=False, markup=False)
    verdicts = ", ".join(f"{count:,} {reason}" for reason, count in results.reasons.items())
    console.print(f"\n{verdicts}\n", highlight=False)
    console.print(markdown(results, recipe), highlight=False, soft_wrap=True, markup=False)
    console.print(f"\n{folder}", highlight=False, soft_wrap=True)


def _told(coder: str, kept: "Filter") -> str:
    """What CoTnPoT's filter does, in words."""
    shares = (kept.kept, kept.accuracy, kept.precision, kept.recall, kept.recall_lost)
    keeps, before, among, right, lost = ("–" if s is None else f"{s:.1%}" for s in shares)
    return (
        f"CoTnPoT by {coder} keeps {keeps} of the samples: {before} of all were right, {among} of the "
        f"kept are; {right} of the right ones are kept, {lost} of the problems lose all of theirs"
    )


def _print_comparison(other: Path, paired: "Comparison") -> None:
    from rich.console import Console

    Console().print(
        f"\nagainst {other}, {paired.problems:,} problems in common: {paired.first:.1%} → "
        f"{paired.second:.1%}, difference {paired.difference:+.1%} "
        f"[{paired.low:+.1%}, {paired.high:+.1%}]\n"
        f"better on {paired.better:,}, worse on {paired.worse:,}; p = {paired.p:.2g} "
        "(exact sign-flip test, paired by problem)",
        highlight=False,
        soft_wrap=True,
        markup=False,
    )
