"""`python -m ctm_eval.pocket`: prints problems, or the training corpus, as JSON lines."""

import argparse
import json
from dataclasses import asdict

from ctm_eval.pocket.coder import coder_rows
from ctm_eval.pocket.corpus import training_rows
from ctm_eval.pocket.generator import SPLITS, problems

CORPORA = {"pocket": training_rows, "coder": coder_rows}


def main(arguments: list[str] | None = None) -> None:
    """Prints `--count` problems of `--split`, or `--training-rows` corpus rows."""
    parser = argparse.ArgumentParser(prog="python -m ctm_eval.pocket", description=__doc__)
    parser.add_argument("--split", choices=SPLITS, default="test")
    parser.add_argument("--count", type=int, default=10)
    parser.add_argument("--training-rows", type=int, default=0)
    parser.add_argument("--task", choices=CORPORA, default="pocket", help="the model to train")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    if options.training_rows:
        for row in CORPORA[options.task](options.training_rows, options.seed):
            print(json.dumps(row))
    else:
        for problem in problems(options.split, options.count, options.seed):
            print(json.dumps(asdict(problem)))


if __name__ == "__main__":
    main()
