"""Does the step with which a value curve falls agree with the one that humans marked as the first wrong?

    python experiments/human_marks.py --model build/smollm2-135m-instruct [--part champ|pocket|rollouts]
        [--seconds 2400] [--output-dir build/human-marks] [--quick]

`champ`: the 444 marked solutions of CHAMP, cut into lines. A small model hardly ever solves these problems,
so that the values of rollouts are 0 everywhere; in their place, the value after a step is the
log-probability that the model gives to the gold answer if it has to answer there (`The final answer is
\\boxed{…}`). `rollouts`: the same steps by rollouts, for problems that the model solves by itself.
`pocket`: the built-in model on its own problems, where both kinds of value can be had, and the first wrong
line is marked by the worked solution: the first whose sum is not among its sums.

From each curve two rules pick a step: the biggest drop, and the last stand (the first step after which the
value never again reaches what it was at the start). Beside them stand the step that surprised the model
most and the first step. Random is a step drawn at random: its agreement is known exactly. A problem counts
once; intervals (95%) are from a bootstrap over problems. A line a solution is kept, so that a stopped run
goes on.
"""

import argparse
import json
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

CUE = "\n\nThe final answer is \\boxed{"
END = "}"
POCKET_CUE, POCKET_END = "\n#### ", ""
ROUNDS = 4000


def main() -> None:
    """Runs what is missing and prints the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--model", default="build/smollm2-135m-instruct")
    parser.add_argument("--part", choices=("champ", "pocket", "rollouts"), action="append")
    parser.add_argument("--seconds", type=float, default=2400, help="begin no solution after these")
    parser.add_argument("--output-dir", type=Path, default=Path("build/human-marks"))
    parser.add_argument("--quick", action="store_true", help="tiny sizes, to see that it runs")
    options = parser.parse_args()
    folder, until = options.output_dir, time.monotonic() + options.seconds
    folder.mkdir(parents=True, exist_ok=True)
    parts: dict[str, Callable[[], Iterator[dict[str, Any]]]] = {
        "pocket": lambda: pocket(folder, options.quick),
        "champ": lambda: champ(folder, options.model, options.quick),
        "rollouts": lambda: rolled(folder, options.model, options.quick),
    }
    for name in options.part or parts:
        with (folder / f"{name}.jsonl").open("a") as file:
            for row in parts[name]():
                file.write(json.dumps(row) + "\n")
                file.flush()
                os.fsync(file.fileno())
                if time.monotonic() > until:
                    break
    text = "\n".join(table(name, done(folder, name)) for name in parts if done(folder, name))
    (folder / "table.md").write_text(text)
    print(text)


def done(folder: Path, part: str) -> list[dict[str, Any]]:
    """The rows of a part; a last line that a kill cut off is none."""
    path = folder / f"{part}.jsonl"
    found = []
    for line in path.read_text().splitlines() if path.exists() else ():
        try:
            found.append(json.loads(line))
        except ValueError:
            continue
    return found


# --- values ----------------------------------------------------------------------------------------


class AnswerValues:
    """Log-probabilities of an answer after every step of a solution, by one pass of a model."""

    def __init__(self, model: str, cue: str, end: str) -> None:
        import torch

        from ctm_data.asking import Asker
        from ctm_eval.models import load_model

        torch.set_num_threads(1)
        self.asker = Asker(model)
        self.model = load_model(model, "float32").eval()
        self._cue, self._end = cue, end

    def __call__(
        self, prompt_ids: Sequence[int], text: str, ends: Sequence[int], answer: str
    ) -> tuple[list[float], list[float], list[float]]:
        """The values before the first step and after each, and each step's mean and greatest surprisal.

        Behind prompt and solution stand, for every step, the cue and the answer; each sees the solution up
        to its step alone, by its mask and its positions.
        """
        import torch

        from ctm_data.compare_steps import spelled
        from ctm_eval.verifiers import last_tokens

        tokenizer = self.asker.tokenizer
        ids, offsets = spelled(tokenizer, text)
        last = last_tokens(text, offsets, ends, len(ids))
        tail = [spelled(tokenizer, part)[0] for part in (self._cue, answer, self._end) if part]
        suffix = [token for part in tail for token in part]
        base = [*prompt_ids, *ids]
        seen = [len(prompt_ids), *(len(prompt_ids) + at + 1 for at in last)]
        length = len(base) + len(seen) * len(suffix)
        mask = torch.full((length, length), float("-inf"))
        mask[: len(base), : len(base)].triu_(1)
        positions, start = list(range(len(base))), len(base)
        for cut in seen:
            mask[start : start + len(suffix), :cut] = 0
            mask[start : start + len(suffix), start : start + len(suffix)].triu_(1)
            positions += range(cut, cut + len(suffix))
            start += len(suffix)
        rows = torch.tensor([[*base, *suffix * len(seen)]])
        with torch.inference_mode():
            logits = self.model(
                input_ids=rows,
                attention_mask=mask[None, None],
                position_ids=torch.tensor([positions]),
                use_cache=False,
            ).logits[0]
        logp = logits.log_softmax(-1)
        values = []
        for k in range(len(seen)):
            at = len(base) + k * len(suffix) + len(tail[0])
            own = range(at, len(base) + (k + 1) * len(suffix))
            values.append(sum(logp[i - 1, rows[0, i]].item() for i in own))
        told = -logp[len(prompt_ids) - 1 : len(base) - 1].gather(
            -1, rows[0, len(prompt_ids) : len(base), None]
        )
        edges = [0, *(at + 1 for at in last)]
        steps = [told[a:b, 0] if b > a else told[:0, 0] for a, b in pairwise(edges)]
        mean = [float(step.mean()) if len(step) else 0.0 for step in steps]
        return values, mean, [float(step.max()) if len(step) else 0.0 for step in steps]


def champ(folder: Path, model: str, quick: bool) -> Iterator[dict[str, Any]]:
    """The rows of CHAMP's marked solutions that are not there yet."""
    from ctm_eval.benchmarks.champ import CHAMP
    from ctm_eval.marked import marked_solutions
    from ctm_eval.prompts import Prompting

    known = {row["id"] for row in done(folder, "champ")}
    wrong = [one for one in marked_solutions() if one.label is not None]
    Random(0).shuffle(wrong)  # what is left out for want of time is left out at random
    asked = Prompting(chat=True, instruction=CHAMP.instruction)
    values = AnswerValues(model, CUE, END)
    for one in wrong[: 3 if quick else None]:
        if one.marked_id in known:
            continue
        began = time.monotonic()
        prompt_ids = asked.encode(values.asker, one.problem)
        ends = [end for _, end in one.steps]
        curve, mean, most = values(prompt_ids, one.text, ends, one.problem.answer)
        yield {
            "id": one.marked_id,
            "problem": one.problem.problem_id,
            "label": one.label,
            "values": {"answer": curve},
            "surprisal": {"mean": mean, "most": most},
            "seconds": time.monotonic() - began,
        }


def pocket(folder: Path, quick: bool) -> Iterator[dict[str, Any]]:
    """pocket's wrong solutions of test problems, with the values of rollouts and of answers."""
    from ctm_data.build import build_dataset
    from ctm_data.config import BuildConfig
    from ctm_data.run.records import solutions_in
    from ctm_eval.steps import step_values, text_steps, token_steps

    count = 12 if quick else 400
    run = build_dataset(
        BuildConfig(
            folder / "pocket-run", split="test", limit=count, n_samples=8, stages=["rollouts"]
        )
    )
    known = {row["id"] for row in done(folder, "pocket")}
    curves = {row["solution_id"]: row for part in run.each("rollouts") for row in part.to_pylist()}
    worked = worked_solutions("test", count)
    values = AnswerValues("pocket", POCKET_CUE, POCKET_END)
    for _, both in solutions_in(run):
        for problem, solution in both:
            row = curves.get(solution.solution_id)
            steps = text_steps(solution.text)
            label = first_wrong_line(solution.text, steps, worked[problem.problem_id])
            if row is None or label is None or solution.solution_id in known:
                continue
            cut = token_steps(row["pieces"])
            rollouts = [row["prompt_value"], *step_values(row["value"], cut)]
            if None in rollouts or len(cut) != len(steps):
                continue
            ends = [end for _, end in steps]
            own, mean, most = values(solution.prompt_ids, solution.text, ends, problem.answer)
            yield {
                "id": solution.solution_id,
                "problem": problem.problem_id,
                "label": label,
                "values": {"rollouts": rollouts, "answer": own},
                "surprisal": {"mean": mean, "most": most},
            }


def rolled(folder: Path, model: str, quick: bool, n: int = 8) -> Iterator[dict[str, Any]]:
    """CHAMP's marked solutions of problems that the model solves itself, by rollouts after every step."""
    from ctm_data.config import EvalConfig
    from ctm_data.eval import evaluate
    from ctm_data.run.records import solutions_in
    from ctm_eval.benchmarks.champ import CHAMP
    from ctm_eval.engines import Request, Sampling, load_engine
    from ctm_eval.grading import grade
    from ctm_eval.marked import marked_solutions
    from ctm_eval.prompts import Prompting
    from ctm_eval.seeds import seed_of

    most = 48 if quick else 256
    run = evaluate(
        EvalConfig(
            folder / "own",
            model=model,
            benchmark="champ",
            limit=4 if quick else None,
            n_samples=1,
            max_new_tokens=most,
            chunk_size=16,
        )
    )
    solved = {s.problem_id for _, both in solutions_in(run) for _, s in both if s.correct}
    known = {row["id"] for row in done(folder, "rollouts")}
    wrong = [
        one
        for one in marked_solutions()
        if one.label is not None and (quick or one.problem.problem_id in solved)
    ]
    wrong.sort(key=lambda one: (len(one.steps), one.marked_id))
    engine = load_engine("transformers", model)
    asked = Prompting(chat=True, instruction=CHAMP.instruction)
    for one in wrong[: 1 if quick else None]:
        if one.marked_id in known:
            continue
        began = time.monotonic()
        prompt_ids = asked.encode(engine, one.problem)
        texts = [one.text[:end] for end in (0, *(end for _, end in one.steps))]
        requests = [
            Request(
                [*prompt_ids, *engine.tokenizer(text, add_special_tokens=False).input_ids],  # type: ignore[attr-defined]
                seed_of(0, one.marked_id, k, j),
                most,
            )
            for k, text in enumerate(texts)
            for j in range(n)
        ]
        drawn = engine.sample(requests, Sampling(0.7, 0.95))
        right = [
            grade(one.problem.answer, texts[i // n] + engine.decode(own.token_ids), "champ").correct
            for i, own in enumerate(drawn)
        ]
        yield {
            "id": one.marked_id,
            "problem": one.problem.problem_id,
            "label": one.label,
            "values": {"rollouts": np.reshape(right, (-1, n)).mean(1).tolist()},
            "solved": len(solved),
            "seconds": time.monotonic() - began,
        }


def worked_solutions(split: str, count: int, seed: int = 0) -> dict[str, str]:
    """The worked solutions of pocket's problems."""
    from ctm_eval.pocket import problems

    return {one.problem_id: one.solution for one in problems(split, count, seed)}


def first_wrong_line(text: str, steps: Sequence[tuple[int, int]], worked: str) -> int | None:
    """The first line with a sum that is not among those of the worked solution; None for none."""
    sums = _sums(worked)
    for index, (start, end) in enumerate(steps):
        if _sums(text[start:end]) - sums:
            return index
    return None


def _sums(text: str) -> set[tuple[str, ...]]:
    """The sums written out in a text; what is added or multiplied may stand in either order."""
    found = re.findall(r"(\d+) ([-+*/]) (\d+) = (\d+)", text)
    return {
        (op, *(sorted((left, right)) if op in "+*" else (left, right)), result)
        for left, op, right, result in found
    }


# --- agreement -------------------------------------------------------------------------------------


def picks(row: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """By rule, how strongly each step is picked (the highest is), an array with an entry a step."""
    found = {}
    for name, curve in row["values"].items():
        value = np.array(curve)
        found[f"{name}: biggest drop"] = value[:-1] - value[1:]
        stand = np.zeros(len(value) - 1)
        lost = np.flatnonzero(value < value[0])
        alive = np.flatnonzero(value[1:] >= value[0])
        first = int(alive[-1]) + 1 if len(alive) else 0
        if len(lost) and first < len(stand):
            stand[first] = 1.0
        else:
            stand[:] = np.nan  # it never falls for good: no step is picked
        found[f"{name}: last stand"] = stand
    for name, own in row.get("surprisal", {}).items():
        found[f"surprisal, {name}"] = np.array(own)
    steps = len(next(iter(found.values())))
    found["first step"] = np.eye(1, steps)[0]
    return found


def agreement(picked: np.ndarray, label: int) -> tuple[float, float, float]:
    """Whether the picked step is the marked one, whether it is at most one away, and the share of other
    steps that are picked less than the marked one (NaN for a single step). Ties are broken at random."""
    n = len(picked)
    if np.isnan(picked).any():
        return 0.0, 0.0, 0.5 if n > 1 else np.nan
    best = np.flatnonzero(picked == picked.max())
    others = np.delete(picked, label)
    rank = np.mean((others < picked[label]) + (others == picked[label]) / 2) if n > 1 else np.nan
    return float((best == label).mean()), float((abs(best - label) <= 1).mean()), float(rank)


def table(part: str, rows: Sequence[Mapping[str, Any]]) -> str:
    """The Markdown table of a part."""
    problems = list(dict.fromkeys(row["problem"] for row in rows))
    draws = np.random.default_rng(0).integers(len(problems), size=(ROUNDS, len(problems)))
    by_rule: dict[str, dict[str, list[tuple[float, ...]]]] = {}
    for row in rows:
        steps = len(next(iter(row["values"].values()))) - 1
        near = sum(abs(k - row["label"]) <= 1 for k in range(steps))
        chance = (1 / steps, near / steps, 0.5 if steps > 1 else np.nan)
        for rule, picked in picks(row).items():
            own = agreement(picked, row["label"])
            by_rule.setdefault(rule, {}).setdefault(row["problem"], []).append((*own, *chance))
    lines = [
        f"`{part}`: {len(rows)} solutions of {len(problems)} problems",
        "",
        "| step picked by | is the marked one | random | difference | at most one away | random | "
        "difference | marked step ranks above |",
        "|---" * 8 + "|",
    ]
    for rule, found in by_rule.items():
        means = np.array([np.nanmean(found[problem], axis=0) for problem in problems])
        cells = [rule]
        for own, chance in ((0, 3), (1, 4)):
            low, high = _ends(means[:, own], draws)
            gap = means[:, own] - means[:, chance]
            cells.append(f"{means[:, own].mean():.1%} [{low:.1%}, {high:.1%}]")
            cells.append(f"{means[:, chance].mean():.1%}")
            low, high = _ends(gap, draws)
            cells.append(f"{100 * gap.mean():+.1f} [{100 * low:+.1f}, {100 * high:+.1f}]")
        low, high = _ends(means[:, 2], draws)
        cells.append(f"{np.nanmean(means[:, 2]):.1%} [{low:.1%}, {high:.1%}]")
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _ends(values: np.ndarray, draws: np.ndarray) -> tuple[float, float]:
    low, high = np.nanquantile(np.nanmean(values[draws], axis=1), [0.025, 0.975])
    return float(low), float(high)


if __name__ == "__main__":
    main()
