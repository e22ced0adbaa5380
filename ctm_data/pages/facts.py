"""What the page of a run, of an evaluation or of two says in words: (name, words), in their order."""

from typing import TYPE_CHECKING, Any

from ctm_data.pages import evaluation
from ctm_data.pages.summary import CONFIDENT, summarize
from ctm_data.run.store import Store
from ctm_eval.report import UnevenSamples

if TYPE_CHECKING:
    from ctm_eval.report import Results


def facts(store: Store, other: Store | None) -> list[list[str]]:
    """Those of a run, of an evaluation, or of two. Raises CtmError."""
    recipe = store.manifest["recipe"]
    if other is not None:
        return _compared(store, other)
    if not store.parts("rollouts"):
        return _evaluated(store)
    summary = summarize(store)
    told = [
        ["Model", ", ".join(_listed(recipe.get("model")))],
        ["Benchmark", str(recipe.get("benchmark"))],
        ["Questions were put", summary.asked or "by others"],
        [
            "Confident critical tokens",
            f"{summary.confident:,} (probability {CONFIDENT:.0%} or more)",
        ],
        [
            "Never solved",
            f"{summary.hopeless:,} trajectories had no chance before their first token",
        ],
        [
            "Tokens generated",
            f"{summary.generated_tokens:,}, {summary.rollout_tokens:,} of them for the values",
        ],
    ]
    return [row for row in told if row[1] != "None"]


def finished_results(store: Store) -> "Results | None":
    """The figures of an evaluation; None while its problems have different numbers of samples, and for
    data from elsewhere."""
    try:
        return evaluation.summarize(store)
    except (UnevenSamples, evaluation.NotSampled):
        return None


def _listed(value: Any) -> list[str]:
    return [str(one) for one in value] if isinstance(value, list) else [str(value)]


def _evaluated(store: Store) -> list[list[str]]:
    from ctm_eval.report import shown

    recipe, results = store.manifest["recipe"], finished_results(store)
    if "benchmark" not in recipe:
        return [["Source", str(recipe.get("source"))]]
    told = [
        ["Model", ", ".join(_listed(recipe.get("model")))],
        ["Benchmark", str(recipe.get("benchmark"))],
    ]
    if results is None:
        return [
            *told,
            ["Not finished", "problems have different numbers of samples, so no figure yet"],
        ]
    told += [
        [name, f"{e.value:.1%} (95% interval {e.low:.1%} to {e.high:.1%})"]
        for name, e in shown(results).items()
    ]
    for coder, kept in results.filters.items():
        shares = (kept.kept, kept.accuracy, kept.precision, kept.recall)
        keeps, before, among, recall = ("–" if s is None else f"{s:.1%}" for s in shares)
        told.append(
            [
                f"CoTnPoT with {coder}",
                f"keeps {keeps} of the samples; right are {before} of all and {among} of the kept ones; "
                f"it keeps {recall} of the right ones",
            ]
        )
    return told


def _compared(store: Store, other: Store) -> list[list[str]]:
    found = evaluation.paired(store.folder, other.folder)
    told = [
        ["Before", f"{store.folder}: {found.first:.1%}"],
        ["After", f"{other.folder}: {found.second:.1%}"],
        [
            "Difference",
            f"{100 * found.difference:+.1f} points (95% interval {100 * found.low:+.1f} to "
            f"{100 * found.high:+.1f}) over {found.problems:,} problems in common",
        ],
        ["Better, worse", f"{found.better:,} problems, {found.worse:,} problems"],
        ["p", f"{found.p:.2g} (exact sign-flip test, paired by problem)"],
    ]
    if different := evaluation.sampled_differently(store.folder, other.folder):
        told.append(["Sampled differently", f"{'; '.join(different)}: this may be the reason"])
    return told
