"""`ctm build-dataset`: wires options to `ctm_data.build`."""

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ctm_cli.options import AsJson, Config, Seed

if TYPE_CHECKING:
    from ctm_data.summary import Summary

EXAMPLES = """Examples:

ctm build-dataset

ctm build-dataset --benchmark gsm8k --data-file test.jsonl --model Qwen/Qwen2.5-0.5B --limit 50

ctm build-dataset --shard 0/2 --output-dir runs/a0

ctm build-dataset --stages verifier --model pocket --model models/sft --n-samples 10

ctm build-dataset --merge runs/a0 --merge runs/a1 --output-dir runs/a
"""


def add_to(app: typer.Typer) -> None:
    """Adds the command to the application."""
    app.command("build-dataset", epilog=EXAMPLES)(command)


def command(
    config: Config = None,
    output_dir: Annotated[
        Path | None, typer.Option(help="The run folder. [default: runs/BENCHMARK]")
    ] = None,
    model: Annotated[
        list[str] | None,
        typer.Option(
            help="A Hub id, a local folder, or pocket (the default); several for a verifier's data."
        ),
    ] = None,
    benchmark: Annotated[
        str,
        typer.Option(
            help="pocket, gsm8k, math500, math; for a verifier pocket-code, mbpp, code too."
        ),
    ] = "pocket",
    split: Annotated[str, typer.Option(help="Which split of the benchmark.")] = "test",
    data_file: Annotated[
        Path | None, typer.Option(help="The rows, from JSONL or Parquet, instead of the Hub.")
    ] = None,
    limit: Annotated[int | None, typer.Option(help="Take the first so many problems.")] = None,
    n_samples: Annotated[int, typer.Option(help="Solutions sampled for each problem.")] = 64,
    temperature: Annotated[float, typer.Option(help="Applied first; 0 is greedy.")] = 1.0,
    top_p: Annotated[float, typer.Option(help="Applied after the temperature.")] = 0.95,
    max_new_tokens: Annotated[
        int | None, typer.Option(help="Bound on a solution. [default: 1024; for pocket 192]")
    ] = None,
    n_rollouts: Annotated[int, typer.Option(help="N of the estimator.")] = 64,
    estimator: Annotated[str, typer.Option(help="branch, or the paper's exhaustive.")] = "branch",
    label_only: Annotated[
        bool, typer.Option("--label-only", help="Only look as far left as the critical token.")
    ] = False,
    rule: Annotated[str, typer.Option(help="critical, pivotal or cliff.")] = "critical",
    trajectories: Annotated[
        int, typer.Option(help="Wrong solutions rolled out for each problem, at most.")
    ] = 1,
    stages: Annotated[
        str, typer.Option(help="What follows the sampling: rollouts, contrast, both; or verifier.")
    ] = "rollouts,contrast",
    positive_model: Annotated[
        str | None, typer.Option(help="p+ of contrast. [default: trained on the right solutions]")
    ] = None,
    negative_model: Annotated[
        str | None, typer.Option(help="p- of contrast. [default: trained on the wrong solutions]")
    ] = None,
    ce_beta: Annotated[float, typer.Option(help="beta of contrastive estimation.")] = 1.0,
    ce_plausibility: Annotated[
        float, typer.Option(help="Score 0 for tokens below this share of the likeliest under p+.")
    ] = 0.0,
    balance: Annotated[
        bool, typer.Option("--balance", help="verifier: as many right as wrong of a problem.")
    ] = False,
    describe: Annotated[
        bool,
        typer.Option("--describe", help="verifier: programs with descriptions by who wrote them."),
    ] = False,
    allow_unisolated: Annotated[
        bool, typer.Option("--allow-unisolated", help="Run programs where they cannot be isolated.")
    ] = False,
    engine: Annotated[str, typer.Option(help="transformers.")] = "transformers",
    device: Annotated[str | None, typer.Option(help="cpu, cuda, … [default: cuda if any]")] = None,
    seed: Seed = 0,
    chunk_size: Annotated[int, typer.Option(help="Problems in a part of a table.")] = 16,
    shard: Annotated[
        str | None, typer.Option(metavar="I/N", help="Do the I-th of N shares (I from 0).")
    ] = None,
    merge: Annotated[
        list[Path] | None, typer.Option(help="Join finished shards; once for each folder.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Label critical tokens: sample, grade, roll out wrong solutions, score pairs, write the tables.

    With no option at all: the built-in model on the built-in benchmark.
    """
    from ctm_cli.progress import Progress
    from ctm_data import build
    from ctm_data.summary import summarize

    folder = output_dir or Path("runs") / benchmark
    chosen = [stage.strip() for stage in stages.split(",")]
    if merge:
        with Progress() as progress:
            store = build.merge_shards(merge, folder, stages=chosen, device=device, report=progress)
    else:
        with Progress() as progress:
            store = build.build_dataset(
                folder,
                model=model or "pocket",
                benchmark=benchmark,
                split=split,
                data_file=data_file,
                limit=limit,
                n_samples=n_samples,
                temperature=temperature,
                top_p=top_p,
                max_new_tokens=max_new_tokens,
                n_rollouts=n_rollouts,
                estimator=estimator,  # type: ignore[arg-type]
                label_only=label_only,
                rule=rule,  # type: ignore[arg-type]
                trajectories=trajectories,
                stages=chosen,
                positive_model=positive_model,
                negative_model=negative_model,
                ce_beta=ce_beta,
                ce_plausibility=ce_plausibility,
                balance=balance,
                describe=describe,
                isolate=not allow_unisolated,
                engine=engine,
                device=device,
                seed=seed,
                chunk_size=chunk_size,
                shard=_shard(shard),
                report=progress,
            )
    for name in store.set_aside:
        print(f"set aside, and made anew: {name} (see {folder / 'set-aside'})", file=sys.stderr)
    summary = summarize(store)
    if as_json:
        print(json.dumps({"run": str(folder), **asdict(summary)}))
    else:
        _print(summary, folder)


def _shard(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    first, _, second = text.partition("/")
    if not (first.isdigit() and second.isdigit()):
        raise typer.BadParameter(f"--shard takes I/N, such as 0/2, not {text!r}")
    return int(first), int(second)


def _print(summary: "Summary", folder: Path) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(justify="right", style="bold")
    table.add_column()
    accuracy = "" if summary.accuracy is None else f", {summary.accuracy:.1%} of them correct"
    table.add_row(f"{summary.problems:,}", "problems")
    table.add_row(f"{summary.solutions:,}", f"solutions sampled{accuracy}")
    for count, what in ((summary.truncated, "cut off by --max-new-tokens"),
                        (summary.no_answer, "without an answer")):  # fmt: skip
        if count:
            table.add_row(f"{count:,}", f"solutions {what}")
    for name, (right, wrong) in summary.generators.items():
        table.add_row(f"{right:,} + {wrong:,}", f"distinct right and wrong solutions of {name}")
    verifier = bool(summary.generators and not summary.trajectories)
    if not verifier:
        table.add_row(f"{summary.trajectories:,}", "wrong solutions rolled out")
        lost = "in problems lost from the start"
        hopeless = f", {summary.hopeless:,} of them {lost}" if summary.hopeless else ""
        table.add_row(f"{summary.critical:,}", f"critical tokens found{hopeless}")
        table.add_row(f"{summary.pairs:,}", "pairs scored by contrastive estimation")
    total, rollouts = summary.generated_tokens, summary.rollout_tokens
    table.add_row(f"{total:,}", f"tokens generated, {rollouts:,} of them to find the values")
    if summary.rollout_tokens and summary.exhaustive_tokens > summary.rollout_tokens:
        saved = summary.exhaustive_tokens - summary.rollout_tokens
        ratio = summary.exhaustive_tokens / summary.rollout_tokens
        table.add_row(f"≈ {saved:,}", f"tokens saved against exhaustive rollouts ({ratio:.0f} ×)")
    console = Console()
    console.print(table)
    if verifier:
        console.print(f"\nNext:\n  ctm train orm {folder}", highlight=False)
        return
    if not summary.trajectories:
        why = "every solution is correct" if summary.correct else "no wrong solution has an answer"
        console.print(f"\nNothing was rolled out: {why}.")
    console.print(f"\nNext:\n  ctm show {folder}", highlight=False)
    if summary.pairs:
        console.print(f"  ctm train cdpo {folder}", highlight=False)
    console.print(
        f"  python -c \"import datasets; print(datasets.load_dataset('{folder}', 'rollouts'))\"",
        highlight=False,
        soft_wrap=True,
    )
