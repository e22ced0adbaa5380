"""`ctm build-dataset`: wires options to `ctm_data.build`."""

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from ctm_cli._options import (
    AsJson,
    Config,
    Merge,
    Metrics,
    ReportTo,
    refuse_beside,
    with_options_of,
)
from ctm_cli._output import answer, next_steps, say, tell_set_aside, tell_truncated, typed
from ctm_data.config import BuildConfig
from ctm_data.run.bucket import is_url

if TYPE_CHECKING:
    from ctm_data.pages.summary import Summary
    from ctm_data.plan import Plan

EXAMPLES = """Examples:

ctm build-dataset

ctm build-dataset --benchmark gsm8k --data-file test.jsonl --model Qwen/Qwen2.5-0.5B --limit 50

ctm build-dataset --limit 1000 --plan

ctm build-dataset --output-dir s3://bucket/run

ctm build-dataset --shard 0/2 --output-dir runs/a0

ctm build-dataset --stages verifier --model pocket --model models/sft --n-samples 10

ctm build-dataset --merge runs/a0 --merge runs/a1 --output-dir runs/a
"""


OF_MERGE = ("merge", "output_dir", "stages", "device", "recipe", "as_json")


def add_to(app: typer.Typer) -> None:
    """Adds the command to the application."""
    app.command("build-dataset", epilog=EXAMPLES)(command)


@with_options_of(BuildConfig)
def command(
    config: BuildConfig,
    ctx: typer.Context,
    merge: Merge = None,
    metrics: Metrics = None,
    report_to: ReportTo = None,
    plan: Annotated[
        bool,
        typer.Option(
            "--plan",
            help="Run a few problems and print what the whole run will cost; write nothing.",
            rich_help_panel="Running",
        ),
    ] = False,
    recipe: Config = None,
    as_json: AsJson = False,
) -> None:
    """Sample solutions, grade them, find critical tokens by rollouts, score preference pairs; write tables.

    Without options, this runs the built-in model on the built-in benchmark. To resume a stopped run, give
    the same command again.
    """
    from ctm_cli._progress import Progress
    from ctm_data import build
    from ctm_data.pages.summary import summarize

    if merge:
        refuse_beside(ctx, "--merge", used=OF_MERGE)
    if plan:
        refuse_beside(ctx, "--plan", unused=("metrics", "report_to"))
        from ctm_data.plan import plan as planned

        with Progress() as progress:
            found = planned(config, progress)
        answer(asdict(found), as_json=as_json, render=lambda: _show_plan(found))
        return
    with Progress(metrics=metrics, report_to=report_to or ()) as progress:
        if merge:
            store = build.merge_shards(
                merge,
                config.place,
                stages=config.stages,
                device=config.device,
                progress=progress,
            )
        else:
            store = build.build_dataset(config, progress)
    tell_set_aside(store)
    summary = summarize(store)
    tell_truncated(
        summary.truncated,
        summary.unfinished_thought,
        summary.solutions,
        store.manifest["recipe"],
    )
    answer(
        {"run": store.name, **asdict(summary)},
        as_json=as_json,
        render=lambda: _show(summary, store.name, "rollouts" in config.stages),
    )


def _show_plan(plan: "Plan") -> None:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for name in ("", "likely", "95% interval"):
        table.add_column(name, justify="right" if name else "left")
    rows = [("tokens", plan.tokens, 1.0), ("minutes", plan.seconds, 60.0), ("MB", plan.bytes, 1e6)]
    rows += [(f"rollout tokens, {name}", cost, 1.0) for name, cost in plan.rollout_tokens.items()]
    for name, cost, unit in rows:
        likely, low, high = (f"{x / unit:,.0f}" if x >= 10 * unit else f"{x / unit:.2g}"
                             for x in (cost.likely, cost.low, cost.high))  # fmt: skip
        table.add_row(name, likely, f"{low} – {high}")
    say(f"{plan.problems:,} problems, from {plan.measured:,} of them\n")
    say(table)
    if plan.leaving is not None:
        say(
            f"\n{plan.leaving:.1%} of the probability leaves a token, which decides what branch costs"
        )
    say(f"Without {plan.loading:.0f} s to load the model, and without the training of p+ and p-.")


def _show(summary: "Summary", run: str, rolled_out: bool = True) -> None:
    from rich.table import Table

    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(justify="right", style="bold")
    table.add_column()
    accuracy = "" if summary.accuracy is None else f", {summary.accuracy:.1%} of them correct"
    table.add_row(f"{summary.problems:,}", "problems")
    if summary.asked:
        table.add_row(summary.asked, "form of the prompts")
    table.add_row(f"{summary.solutions:,}", f"solutions sampled{accuracy}")
    for count, what in ((summary.thoughts, "with a thought"),
                        (summary.truncated, "cut off by --max-new-tokens"),
                        (summary.unfinished_thought, "with a thought that does not end"),
                        (summary.no_answer, "without an answer"),
                        (summary.suspicious, "that did what an honest program would not")):  # fmt: skip
        if count:
            table.add_row(f"{count:,}", f"solutions {what}")
    for name, (right, wrong) in summary.generators.items():
        table.add_row(f"{right:,} + {wrong:,}", f"distinct right and wrong solutions of {name}")
    verifier = bool(summary.generators and not summary.trajectories)
    if rolled_out and not verifier:
        table.add_row(f"{summary.trajectories:,}", "solutions rolled out")
        for reason, count in summary.left_out.items():
            table.add_row(f"{count:,}", f"problems left out: {reason}")
        lost = "where the value is 0 before the first token"
        hopeless = f", {summary.hopeless:,} of them {lost}" if summary.hopeless else ""
        thought = f", {summary.in_thought:,} of them in a thought" if summary.thoughts else ""
        table.add_row(f"{summary.critical:,}", f"critical tokens found{hopeless}{thought}")
        for how, found in summary.reliability.items():
            if found:
                ends = f"95% interval {found.low:.1%} to {found.high:.1%}"
                table.add_row(
                    f"{found.share:.1%}", f"of labels are the same in a second run, {how} ({ends})"
                )
    if not verifier:
        table.add_row(f"{summary.pairs:,}", "pairs scored by contrastive estimation")
    total, rollouts = summary.generated_tokens, summary.rollout_tokens
    table.add_row(f"{total:,}", f"tokens generated, {rollouts:,} of them to estimate values")
    if summary.rollout_tokens and summary.exhaustive_tokens > summary.rollout_tokens:
        saved = summary.exhaustive_tokens - summary.rollout_tokens
        ratio = summary.exhaustive_tokens / summary.rollout_tokens
        table.add_row(f"≈ {saved:,}", f"tokens saved over exhaustive rollouts ({ratio:.0f} ×)")
    say(table)
    if is_url(run):
        next_steps(f"ctm pull {typed(run)}")
        return
    if verifier:
        next_steps(f"ctm train orm {typed(run)}")
        return
    if rolled_out and not summary.trajectories:
        why = ", ".join(f"{n:,} of the problems {why}" for why, n in summary.left_out.items())
        say(f"\nNothing was rolled out: {why or 'there is no problem'}; see --pass-rate and --of.")
    steps = [f"ctm show {typed(run)}"] if summary.trajectories else []
    steps += [f"ctm train cdpo {typed(run)}"] if summary.pairs else []
    if steps:
        largest = "rollouts" if summary.trajectories else "contrast"
        named = json.dumps([run, largest], ensure_ascii=False)[1:-1]
        code = f"import datasets; print(datasets.load_dataset({named}))"
        next_steps(*steps, f"python -c {typed(code)}")
