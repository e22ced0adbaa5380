"""Verifiers score solutions: models with a scalar head, and preference-tuned language models.

The folder's training.json, written by `ctm train`, says what kind of verifier it is. A token classifier of
others is a process reward model: with one label its sigmoid, with two the probability of the second, as trl
trains them. A verifier reads solutions as text and uses its own tokenizer, so it can score what any
generator wrote.
"""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from ctm_eval.data_files import read_json
from ctm_eval.errors import CtmError
from ctm_eval.models import decode, default_dtype, load_model, load_tokenizer
from ctm_eval.progress import Advance
from ctm_eval.steps import token_steps

Pool = Literal["last", "mean", "min", "product"]

HEADS = ("orm", "prm")
STEP_THRESHOLD = 0.5  # a step that scores below this is wrong
BATCH_TOKENS = 8192  # of a forward pass, padding included
LOGIT_BYTES = 1 << 28  # bound on the logits of a language model's forward pass


@dataclass(frozen=True)
class Candidate:
    """A solution to score: the prompt, the solution's text, and whether it ended by itself."""

    prompt: str
    text: str
    finished: bool = True


class Verifier:
    """A loaded verifier: higher scores are better, and comparable within a problem."""

    def __init__(self, folder: str | Path, *, pool: Pool | None = None, device: str | None = None):
        """Loads a folder that `ctm train` wrote. `pool` says how the token scores of a model with a head
        are reduced to one score: the last, their mean, their minimum or their product. Of a process reward
        model, only the tokens that end a step count. Raises CtmError."""
        import torch

        self._record = training_record(folder)
        self.method: str = self._record["method"]
        if pool and self.method not in HEADS:
            raise CtmError(f"--pool needs an orm or a prm; {folder} is {self.method}", usage=True)
        self.pool = pool or {"orm": "last", "prm": "min"}.get(self.method)
        if self.pool not in (None, *get_args(Pool)):
            known = ", ".join(get_args(Pool))
            raise CtmError(f"unknown pool {self.pool!r}; there are: {known}", usage=True)
        self.descriptions = bool(self._record["data"].get("descriptions"))
        self.device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        self._beta: float = self._record["settings"]["beta"]
        dtype = default_dtype(self.device)
        self.model = load_model(str(folder), dtype, head=self.method in HEADS)
        self.model.to(self.device).eval()
        self._tokenizer = load_tokenizer(str(folder))
        self.reference = None
        if self._record["reference"]:
            self.reference = load_model(self._record["model"], dtype).eval().to(self.device)
        self._vocabulary = self.model.config.get_text_config().vocab_size

    def score(self, solutions: Sequence[Candidate], progress: Advance | None = None) -> list[float]:
        """A score for every solution, in order.

        With a head, the score is the probability of being right, in [0, 1]. Otherwise it is the implicit
        reward of the training: beta times the mean log-probability of the tokens (simpo, orpo, sft; arXiv
        2405.14734, eq. 4), or beta times the log-ratio to the reference (dpo and its variants; arXiv
        2305.18290, eq. 5). Equal solutions are read once. `progress` is called with (solutions, tokens)
        since its last call.
        """
        import torch

        counts = Counter(solutions)
        distinct = list(counts)
        ids = self.encode(distinct)
        scores: dict[Candidate, float] = {}
        for batch in self.batches(ids):
            own = [ids[i] for i in batch]
            with torch.inference_mode():
                scores |= zip((distinct[i] for i in batch), self._score(own), strict=True)
            if progress:
                read = sum(len(prompt) + len(text) for prompt, text in own)
                progress(sum(counts[distinct[i]] for i in batch), read)
        return [scores[solution] for solution in solutions]

    def step_scores(
        self,
        solutions: Sequence[Candidate],
        ends: Sequence[Sequence[int]],
        progress: Advance | None = None,
    ) -> list[list[float]]:
        """The score in [0, 1] after every step of every solution, whose steps end before the characters
        `ends`. Below 0.5 the solution is rather wrong so far.

        With a head it is the probability at the step's last token, otherwise the sigmoid of the implicit
        reward of all that was written until there (arXiv 2412.01981), for which a reference is needed.
        Raises CtmError for a verifier without either.
        """
        import torch

        if self.method not in HEADS and self.reference is None:
            raise CtmError(
                f"{self.method} compares whole solutions, and says nothing of a step: take an orm, a prm, "
                "or a model trained against a reference, such as dpo",
                usage=True,
            )
        rows = self.encode(solutions)
        scores: list[list[float]] = [[]] * len(rows)
        for batch in self.batches(rows):
            own = [rows[i] for i in batch]
            ids, seen, completion = padded(own, self.device)
            with torch.inference_mode():
                if self.method in HEADS:
                    logits = _logits(self.model(input_ids=ids, attention_mask=seen).logits)
                    after = [value[mask] for value, mask in zip(logits, completion, strict=True)]
                else:
                    policy, reference = (
                        _log_probs(model, ids, seen, completion)
                        for model in (self.model, self.reference)
                    )
                    shown = completion[:, -policy.shape[1] :]
                    ratio = self._beta * (policy - reference)
                    after = [row[mask].cumsum(0) for row, mask in zip(ratio, shown, strict=True)]
            for i, value in zip(batch, after, strict=True):
                offsets = self._tokenizer(
                    solutions[i].text, add_special_tokens=False, return_offsets_mapping=True
                )["offset_mapping"]
                last = last_tokens(solutions[i].text, offsets, ends[i], len(rows[i][1]))
                scores[i] = value.sigmoid()[last].tolist()
            if progress:
                progress(len(batch), int(seen.sum()))
        return scores

    def _score(self, rows: Sequence[tuple[list[int], list[int]]]) -> list[float]:
        import torch

        ids, seen, completion = padded(rows, self.device)
        if self.method in HEADS:
            values = _logits(self.model(input_ids=ids, attention_mask=seen).logits).sigmoid()
            return [
                self._pooled(value[mask], row[1])
                for value, mask, row in zip(values, completion, rows, strict=True)
            ]
        logps = _log_probs(self.model, ids, seen, completion)
        if self.reference is not None:
            ratio = logps.sum(1) - _log_probs(self.reference, ids, seen, completion).sum(1)
            scores = self._beta * ratio
        else:
            scores = self._beta * logps.sum(1) / completion.sum(1)
        return [float(score) for score in torch.atleast_1d(scores)]

    def _pooled(self, values: Any, ids: list[int]) -> float:
        if self.method == "prm":
            pieces = [decode(self._tokenizer, [token]) for token in ids]
            values = values[[step[-1] for step in token_steps(pieces)]]
        if self.pool == "last":
            return float(values[-1])
        if self.pool == "mean":
            return float(values.mean())
        return float(values.prod() if self.pool == "product" else values.min())

    def encode(self, solutions: Sequence[Candidate]) -> list[tuple[list[int], list[int]]]:
        """The token ids of prompt and completion of every solution; a finished one ends with EOS."""
        if not solutions:
            return []
        prompts = list(dict.fromkeys(solution.prompt for solution in solutions))
        encoded = dict(zip(prompts, self._tokenizer(prompts).input_ids, strict=True))
        texts = [solution.text for solution in solutions]
        ids = self._tokenizer(texts, add_special_tokens=False).input_ids
        end = [self._tokenizer.eos_token_id]
        return [
            (encoded[solution.prompt], own + end if solution.finished or not own else own)
            for solution, own in zip(solutions, ids, strict=True)
        ]

    def batches(self, rows: Sequence[tuple[list[int], list[int]]]) -> Iterator[list[int]]:
        """Indices of encoded rows of like length, in batches that fit the bounds when padded."""
        most = BATCH_TOKENS
        if self.method not in HEADS:
            most = max(1, min(most, LOGIT_BYTES // (4 * self._vocabulary)))
        order = sorted(range(len(rows)), key=lambda i: sum(map(len, rows[i])))
        batch: list[int] = []
        for i in order:
            if batch and (len(batch) + 1) * sum(map(len, rows[i])) > most:
                yield batch
                batch = []
            batch.append(i)
        if batch:
            yield batch


def last_tokens(
    text: str, offsets: Sequence[tuple[int, int]], ends: Sequence[int], length: int
) -> list[int]:
    """The last token of each step that ends before the character `ends[k]`, as `token_steps` has it: the
    one before the token that says the next step's first word. The last step ends with the last of
    `length` tokens, EOS included."""
    last, step = [], 0
    for i, (start, stop) in enumerate(offsets):
        said = start + len(text[start:stop]) - len(text[start:stop].lstrip())
        while said < stop and step < len(ends) - 1 and said >= ends[step]:
            last.append(max(i - 1, 0))
            step += 1
    return last + [length - 1] * (len(ends) - len(last))


def weight(method: str, score: float) -> float:
    """The weight of a solution in a vote, a positive number: a head's score itself, or the exponential of
    an implicit reward, which is a logarithm (capped at 700)."""
    return score if method in HEADS else math.exp(min(score, 700.0))


def padded(rows: Sequence[tuple[list[int], list[int]]], device: str) -> tuple[Any, Any, Any]:
    """Ids, attention mask and completion mask, (B, T) each, padded on the right."""
    import torch

    width = max(len(prompt) + len(text) for prompt, text in rows)
    ids = torch.zeros(len(rows), width, dtype=torch.long)
    seen, completion = torch.zeros_like(ids), torch.zeros_like(ids, dtype=torch.bool)
    for i, (prompt, text) in enumerate(rows):
        length = len(prompt) + len(text)
        ids[i, :length] = torch.tensor([*prompt, *text])
        seen[i, :length] = 1
        completion[i, len(prompt) : length] = True
    return ids.to(device), seen.to(device), completion.to(device)


def _logits(logits: Any) -> Any:
    """The logit of being right at every token, (B, T) float32, from a head with one label or two."""
    logits = logits.float()
    return logits[..., 0] if logits.shape[-1] == 1 else logits[..., 1] - logits[..., 0]


def _log_probs(model: Any, ids: Any, seen: Any, completion: Any) -> Any:
    """log pi of each completion token and 0 elsewhere, (B, K) float32: the last K positions of the
    batch, from its first completion token on, are all whose logits are computed."""
    keep = ids.shape[1] - int(completion.any(0).int().argmax())
    logits = (
        model(input_ids=ids, attention_mask=seen, use_cache=False, logits_to_keep=keep + 1)
        .logits[:, :-1]
        .float()
    )
    picked = logits.gather(-1, ids[:, -keep:, None])[..., 0] - logits.logsumexp(-1)
    return picked * completion[:, -keep:]


def training_record(folder: str | Path) -> dict[str, Any]:
    """The content of a verifier's `training.json`, or what it would be for a token classifier that others
    trained. Raises CtmError unless the training is finished."""
    path = Path(folder) / "training.json"
    if not path.exists() and _is_classifier(Path(folder)):
        known = {
            "method": "prm",
            "model": str(folder),
            "reference": False,
            "outcome": {},
            "data": {},
        }
        return {**known, "settings": {"beta": 1.0}}
    if not path.exists():
        raise CtmError(
            f"{folder} is not a verifier: it has no training.json; `ctm train orm` makes one",
            usage=True,
        )
    record = read_json(path)
    if "outcome" not in record:
        raise CtmError(
            f"the training of {folder} is not finished: run its `ctm train` again", usage=True
        )
    # Records of older versions call beta gamma, and leave the reference to be told from the method.
    settings, method = record.get("settings"), record.get("method")
    if isinstance(settings, dict):
        settings.setdefault("beta", settings.get("gamma"))
    record.setdefault("reference", method in ("dpo", "cdpo", "rpo", "tdpo", "kto"))
    if not (
        isinstance(settings, dict)
        and isinstance(settings["beta"], (int, float))
        and isinstance(method, str)
        and isinstance(record.get("model"), str)
        and isinstance(record.get("data"), dict)
    ):
        raise CtmError(f"{path} is not the record of a training by `ctm train`", usage=True)
    return record


def _is_classifier(folder: Path) -> bool:
    """Whether a folder has a token classifier of transformers with one label or two."""
    if not (folder / "config.json").is_file():
        return False
    config = read_json(folder / "config.json")
    names, labels = config.get("architectures"), config.get("id2label")
    return (
        isinstance(names, list)
        and any(isinstance(name, str) and name.endswith("ForTokenClassification") for name in names)
        and (labels is None or (isinstance(labels, dict) and len(labels) in (1, 2)))
    )
