"""A run whose every figure is worked out by hand."""

from ctm_data.run.store import Store


def made_by_hand(folder):
    """Two wrong solutions of one problem; critical are ` 4` in the first, ` the` in the other."""
    problem = {
        "problem_id": "p", "benchmark": "gsm8k", "split": "test", "question": "?", "answer": "7",
        "subject": None, "level": None, "tests": [],
    }  # fmt: skip
    solution = {
        "problem_id": "p", "model": "m", "prompt_ids": [1], "finish_reason": "stop", "verdict": "wrong",
        "correct": False, "temperature": 1.0, "top_p": 1.0, "seed": 0, "text": "", "answer": "8",
    }  # fmt: skip
    pieces = {"a": [" 4", " -", " 7"], "b": [" in", " the", "ft", " 4"]}
    critical = {"a": 0, "b": 1}
    values = {"a": [0.0, 0.0, 0.0], "b": [0.5, 0.0, 0.0, 0.0]}
    entropy = {"a": [0.01, 0.5, 0.5], "b": [0.6, 0.6, 0.6, 0.6]}
    greedy = {"a": [0, 1, 2], "b": [0, 9, 2, 3]}
    rollouts, solutions, contrast = [], [], []
    for index, (name, own) in enumerate(pieces.items()):
        n = len(own)
        ids = list(range(n))
        solutions.append({**solution, "solution_id": name, "sample_index": index, "token_ids": ids})
        rollouts.append(
            {
                "solution_id": name, "problem_id": "p", "model": "m", "prompt_ids": [1], "token_ids": ids,
                "pieces": own, "prompt_value": 0.75, "value": values[name],
                "value_low": values[name], "value_high": [1.0] * n, "n_rollouts": [2] * n,
                "n_correct": [1] * n, "keep_prob": [0.5] * n,
                "entropy": entropy[name], "greedy_id": greedy[name],
                "estimator": "branch", "rule": "critical",
                "marked": [critical[name]], "critical_index": critical[name],
                "critical_piece": own[critical[name]], "replacement_pass_at_k": [0.25 + index / 2, 1.0],
                "replacements": [{"token_id": 9, "piece": " 5", "n_rollouts": 2, "n_correct": 1}],
                "generated_tokens": 10, "replacement_tokens": 2, "temperature": 1.0, "top_p": 1.0,
                "seed": 0,
            }
        )  # fmt: skip
    for pair in ("pair1", "pair2"):  # the same rejected solution in two pairs is scored once
        contrast.append(
            {
                "pair_id": pair, "problem_id": "p", "chosen_id": None, "rejected_id": "b", "prompt": "?",
                "chosen": "", "rejected": "", "prompt_ids": [1], "chosen_ids": [],
                "rejected_ids": [0, 1, 2, 3],
                "chosen_ce": None, "rejected_ce": [0.9, 0.2, 0.1, 0.8], "positive_model": None,
                "negative_model": None, "ce_beta": 1.0, "ce_plausibility": 0.0, "seed": 0,
            }
        )  # fmt: skip
    with Store.open(folder, {"benchmark": "gsm8k", "model": "m", "n_rollouts": 2}) as store:
        store.write("problems", 0, [problem])
        store.write("solutions", 0, solutions)
        store.write("rollouts", 0, rollouts)
        store.write("contrast", 0, contrast)
    return folder


def evaluated_by_hand(folder, right="110 100", wrong="wrong", **options):
    """An evaluation of two problems with three samples each, right where `right` has a 1.

    The right answer is 7 to both; wrong samples say 8, and their verdict is `wrong`. One verifier and one
    coder have seen every sample. `options` are of the recipe.
    """
    levels, tables = ("1", "2"), {"problems": [], "solutions": [], "scores": [], "programs": []}
    for number, marks in enumerate(right.split()):
        name = f"p{number}"
        tables["problems"].append(
            {"problem_id": name, "benchmark": "math500", "split": "test", "question": f"{number}?",
             "answer": "7", "subject": None, "level": levels[number], "tests": []}
        )  # fmt: skip
        for index, mark in enumerate(marks):
            yes, key = mark == "1", {"solution_id": f"{name}-{index}", "problem_id": name}
            says = "7" if yes else "8"
            tables["solutions"].append(
                {**key, "sample_index": index, "model": "m", "prompt_ids": [1], "token_ids": [2],
                 "text": rf"So \boxed{{{says}}}.", "answer": says, "correct": yes,
                 "verdict": "correct" if yes else wrong, "finish_reason": "stop", "temperature": 1.0,
                 "top_p": 1.0, "seed": 0}
            )  # fmt: skip
            tables["scores"].append(
                {
                    **key,
                    "verifier": "v",
                    "method": "orm",
                    "pool": None,
                    "score": 0.9 if yes else 0.1,
                }
            )
            tables["programs"].append(
                {**key, "coder": "c", "token_ids": [3], "program": "print(7)", "printed": "7",
                 "result": "agrees" if yes else "disagrees", "agrees": yes, "description": None}
            )  # fmt: skip
    recipe = {
        "command": "eval", "benchmark": "math500", "model": "m", "temperature": 1.0, "data_file": None,
        "split": "test", "top_p": 1.0, "max_new_tokens": 9, "engine": "transformers", "seed": 0, **options,
    }  # fmt: skip
    with Store.open(folder, recipe) as store:
        for table, rows in tables.items():
            store.write(table, 0, rows)
    return folder
