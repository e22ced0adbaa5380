"""`ctm compare`: wires options to `ctm_data.compare` and `ctm_data.compare_steps`."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ctm_cli._options import AsJson, Device, Run, Seed, refuse_beside
from ctm_cli._output import answer, say

if TYPE_CHECKING:
    from ctm_data.compare import Agreement
    from ctm_data.compare_steps import StepComparison
    from ctm_data.kinds import Kind

EXAMPLES = """Examples:

ctm compare runs/pocket

ctm compare runs/pocket --json

ctm compare runs/pocket --curve 4

ctm compare runs/pocket --kinds

ctm compare runs/champ --steps --model ./smollm2 --limit 100

ctm compare runs/processbench --steps --data-file gsm8k.jsonl --model Qwen/Qwen2.5-1.5B-Instruct
"""
STEPS = "Against human marks (--steps)"
OF_STEPS = ("data_file", "model", "limit", "n_rollouts", "temperature", "top_p", "max_new_tokens")


def add_to(app: typer.Typer) -> None:
    """Adds the command to the application."""
    app.command("compare", epilog=EXAMPLES)(command)


def command(
    ctx: typer.Context,
    run: Run,
    steps: Annotated[
        bool,
        typer.Option(
            "--steps",
            help="Roll out solutions whose first wrong step a human marked, into RUN, and say where their "
            "critical tokens lie.",
            rich_help_panel=STEPS,
        ),
    ] = False,
    kinds: Annotated[
        bool,
        typer.Option(
            "--kinds",
            help="Sort cliff tokens (deterministic, uncertain, sampled-off) and pivotal ones (by sign).",
        ),
    ] = False,
    curve: Annotated[
        int | None,
        typer.Option(
            help="Roll out every trajectory again with N rollouts for each value, and say how well the "
            "value drops of this curve find the critical token.",
            metavar="N",
            min=1,
        ),
    ] = None,
    data_file: Annotated[
        Path | None,
        typer.Option(
            help="Marked solutions in ProcessBench's shape. [default: CHAMP, of champ-dataset]",
            rich_help_panel=STEPS,
        ),
    ] = None,
    model: Annotated[
        str, typer.Option(help="Model that rolls the solutions out.", rich_help_panel=STEPS)
    ] = "pocket",
    limit: Annotated[
        int | None,
        typer.Option(
            help="Use only the first N wrong solutions.", metavar="N", rich_help_panel=STEPS
        ),
    ] = None,
    n_rollouts: Annotated[
        int, typer.Option(help="Rollouts for each value.", rich_help_panel=STEPS, min=1)
    ] = 64,
    temperature: Annotated[
        float, typer.Option(help="Temperature of the rollouts.", rich_help_panel=STEPS)
    ] = 1.0,
    top_p: Annotated[
        float, typer.Option(help="Nucleus mass of the rollouts.", rich_help_panel=STEPS)
    ] = 0.95,
    max_new_tokens: Annotated[
        int | None,
        typer.Option(
            help="Maximum length of a solution in tokens. [default: 1024, or what the model has "
            "positions for]",
            rich_help_panel=STEPS,
        ),
    ] = None,
    device: Device = None,
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """Measure how well contrastive estimation finds the critical tokens that rollouts find.

    With --kinds, sort the tokens that move the value; with --steps, compare critical tokens with the steps
    that humans marked as the first wrong ones.
    """
    _refuse_mixed(ctx, steps, kinds, curve)
    if steps:
        from ctm_cli._progress import Progress
        from ctm_data.compare_steps import compare_steps

        with Progress() as progress:
            found = compare_steps(
                run,
                data_file=data_file,
                model=model,
                n_rollouts=n_rollouts,
                temperature=temperature,
                top_p=top_p,
                max_new_tokens=max_new_tokens,
                limit=limit,
                device=device,
                seed=seed,
                progress=progress,
            )
        answer(asdict(found), as_json=as_json, render=lambda: _show_steps(found))
        return
    if kinds:
        from ctm_data.kinds import kinds as sorted_by_kind

        sorts = sorted_by_kind(str(run))
        answer([asdict(one) for one in sorts], as_json=as_json, render=lambda: _show_kinds(sorts))
        return
    from ctm_cli._progress import Progress
    from ctm_data.compare import compare

    with Progress() as progress:
        rows = compare(str(run), curve=curve, seed=seed, device=device, progress=progress)
    answer([asdict(row) for row in rows], as_json=as_json, render=lambda: _show(rows))


def _refuse_mixed(ctx: typer.Context, steps: bool, kinds: bool, curve: int | None) -> None:
    """Refuses two comparisons at once, and options of the one that was not asked for."""
    from ctm_eval.errors import CtmError

    if sum((steps, kinds, curve is not None)) > 1:
        raise CtmError("give one of --steps, --kinds and --curve", usage=True)
    if kinds:
        refuse_beside(ctx, "--kinds", used=("run", "kinds", "as_json"))
    elif not steps:
        refuse_beside(ctx, "a comparison without --steps", unused=OF_STEPS)


def _show(rows: "list[Agreement]") -> None:
    from rich.table import Table

    from ctm_data.compare import COST, RELIABILITY

    ranked = [row for row in rows if row.measure not in (COST, RELIABILITY)]
    rankings = list(dict.fromkeys(row.ranking for row in ranked))
    table = Table(box=None, pad_edge=False)
    table.add_column("", overflow="fold")
    for ranking in rankings:
        table.add_column(ranking, justify="right", overflow="fold")
    for measure in dict.fromkeys(row.measure for row in ranked):
        own = {row.ranking: row for row in ranked if row.measure == measure}
        cells = [f"{own[r].mean:.3f} [{own[r].low:.3f}, {own[r].high:.3f}]" for r in rankings]
        table.add_row(measure, *cells)
    if ranked:
        say(table)
        say(
            f"\nMeans over {max(row.n for row in ranked)} wrong trajectories, with 95% bootstrap intervals "
            "over problems."
        )
    for row in rows:
        if row.measure == COST:
            ends = f"[{row.low:,.0f}, {row.high:,.0f}]"
            say(f"{row.measure} for a trajectory, {row.ranking}: {row.mean:,.0f} {ends}")
        if row.measure == RELIABILITY:
            ends = f"[{row.low:.1%}, {row.high:.1%}]"
            say(f"{row.measure}, {row.ranking}: {row.mean:.1%} {ends} of {row.n} labels")


def _show_kinds(found: "list[Kind]") -> None:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    table.add_column("")
    for name in ("tokens", "share", "95% interval", "of all tokens", "value drops by"):
        table.add_column(name, justify="right")
    for one in found:
        share = interval = "–"
        if one.share is not None:
            share = f"{one.share.value:.1%}"
            interval = f"{one.share.low:.1%} – {one.share.high:.1%}"
        table.add_row(
            f"{one.rule}, {one.kind}",
            f"{one.tokens:,}",
            share,
            interval,
            "–" if one.of_all is None else f"{one.of_all:.1%}",
            "–" if one.drop is None else f"{one.drop:+.3f}",
        )
    say(table)


def _show_steps(found: "StepComparison") -> None:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    table.add_column("critical token")
    for name in ("share", "95% interval", "random", "difference", "95% interval"):
        table.add_column(name, justify="right")
    words = {"before": "before the marked step", "in": "in it", "after": "after it"}
    for one in found.placements:
        table.add_row(
            words[one.place],
            f"{one.share.value:.1%}",
            f"{one.share.low:.1%} – {one.share.high:.1%}",
            f"{one.chance:.1%}",
            f"{one.difference:+.1%}",
            f"{one.low:+.1%} – {one.high:+.1%}",
        )
    say(table)
    say(
        f"\n{found.solutions:,} solutions of {found.problems:,} problems; random: a token drawn at random."
    )
    for reason, count in found.set_aside.items():
        say(f"set aside {count:,}: {reason}")
