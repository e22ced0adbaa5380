"""`ctm eval`: wires options to `ctm_data.eval`."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ctm_cli import _completion
from ctm_cli._options import (
    AsJson,
    Config,
    Merge,
    Metrics,
    ReportTo,
    refuse_beside,
    with_options_of,
)
from ctm_cli._output import answer, say, tell_set_aside, tell_truncated
from ctm_data.config import PROCESSBENCH, EvalConfig, Select

if TYPE_CHECKING:
    from ctm_eval.cotnpot import Filter
    from ctm_eval.metrics import Comparison
    from ctm_eval.report import Results
    from ctm_eval.step_errors import Subset

EXAMPLES = """Examples:

ctm eval

ctm eval --benchmark math500 --model Qwen/Qwen2.5-Math-1.5B --few-shot 4

ctm eval --benchmark gsm8k --model Qwen/Qwen2.5-0.5B-Instruct --chat --n-samples 16

ctm eval --benchmark mbpp --data-file mbpp.jsonl --model ./coder --engine vllm

ctm eval --n 16 --verifier models/orm --cotnpot --output-dir runs/eval-16

ctm eval --benchmark processbench --data-file gsm8k.jsonl --verifier models/prm

ctm eval --chunk-size 64 --shard 0/2 --output-dir runs/e0

ctm eval --merge runs/e0 --merge runs/e1 --output-dir runs/e

ctm eval --summary runs/eval-pocket --compare runs/eval-other
"""


OF_FIGURES = ("select", "compare", "recipe", "as_json")


def add_to(app: typer.Typer) -> None:
    """Adds the command to the application."""
    app.command("eval", epilog=EXAMPLES)(command)


@with_options_of(EvalConfig)
def command(
    config: EvalConfig,
    ctx: typer.Context,
    summary: Annotated[
        Path | None,
        typer.Option(
            help="Print the figures of this run folder and do nothing else.",
            autocompletion=_completion.run_folders,
        ),
    ] = None,
    merge: Merge = None,
    metrics: Metrics = None,
    report_to: ReportTo = None,
    recipe: Config = None,
    as_json: AsJson = False,
) -> None:
    """Evaluate a model on a benchmark. Every sample is kept, and every figure has an interval.

    Without options, this evaluates the built-in model on the built-in benchmark. To resume a stopped run,
    give the same command again.
    """
    from ctm_cli._progress import Progress
    from ctm_data.build import merge_shards
    from ctm_data.eval import evaluate, evaluate_steps
    from ctm_data.pages import evaluation
    from ctm_data.run.store import Store
    from ctm_eval.report import shown

    if summary is not None:
        refuse_beside(ctx, "--summary", used=("summary", *OF_FIGURES))
    if merge:
        refuse_beside(ctx, "--merge", used=("merge", "output_dir", *OF_FIGURES))
    if config.benchmark == PROCESSBENCH:
        refuse_beside(ctx, PROCESSBENCH, unused=("metrics", "report_to"))
        with Progress() as progress:
            subsets = evaluate_steps(config, progress)
        answer(
            [asdict(one) for one in subsets], as_json=as_json, render=lambda: _show_steps(subsets)
        )
        return
    if summary is not None:
        store = Store(summary)
    elif merge:
        store = merge_shards(merge, config.place)
    else:
        with Progress(metrics=metrics, report_to=report_to or ()) as progress:
            store = evaluate(config, progress)
    tell_set_aside(store)
    results = evaluation.summarize(store)
    tell_truncated(
        results.reasons.get("truncated", 0),
        results.reasons.get("unfinished_thought", 0),
        sum(results.reasons.values()),
        store.manifest["recipe"],
    )
    shown(results, config.select)  # fail before anything is printed
    paired = None if config.compare is None else evaluation.paired(config.compare, store.folder)

    def render() -> None:
        show_results(store.name, store.manifest["recipe"], results, config.select)
        if config.compare is not None and paired is not None:
            different = evaluation.sampled_differently(config.compare, store.folder)
            _show_comparison(config.compare, paired, different)

    answer(evaluation.as_json(store, results, paired), as_json=as_json, render=render)


def show_results(
    run: str | Path, recipe: dict[str, Any], results: "Results", select: Select | None = None
) -> None:
    """Prints a run's figures as a table, with the row for a model card."""
    from rich.table import Table
    from rich.text import Text

    from ctm_eval.report import markdown, shown

    table = Table(box=None, pad_edge=False)
    for name, justify in (("", "left"), ("value", "right"), ("95% interval", "right")):
        table.add_column(name, justify=justify, overflow="fold")  # type: ignore[arg-type]
    for name, estimate in shown(results, select).items():
        table.add_row(name, f"{estimate.value:.1%}", f"{estimate.low:.1%} – {estimate.high:.1%}")
    samples = f" × {results.samples} samples" if results.samples > 1 else ""
    heading = Text.assemble((str(recipe["model"]), "bold"), " on ", (recipe["benchmark"], "bold"))
    problems = f"{results.problems:,} {'problem' if results.problems == 1 else 'problems'}"
    say(heading.append(f": {problems}{samples}\n"))
    say(table)
    for coder, kept in results.filters.items():
        say(f"\n{_filter_in_words(coder, kept)}")
    verdicts = ", ".join(f"{count:,} {reason}" for reason, count in results.reasons.items())
    say(f"\n{verdicts}")
    if results.suspicious is not None:
        say(f"programs that did what an honest one would not: {results.suspicious:,}")
    say()
    say(markdown(results, recipe), wrap=False)
    say(f"\n{run}", wrap=False)


def _show_steps(subsets: "list[Subset]") -> None:
    """Prints how well first wrong steps are found, a line a subset, beside who reads nothing."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    table.add_column("")
    for name in ("wrong", "right", "F1", "95% interval", "random", "coin"):
        table.add_column(name, justify="right")
    for one in subsets:
        wrong, right = (
            f"– of {n:,}" if found is None else f"{found.value:.1%} of {n:,}"
            for found, n in ((one.wrong, one.n_wrong), (one.right, one.n_right))
        )
        f1, random, coin = (
            "–" if f is None else f"{f:.1%}" for f in (one.f1, one.random, one.coin)
        )
        interval = "–" if one.f1 is None else f"{one.low:.1%} – {one.high:.1%}"
        table.add_row(one.name, wrong, right, f1, interval, random, coin)
    say(table)
    thresholds = {one.threshold for one in subsets if one.threshold is not None}
    said = f"wrong is the first step below {thresholds.pop():.3g}; " if thresholds else ""
    say(
        f"\n{said}random and coin: F1 without reading a step, by a verdict at random, and by the best coin "
        "between 'the first step' and 'none'"
    )


def _filter_in_words(coder: str, kept: "Filter") -> str:
    """A sentence on what the CoTnPoT filter keeps and loses."""
    shares = (kept.kept, kept.accuracy, kept.precision, kept.recall, kept.recall_lost)
    keeps, before, among, right, lost = ("–" if s is None else f"{s:.1%}" for s in shares)
    return (
        f"CoTnPoT with {coder} keeps {keeps} of the samples. Right: {before} of all samples, {among} of "
        f"the kept ones. It keeps {right} of the right samples; {lost} of the problems lose all their "
        "right ones"
    )


def _show_comparison(other: Path, paired: "Comparison", different: list[str]) -> None:
    say(
        f"\nagainst {other}, {paired.problems:,} problems in common: {paired.first:.1%} → "
        f"{paired.second:.1%}, difference {paired.difference:+.1%} "
        f"[{paired.low:+.1%}, {paired.high:+.1%}]\n"
        f"better on {paired.better:,}, worse on {paired.worse:,}; p = {paired.p:.2g} "
        "(exact sign-flip test, paired by problem)",
        wrap=False,
    )
    if different:
        say(f"sampled differently, which may be the reason: {'; '.join(different)}", wrap=False)
