"""Contrastive estimation: how much more a model of right solutions likes a token than one of wrong ones.

The `contrast` table: preference pairs whose tokens carry these scores. It needs two models, p+ and p-;
`train_models` fine-tunes them on the run's own right and wrong solutions.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from json import loads
from pathlib import Path
from random import Random
from shutil import rmtree
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, NamedTuple

from ctm_data.run.records import problems_of, rollouts_of, solutions_of
from ctm_data.run.schema import SCHEMAS
from ctm_eval.errors import CtmError
from ctm_eval.models import (
    adapter_base,
    decode,
    default_device,
    default_dtype,
    load_model,
    load_tokenizer,
    model_path,
)
from ctm_eval.pair_selection import Pair, negatives, positives, select_pairs
from ctm_eval.progress import Advance, Counter, Progress
from ctm_eval.prompts import prompt
from ctm_eval.seeds import seed_of
from ctm_eval.targets import aligned, target
from ctm_eval.types import Solution

if TYPE_CHECKING:
    import torch

    from ctm_data.run.store import Store
    from ctm_train.train import Progress as TrainProgress

LOGIT_BYTES = 1 << 28  # bound on the logits of one batch of one model


def write(
    store: "Store", recipe: Mapping[str, Any], progress: Progress, device: str | None = None
) -> None:
    """Writes the `contrast` table from the run's solutions; trains p+ and p- unless they are given."""
    chunks = store.chunks("solutions")
    seed = recipe["seed"]
    todo: list[int] = []
    total = finished = 0
    for (
        chunk
    ) in chunks:  # the pairs of all chunks would not fit the memory: they are selected again
        pairs = len(_pairs(store, chunk, recipe))
        total += 2 * pairs
        if len(store.done("contrast", chunk)) == pairs:
            finished += 2 * pairs
        elif pairs:
            todo.append(chunk)
    if not todo:
        return
    positive, negative = recipe["positive_model"], recipe["negative_model"]
    names = (positive or "models/positive", negative or "models/negative")
    if not positive:
        every = (item for chunk in chunks for item in solutions_of(store, chunk).items())
        positive, negative = train_models(store, every, recipe["model"], seed, progress)
    how = Contrast(*names, recipe["ce_beta"], recipe["ce_plausibility"], seed)
    models = ContrastModels(positive, negative, device=device)
    counter = Counter(progress, "contrasting", total)
    counter(finished)
    tokenizer = load_tokenizer(recipe.get("tokenizer") or recipe["model"])
    for chunk in todo:
        rows = score_pairs(
            models,
            _pairs(store, chunk, recipe),
            how,
            tokenizer,
            rollouts_of(store, chunk),
            counter,
        )
        for row in rows:  # the prompt as it was put, a chat with its special tokens
            if recipe.get("chat"):
                row["prompt"] = tokenizer.decode(row["prompt_ids"])
            elif recipe.get("few_shot"):
                row["prompt"] = decode(tokenizer, row["prompt_ids"])
        store.write("contrast", chunk, rows)


def _pairs(store: "Store", chunk: int, recipe: Mapping[str, Any]) -> list[Pair]:
    own = solutions_of(store, chunk)
    return [
        pair
        for problem in problems_of(store, chunk)
        for pair in select_pairs(
            problem, own[problem.problem_id], recipe["trajectories"], recipe["seed"]
        )
    ]


@dataclass(frozen=True)
class Contrast:
    """How pairs are scored: beta and plausibility of `ce_scores`, and the names of p+ and p-."""

    positive_model: str
    negative_model: str
    beta: float = 1.0
    plausibility: float = 0.0
    seed: int = 0


def train_models(
    store: "Store",
    solutions: Iterable[tuple[str, Sequence[Solution]]],
    model: str,
    seed: int,
    progress: Progress | None = None,
) -> tuple[str, str]:
    """Fine-tunes p+ and p- on the right and wrong solutions of a run, by problem, into its folder.

    A solution that a stop string ended is learnt without it, and with EOS: see `ctm_eval.targets`.
    Finished models are kept, and half-trained ones of other settings begun anew. Returns
    their folders. Raises CtmError if there are no right or no wrong ones, TrainError from training.
    """
    from datasets import Dataset

    from ctm_train.record import RECORD, clear
    from ctm_train.settings import settings_for
    from ctm_train.train import train

    settings = settings_for("sft", "pocket" if model == "pocket" else None, seed=seed % 2**32)
    folders = []
    with TemporaryDirectory() as scratch:
        files = _training_data(Path(scratch), solutions, load_tokenizer(model), seed)
        for name, file in files.items():
            folder = store.folder / "models" / name
            folders.append(str(folder))
            if (record := folder / RECORD).exists():
                before = loads(record.read_text())
                if "outcome" in before:
                    clear(folder)
                    continue
                if before["settings"] != asdict(settings):  # of another version's recipe
                    rmtree(folder)
            train(
                "sft",
                Dataset.from_file(str(file)),
                folder,
                model=model_path(model),
                settings=settings,
                name=model,
                described={"data": f"the {name} solutions of a run"},
                progress=progress and _staged(progress, f"p{'+' if name == 'positive' else '-'}"),
            )
    return folders[0], folders[1]


def _training_data(
    folder: Path, solutions: Iterable[tuple[str, Sequence[Solution]]], tokenizer: Any, seed: int
) -> dict[str, Path]:
    """The token ids that p+ and p- learn, as Arrow files: those of a large run do not fit the memory."""
    from datasets import Features, List, Value
    from datasets.arrow_writer import ArrowWriter

    ids = List(Value("int64"))
    features = Features({"prompt_ids": ids, "completion_ids": ids})
    choose = {"positive": positives, "negative": negatives}
    files = {name: folder / f"{name}.arrow" for name in choose}
    writers = {name: ArrowWriter(path=str(file), features=features) for name, file in files.items()}
    counts = dict.fromkeys(files, 0)
    for problem_id, own in solutions:
        for name, draw in choose.items():
            for solution in draw(own, Random(seed_of(seed, problem_id, f"{name}s"))):
                row = {"prompt_ids": solution.prompt_ids,
                       "completion_ids": target(solution, tokenizer)[0]}  # fmt: skip
                writers[name].write(row)
                counts[name] += 1
    for name, writer in writers.items():
        writer.finalize()
        if not counts[name]:
            raise CtmError(f"there are no {'right' if name == 'positive' else 'wrong'} solutions")
    return files


def score_pairs(
    models: "ContrastModels",
    pairs: Sequence[Pair],
    how: Contrast,
    tokenizer: Any,
    rollouts: Mapping[str, Mapping[str, Any]],
    progress: Advance | None = None,
) -> list[dict[str, Any]]:
    """Rows of the `contrast` table for `pairs`, in their order.

    The ids of both sides are training targets (see `ctm_eval.targets`). `rollouts` are the rows of that
    table by solution, whose value drops the rejected side takes over.
    """
    sides = [(side.prompt_ids, *target(side, tokenizer)) for _, *both in pairs for side in both]
    sequences = [(prompt_ids, ids) for prompt_ids, ids, _ in sides]
    scores = models.scores(sequences, how.beta, how.plausibility, progress)
    rows = []
    for (problem, right, wrong), chosen, rejected, of_chosen, of_rejected in zip(
        pairs, sides[::2], sides[1::2], scores[::2], scores[1::2], strict=True
    ):
        row = {
            "pair_id": f"{right.solution_id}:{wrong.sample_index:03d}",
            "problem_id": problem.problem_id,
            "chosen_id": right.solution_id,
            "rejected_id": wrong.solution_id,
            "prompt": prompt(problem),
            "chosen": chosen[2],
            "rejected": rejected[2],
            "prompt_ids": right.prompt_ids,
            "chosen_ids": chosen[1],
            "rejected_ids": rejected[1],
            "chosen_ce": of_chosen.ce,
            "rejected_ce": of_rejected.ce,
            "chosen_log_ratio": of_chosen.log_ratio,
            "rejected_log_ratio": of_rejected.log_ratio,
            **value_drops(rollouts.get(wrong.solution_id), rejected[1]),
            "positive_model": how.positive_model,
            "negative_model": how.negative_model,
            "ce_beta": how.beta,
            "ce_plausibility": how.plausibility,
            "seed": how.seed,
        }
        rows.append({name: row[name] for name in SCHEMAS["contrast"].names})
    return rows


def value_drops(
    rollout: Mapping[str, Any] | None, rejected_ids: Sequence[int]
) -> dict[str, list[float] | int | None]:
    """The columns `rejected_value_drop` and `rejected_critical` of a pair, from its row of `rollouts`.

    By how much the value drops with every token (negative where it rises; None for a curve that is not
    whole, as of a label-only run), and the index of the critical token. Both are None without a row.
    """
    if rollout is None:
        return {"rejected_value_drop": None, "rejected_critical": None}
    curve = [rollout["prompt_value"], *rollout["value"]]
    drops = None
    if None not in curve:
        falls = [before - after for before, after in pairwise(curve)]
        drops = aligned(falls, rollout["token_ids"], rejected_ids)
    critical, last = rollout["critical_index"], len(rejected_ids) - 1
    return {
        "rejected_value_drop": drops,
        "rejected_critical": None if critical is None else min(critical, last),
    }


class TokenScores(NamedTuple):
    """What p+ and p- say of each token of a completion: its contrastive score, and log p+ - log p-."""

    ce: list[float]
    log_ratio: list[float]


class ContrastModels:
    """p+ and p-, loaded: two models, or two LoRA adapters on one base."""

    def __init__(self, positive: str, negative: str, *, device: str | None = None) -> None:
        """Loads both from folders or Hub ids. Raises CtmError if they cannot be used together."""

        self.device = default_device(device)
        dtype = default_dtype(self.device)
        bases = [adapter_base(path) for path in (positive, negative)]
        if bases[0] and bases[0] == bases[1]:
            from peft import PeftModel

            shared = PeftModel.from_pretrained(
                load_model(bases[0], dtype), positive, adapter_name="positive"
            )
            shared.load_adapter(negative, adapter_name="negative")
            self._models: dict[str, Any] = {"positive": shared, "negative": shared}
        else:
            self._models = {
                "positive": load_model(positive, dtype),
                "negative": load_model(negative, dtype),
            }
        sizes = [model.config.get_text_config().vocab_size for model in self._models.values()]
        if sizes[0] != sizes[1]:
            raise CtmError(
                f"{positive} and {negative} have different vocabularies ({sizes[0]} and {sizes[1]} "
                "entries): p+ and p- have to be of one family",
                usage=True,
            )
        self._vocabulary = sizes[0]
        for model in self._models.values():
            model.to(self.device).eval()

    @property
    def models_loaded(self) -> int:
        """1 if the two share a base, else 2."""
        return len({id(model) for model in self._models.values()})

    def scores(
        self,
        sequences: Sequence[tuple[Sequence[int], Sequence[int]]],
        beta: float = 1.0,
        plausibility: float = 0.0,
        progress: Advance | None = None,
    ) -> list[TokenScores]:
        """The scores of every completion token of every (prompt ids, completion ids), in their order.

        `progress` is called with (sequences finished, tokens scored) since its last call.
        """
        import torch

        results = [TokenScores([], [])] * len(sequences)
        for batch in self._batches(sequences):
            with torch.inference_mode():
                own = [sequences[i] for i in batch]
                positive, negative = (self._logits(name, own) for name in self._models)
                for i, high, low in zip(batch, positive, negative, strict=True):
                    ids = torch.tensor(sequences[i][1], device=self.device)
                    results[i] = TokenScores(
                        ce_scores(high, low, ids, beta, plausibility).tolist(),
                        log_ratios(high, low, ids).tolist(),
                    )
            if progress:
                progress(len(batch), sum(len(sequences[i][1]) for i in batch))
        return results

    def _logits(
        self, name: str, sequences: Sequence[tuple[Sequence[int], Sequence[int]]]
    ) -> "list[torch.Tensor]":
        """For every sequence the (T, V) logits that predict its completion's tokens."""
        import torch

        model = self._models[name]
        if self.models_loaded == 1:
            model.set_adapter(name)
        rows = [[*prompt_ids, *ids] for prompt_ids, ids in sequences]
        width = max(map(len, rows))
        ids = torch.tensor([row + [0] * (width - len(row)) for row in rows], device=self.device)
        seen = torch.tensor(
            [[1] * len(row) + [0] * (width - len(row)) for row in rows], device=self.device
        )
        logits = model(input_ids=ids, attention_mask=seen, use_cache=False).logits
        return [
            row[len(prompt_ids) - 1 : len(prompt_ids) + len(ids) - 1]
            for row, (prompt_ids, ids) in zip(logits, sequences, strict=True)
        ]

    def _batches(
        self, sequences: Sequence[tuple[Sequence[int], Sequence[int]]]
    ) -> Iterator[list[int]]:
        """Indices of sequences of like length whose padded logits fit the bound."""
        order = sorted(range(len(sequences)), key=lambda i: sum(map(len, sequences[i])))
        batch: list[int] = []
        for i in order:
            width = sum(map(len, sequences[i]))
            if batch and (len(batch) + 1) * width * self._vocabulary * 4 > LOGIT_BYTES:
                yield batch
                batch = []
            batch.append(i)
        if batch:
            yield batch


def ce_scores(
    positive_logits: "torch.Tensor",
    negative_logits: "torch.Tensor",
    token_ids: "torch.Tensor",
    beta: float = 1.0,
    plausibility: float = 0.0,
) -> "torch.Tensor":
    """The score s_t in [0, 1] of every token, float32, shape (T,); low marks a critical token.

    log s_t = (1 + beta) log p+(y_t) - beta log p-(y_t) - log Z, with Z over the vocabulary. The logits
    (T, V) are those of the positive and the negative model at the position that predicts token t;
    `token_ids` is (T,). `plausibility` > 0 keeps only tokens with p+ >= plausibility * max p+ in the
    vocabulary, and gives those outside a score of 0; the paper uses none.
    Source: arXiv 2411.19943, eq. 1. Raises ValueError if the shapes do not fit.
    """
    import torch

    if positive_logits.shape != negative_logits.shape or len(token_ids) != len(positive_logits):
        shapes = [tuple(t.shape) for t in (positive_logits, negative_logits, token_ids)]
        raise ValueError(f"two (T, V) tensors and T token ids are expected, not {shapes}")
    positive = positive_logits.float().log_softmax(-1)
    contrast = (1 + beta) * positive - beta * negative_logits.float().log_softmax(-1)
    if plausibility > 0:
        floor = positive.max(-1, keepdim=True).values + torch.log(torch.tensor(plausibility))
        contrast = contrast.masked_fill(positive < floor, -torch.inf)
    return contrast.softmax(-1).gather(-1, token_ids[:, None])[:, 0]


def log_ratios(
    positive_logits: "torch.Tensor", negative_logits: "torch.Tensor", token_ids: "torch.Tensor"
) -> "torch.Tensor":
    """log p+(y_t) - log p-(y_t) of every token, float32, shape (T,), from logits as for `ce_scores`."""
    high, low = (
        logits.float().log_softmax(-1).gather(-1, token_ids[:, None])[:, 0]
        for logits in (positive_logits, negative_logits)
    )
    return high - low


def _staged(progress: Progress, stage: str) -> "TrainProgress":
    return lambda _, done, total, tokens, loss: progress(stage, done, total, tokens, loss)
