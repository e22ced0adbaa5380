"""CoTnPoT on pocket: what dropping the solutions that a program contradicts gives, and what it costs.

    python benchmarks/cotnpot.py [--quick] [--write-card]

pocket solves held-out problems, 16 times each; `pocket-coder` turns every solution into a program, and
those whose answer it does not print are dropped. Then pocket-coder's own figures on pocket-code, and how
often its description of a program says what the program does. `--write-card` renders the figures
into its card.
"""

import argparse
from dataclasses import dataclass
from random import Random

import numpy as np

from ctm_eval.benchmarks import Problem, load_problems
from ctm_eval.cotnpot import check, counts, describe, filter_figures
from ctm_eval.engines import Engine, Request, Sampling, load_engine
from ctm_eval.grading import grade
from ctm_eval.pocket import MODELS
from ctm_eval.prompts import Prompting
from ctm_eval.sandbox import Sandbox
from ctm_eval.scoring import Scorer
from ctm_eval.seeds import seed_of

GREEDY, SAMPLED = Sampling(0.0), Sampling(1.0, 0.95)
MAX_NEW_TOKENS, SAMPLES = 192, 16
