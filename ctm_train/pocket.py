"""Builds the built-in models: `pocket` from nothing, `pocket-coder` from pocket.

    python -m ctm_train.pocket --output-dir pocket
    python -m ctm_train.pocket --task coder --start pocket --output-dir pocket-coder

reads `{prompt, completion}` rows (by default those that `python -m ctm_eval.pocket` prints: the
benchmark and the trainer meet in a pipe, not in an import), learns a byte-level BPE of 1,024
entries in which every digit stands alone, and trains a small Llama on them, once through, loss on
the completions only. The coder goes on from pocket's weights, with its tokenizer, on a corpus of its
own. The same seed, device and thread count give the same weights. It writes a
checkpoint every few minutes and goes on from the last one when it is started again.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

BOS, EOS, PAD = "<bos>", "<eos>", "<pad>"
CHECKPOINT = "checkpoint.pt"


@dataclass(frozen=True)
class Recipe:
    """Everything that decides the weights, next to the device and its thread count."""

    task: str = "pocket"  # whose corpus
    start: str = (
        ""  # the folder of a model to go on from, with its tokenizer; from nothing if empty
    )
    rows: int = 180_000
    seed: int = 0
    vocab_size: int = 1024
    hidden_size: int = 160
    layers: int = 5
    heads: int = 5
    intermediate_size: int = 448
    batch_tokens: int = 8192
    muon_lr: float = 0.02  # matrices of the layers
    adamw_lr: float = 0.004  # embedding and norms
    warmup: float = 0.02  # share of the steps
    cooldown: float = 0.5  # share of the steps over which the rate falls to nothing


RECIPES = {
    "pocket": Recipe(),
    "coder": Recipe(task="coder", rows=36_000, batch_tokens=4096, muon_lr=0.01, adamw_lr=0.002),
}


def corpus(recipe: Recipe) -> Iterator[dict[str, str]]:
    """The rows that `python -m ctm_eval.pocket` prints for this recipe."""
    command = [sys.executable, "-m", "ctm_eval.pocket", "--training-rows", str(recipe.rows)]
    command += ["--seed", str(recipe.seed), "--task", recipe.task]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            yield json.loads(line)
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} failed with exit code {process.returncode}")


def train_tokenizer(texts: Iterable[str], vocab_size: int) -> "PreTrainedTokenizerFast":
    """A byte-level BPE that writes every digit as a token of its own (a leading space kept)."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(r" ?\d| ?\p{L}+| ?[^\s\p{L}\d]+|\s"), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=[PAD, BOS, EOS],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{BOS} $A", special_tokens=[(BOS, tokenizer.token_to_id(BOS))]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token=BOS, eos_token=EOS, pad_token=PAD
    )


def new_model(tokenizer: "PreTrainedTokenizerFast", recipe: Recipe) -> "LlamaForCausalLM":
    """A Llama with random weights drawn from the recipe's seed."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(recipe.seed)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=recipe.hidden_size,
            intermediate_size=recipe.intermediate_size,
            num_hidden_layers=recipe.layers,
            num_attention_heads=recipe.heads,
            num_key_value_heads=recipe.heads,
            max_position_embeddings=1024,
            rms_norm_eps=1e-5,
            tie_word_embeddings=True,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )


def batches(
    rows: list[tuple[list[int], int]], recipe: Recipe, pad: int
) -> Iterator[tuple["torch.Tensor", "torch.Tensor"]]:
    """Batches of rows of like length, as (ids, labels), both (B, T); -100 where no loss is taken.

    Lengths are sorted within windows of some 30 batches and the batches of a window are shuffled:
    little padding, and no order by length over the training.
    """
    import torch

    generator = torch.Generator().manual_seed(recipe.seed)
    window = 30 * recipe.batch_tokens // 90
    for start in range(0, len(rows), window):
        chunk = sorted(rows[start : start + window], key=lambda row: len(row[0]))
        groups: list[list[tuple[list[int], int]]] = [[]]
        for row in chunk:
            if groups[-1] and len(row[0]) * (len(groups[-1]) + 1) > recipe.batch_tokens:
                groups.append([])
            groups[-1].append(row)
        for g in torch.randperm(len(groups), generator=generator).tolist():
            length = max(len(ids) for ids, _ in groups[g])
            batch = torch.full((len(groups[g]), length), pad)
            labels = torch.full((len(groups[g]), length), -100)
            for i, (ids, prompt_length) in enumerate(groups[g]):
                batch[i, : len(ids)] = torch.tensor(ids)
                labels[i, prompt_length : len(ids)] = batch[i, prompt_length : len(ids)]
            yield batch, labels


def build(
    output_dir: Path, recipe: Recipe, device: str = "cpu", checkpoint_seconds: float = 180
) -> Path:
    """Trains the model of `recipe` into `output_dir` and returns it; resumes a checkpoint there.

    A checkpoint is written every `checkpoint_seconds` and removed at the end.
    Raises ValueError if the checkpoint belongs to another recipe or device.
    """
    import torch

    output_dir.mkdir(parents=True, exist_ok=True)
    rows = list(corpus(recipe))
    tokenizer, model = _beginning(rows, recipe)
    model.to(device)  # type: ignore[arg-type]
    encoded = _encode(rows, tokenizer)
    steps = sum(1 for _ in batches(encoded, recipe, tokenizer.pad_token_id))
    optimizers = _optimizers(model, recipe)
    made_by = {**asdict(recipe), "device": device}
    done, tokens = _load(output_dir / CHECKPOINT, made_by, model, optimizers, device)
    log = (output_dir / "log.jsonl").open("a")
    started, tokens_before, last_saved = time.monotonic(), tokens, time.monotonic()
    for step, (ids, labels) in enumerate(batches(encoded, recipe, tokenizer.pad_token_id)):
        if step < done:
            continue
        for optimizer in optimizers:
            for group in optimizer.param_groups:
                group["lr"] = group["peak_lr"] * _schedule(step / steps, recipe)
        with torch.autocast(device, torch.bfloat16):
            hidden = model.model(ids.to(device)).last_hidden_state[:, :-1]
            targets = labels[:, 1:].to(device)
            logits = model.lm_head(hidden[targets != -100])
        loss = torch.nn.functional.cross_entropy(logits.float(), targets[targets != -100])
        loss.backward()
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()
        tokens += ids.numel()
        if step % 25 == 0 or step + 1 == steps:
            rate = (tokens - tokens_before) / (time.monotonic() - started)
            left = (steps - step - 1) * tokens / (step + 1) / rate
            entry = {"step": step, "loss": round(loss.item(), 4), "tokens": tokens}
            log.write(json.dumps(entry) + "\n")
            log.flush()
            print(
                f"step {step + 1}/{steps}  loss {loss.item():.3f}  {rate:,.0f} tokens/s  "
                f"{left / 60:.0f} min left",
                file=sys.stderr,
            )
        if time.monotonic() - last_saved > checkpoint_seconds:
            _save(output_dir / CHECKPOINT, made_by, model, optimizers, step + 1, tokens)
            last_saved = time.monotonic()
    model.bfloat16().save_pretrained(output_dir)
    tokenizer.save_pretrained(output_dir)
    (output_dir / CHECKPOINT).unlink(missing_ok=True)
    return output_dir


def _beginning(
    rows: list[dict[str, str]], recipe: Recipe
) -> tuple["PreTrainedTokenizerFast", "LlamaForCausalLM"]:
    """The tokenizer and the model before the first step."""
    if not recipe.start:
        texts = (row["prompt"] + row["completion"] for row in rows[:40_000])
        tokenizer = train_tokenizer(texts, recipe.vocab_size)
        return tokenizer, new_model(tokenizer, recipe)
    from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

    return (
        PreTrainedTokenizerFast.from_pretrained(recipe.start, trust_remote_code=False),
        LlamaForCausalLM.from_pretrained(recipe.start, trust_remote_code=False).float(),
    )


def _encode(
    rows: list[dict[str, str]], tokenizer: "PreTrainedTokenizerFast"
) -> list[tuple[list[int], int]]:
    """(ids, prompt length) a row: BOS and prompt, completion, EOS."""
    prompts = tokenizer([row["prompt"] for row in rows]).input_ids
    completions = tokenizer([row["completion"] for row in rows], add_special_tokens=False).input_ids
    return [
        (prompt + completion + [tokenizer.eos_token_id], len(prompt))
        for prompt, completion in zip(prompts, completions, strict=True)
    ]


def _optimizers(model: "LlamaForCausalLM", recipe: Recipe) -> list["torch.optim.Optimizer"]:
    """Muon for the layers' matrices, AdamW for the embedding and the norms."""
    import torch

    named = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    matrices = [p for name, p in named if p.ndim == 2 and "embed" not in name]
    others = [p for name, p in named if p.ndim != 2 or "embed" in name]
    optimizers = [
        torch.optim.Muon(matrices, lr=recipe.muon_lr, weight_decay=0.01, momentum=0.95),
        torch.optim.AdamW(others, lr=recipe.adamw_lr, betas=(0.9, 0.95), weight_decay=0.0),
    ]
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["peak_lr"] = group["lr"]
    return optimizers


def _schedule(progress: float, recipe: Recipe) -> float:
    """Linear warm-up, then flat, then a linear fall to nothing."""
    return max(0.0, min(1.0, progress / recipe.warmup, (1 - progress) / recipe.cooldown))


def _save(
    path: Path,
    made_by: dict[str, Any],
    model: "LlamaForCausalLM",
    optimizers: list["torch.optim.Optimizer"],
    done: int,
    tokens: int,
) -> None:
    import torch

    state = {
        "made_by": made_by,
        "model": model.state_dict(),
        "optimizers": [optimizer.state_dict() for optimizer in optimizers],
        "done": done,
        "tokens": tokens,
    }
    partial = path.with_suffix(".part")
    torch.save(state, partial)
    os.replace(partial, path)


def _load(
    path: Path,
    made_by: dict[str, Any],
    model: "LlamaForCausalLM",
    optimizers: list["torch.optim.Optimizer"],
    device: str,
) -> tuple[int, int]:
    """Steps done and tokens seen; (0, 0) where there is no checkpoint."""
    import torch

    if not path.exists():
        return 0, 0
    state = torch.load(path, map_location=device, weights_only=True)
    if state["made_by"] != made_by:
        raise ValueError(f"{path} belongs to another recipe: {state['made_by']}; remove it first")
    model.load_state_dict(state["model"])
    for optimizer, saved in zip(optimizers, state["optimizers"], strict=True):
        optimizer.load_state_dict(saved)
    return state["done"], state["tokens"]


def main(arguments: list[str] | None = None) -> None:
    """`python -m ctm_train.pocket`: one option for every field of `Recipe`, by default `RECIPES`'."""
    parser = argparse.ArgumentParser(
        prog="python -m ctm_train.pocket", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--output-dir", type=Path, required=True)
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads; part of the recipe")
    parser.add_argument("--task", choices=RECIPES, default="pocket", help="which model")
    for name, default in asdict(Recipe()).items():
        if name != "task":
            parser.add_argument(f"--{name.replace('_', '-')}", type=type(default))
    options = vars(parser.parse_args(arguments))
    output_dir, device, threads = (options.pop(k) for k in ("output_dir", "device", "threads"))
    given = {name: value for name, value in options.items() if value is not None}
    recipe = replace(RECIPES[options["task"]], **given)
    if recipe.task == "coder" and not recipe.start:
        parser.error("--task coder goes on from a model: give its folder with --start")
    import torch

    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True)
    print(build(output_dir, recipe, device))


if __name__ == "__main__":
    main()
