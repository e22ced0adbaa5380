"""`ctm train`: wires options to `ctm_data.train`."""

import json
import os
import shlex
import sys
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path
from typing import Annotated

import typer

from ctm_cli import _completion
from ctm_cli._options import AsJson, Config
from ctm_cli._output import next_steps, typed
from ctm_train.settings import Method, PrmLabels, Scheduler, Weights

EXAMPLES = """Examples:

ctm train cdpo runs/pocket --output-dir models/cdpo

ctm train cdpo runs/pocket --weights value --learning-rate 1e-4 --output-dir models/value

ctm train orm runs/verifier --output-dir models/orm

ctm train sft rows.jsonl --model Qwen/Qwen2.5-0.5B --output-dir models/sft --merge

ctm train cdpo runs/llama --preset llama-3-8b-gsm8k --output-dir models/llama

accelerate launch --config_file fsdp.yaml -m ctm_cli.main train cdpo runs/llama …
"""


def add_to(app: typer.Typer) -> None:
    """Adds the command to the application."""
    app.command("train", epilog=EXAMPLES)(command)


METHOD, OPTIMISATION, LORA, OUTPUT = "Method", "Optimisation", "LoRA", "Output"


def command(
    method: Annotated[
        Method, typer.Argument(help="Method of training.", metavar="METHOD", show_default=False)
    ],
    data: Annotated[
        str,
        typer.Argument(
            help="Run folder, JSONL or Parquet file, or dataset on the Hub (NAME or NAME:CONFIG).",
            autocompletion=_completion.run_folders,
            show_default=False,
        ),
    ],
    config: Config = None,
    model: Annotated[
        str | None,
        typer.Option(
            help="Model to start from: Hub id, local folder, or pocket. "
            "[default: the preset's, the run's own, or pocket]",
            rich_help_panel=METHOD,
        ),
    ] = None,
    preset: Annotated[
        str | None,
        typer.Option(
            help="The paper's settings for a model, such as llama-3-8b-gsm8k.",
            autocompletion=_completion.of(_completion.preset_names),
            rich_help_panel=METHOD,
        ),
    ] = None,
    weights: Annotated[
        Weights | None,
        typer.Option(
            help="cdpo: weights of the rejected tokens. [default: the rows' own, or contrast]",
            rich_help_panel=METHOD,
        ),
    ] = None,
    chosen_weights: Annotated[
        bool,
        typer.Option(
            "--chosen-weights",
            help="cdpo: weight chosen tokens by their scores, instead of by 1.",
            rich_help_panel=METHOD,
        ),
    ] = False,
    prm_labels: Annotated[
        PrmLabels | None,
        typer.Option(
            help="prm: a step's label is whether any rollout from it is right (hard), its value (soft), or "
            "soft only near the first lost step of sure problems (confident). [default: hard]",
            rich_help_panel=METHOD,
        ),
    ] = None,
    beta: Annotated[
        float | None,
        typer.Option(
            help="Strength of the preference (gamma in the cDPO paper, lambda in ORPO's).",
            rich_help_panel=METHOD,
        ),
    ] = None,
    nll_weight: Annotated[
        float | None,
        typer.Option(
            help="rpo: weight of the chosen side's negative log-likelihood.", rich_help_panel=METHOD
        ),
    ] = None,
    kl_weight: Annotated[
        float | None,
        typer.Option(help="tdpo, tis-dpo: weight of the KL term.", rich_help_panel=METHOD),
    ] = None,
    simpo_gamma: Annotated[
        float | None,
        typer.Option(
            help="simpo, confpo: target margin divided by beta (gamma/beta in SimPO's paper).",
            rich_help_panel=METHOD,
        ),
    ] = None,
    learning_rate: Annotated[
        float | None, typer.Option(help="Peak learning rate.", rich_help_panel=OPTIMISATION)
    ] = None,
    epochs: Annotated[
        float | None,
        typer.Option(help="Number of passes over the data.", rich_help_panel=OPTIMISATION),
    ] = None,
    batch_size: Annotated[
        int | None,
        typer.Option(
            help="Rows per device and forward pass. A pair counts as one row.",
            rich_help_panel=OPTIMISATION,
        ),
    ] = None,
    gradient_accumulation: Annotated[
        int | None,
        typer.Option(help="Forward passes per optimizer step.", rich_help_panel=OPTIMISATION),
    ] = None,
    warmup: Annotated[
        float | None,
        typer.Option(
            help="Warm-up steps; below 1, a share of all steps.", rich_help_panel=OPTIMISATION
        ),
    ] = None,
    scheduler: Annotated[
        Scheduler | None,
        typer.Option(
            help="Learning-rate schedule after the warm-up.", rich_help_panel=OPTIMISATION
        ),
    ] = None,
    weight_decay: Annotated[
        float | None, typer.Option(help="Weight decay of AdamW.", rich_help_panel=OPTIMISATION)
    ] = None,
    max_length: Annotated[
        int | None,
        typer.Option(
            help="Maximum number of tokens of prompt and completion; the rest is cut off.",
            rich_help_panel=OPTIMISATION,
        ),
    ] = None,
    bf16: Annotated[
        bool | None,
        typer.Option(
            "--bf16/--no-bf16",
            help="Train in bfloat16: a GPU, or (its products alone) a CPU with AMX or AVX512-BF16.",
            rich_help_panel=OPTIMISATION,
        ),
    ] = None,
    gradient_checkpointing: Annotated[
        bool | None,
        typer.Option(
            "--gradient-checkpointing/--no-gradient-checkpointing",
            help="Recompute activations in the backward pass to save memory.",
            rich_help_panel=OPTIMISATION,
        ),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(
            help="Random seed of the data order and of the adapter.", rich_help_panel=OPTIMISATION
        ),
    ] = None,
    lora: Annotated[
        bool | None,
        typer.Option(
            "--lora/--no-lora",
            help="Train a LoRA adapter, or all weights of the model.",
            rich_help_panel=LORA,
        ),
    ] = None,
    lora_r: Annotated[
        int | None, typer.Option(help="Rank of the adapter.", rich_help_panel=LORA)
    ] = None,
    lora_alpha: Annotated[
        int | None,
        typer.Option(
            help="Scale of the adapter, which is divided by the rank.", rich_help_panel=LORA
        ),
    ] = None,
    lora_dropout: Annotated[
        float | None, typer.Option(help="Dropout of the adapter.", rich_help_panel=LORA)
    ] = None,
    lora_targets: Annotated[
        str | None,
        typer.Option(
            help="Modules that get an adapter, separated by commas: q_proj,v_proj,….",
            rich_help_panel=LORA,
        ),
    ] = None,
    merge: Annotated[
        bool,
        typer.Option(
            "--merge", help="Fold the adapter into the model at the end.", rich_help_panel=LORA
        ),
    ] = False,
    output_dir: Annotated[
        Path | None,
        typer.Option(
            help="Folder of the trained model. [default: models/METHOD]", rich_help_panel=OUTPUT
        ),
    ] = None,
    save_steps: Annotated[
        float,
        typer.Option(
            help="Steps between checkpoints; below 1, a share of all steps; 0 for none.",
            rich_help_panel=OUTPUT,
        ),
    ] = 0.1,
    report_to: Annotated[
        list[str] | None,
        typer.Option(
            help="Experiment tracker, such as wandb or tensorboard. May be repeated.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    accelerate_config: Annotated[
        str | None,
        typer.Option(
            help="Write OUTPUT_DIR.yaml for accelerate (ddp, fsdp or deepspeed) and stop.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Train a model on pairs or on solutions: by cDPO, a method it is compared with, or as a verifier.

    Settings that are not given are those of the method's recipe and of the preset.
    """
    from ctm_cli._progress import Progress
    from ctm_data.train import refuse_bucket, train
    from ctm_train.launch import write_config

    folder = output_dir or Path("models") / method
    refuse_bucket(folder)
    if accelerate_config:
        path = write_config(accelerate_config, folder.with_name(folder.name + ".yaml"))
        print(
            f"accelerate launch --config_file {typed(path)} -m ctm_cli.main train {_typed_again()}"
        )
        return
    with Progress() as progress:
        outcome = train(
            method,
            data,
            folder,
            model=model,
            weights=weights,
            chosen_weights=chosen_weights,
            prm_labels=prm_labels,
            preset=preset,
            merge=merge,
            save_steps=save_steps,
            report_to=report_to or (),
            progress=progress,
            learning_rate=learning_rate,
            epochs=epochs,
            batch_size=batch_size,
            gradient_accumulation=gradient_accumulation,
            warmup=warmup,
            scheduler=scheduler,
            weight_decay=weight_decay,
            max_length=max_length,
            beta=beta,
            nll_weight=nll_weight,
            kl_weight=kl_weight,
            simpo_gamma=simpo_gamma,
            lora=lora,
            lora_r=lora_r,
            lora_alpha=lora_alpha,
            lora_dropout=lora_dropout,
            lora_targets=lora_targets,
            bf16=bf16,
            gradient_checkpointing=gradient_checkpointing,
            seed=seed,
        )
    if os.environ.get("RANK", "0") != "0":
        return  # one of several processes speaks
    if as_json:
        print(json.dumps({**asdict(outcome), "folder": str(folder)}))
        return
    loss = "not logged" if outcome.loss is None else f"{outcome.loss:.4g}"
    kl = "" if outcome.kl is None else f", KL from the start {outcome.kl:.2g} nats a token"
    steps = f"{outcome.steps} {'step' if outcome.steps == 1 else 'steps'}"
    print(f"{steps} in {outcome.seconds:.0f} s, last loss {loss}{kl}")
    if outcome.dropped:
        print(f"{outcome.dropped} pairs had no weights and were left out")
    if outcome.still:
        print("The model is what it was: raise --learning-rate or --epochs, or lower --warmup.")
    elif outcome.short:
        print("So few steps show nothing: train on more rows, or raise --epochs.")
    next_steps(_next(method, data, folder))


def _typed_again() -> str:
    """What was typed after `train`, without --accelerate-config."""
    words = sys.argv[sys.argv.index("train") + 1 :]
    kept = [
        word
        for before, word in pairwise(["", *words])
        if not word.startswith("--accelerate-config") and before != "--accelerate-config"
    ]
    return shlex.join(kept)


def _next(method: str, data: str, folder: Path) -> str:
    """What to type with the trained model, on the benchmark of its data, into a folder that is free."""
    from ctm_data.run.manifest import read_manifest
    from ctm_data.run.store import is_run_folder
    from ctm_eval.benchmarks import BENCHMARKS

    recipe = read_manifest(data)["recipe"] if is_run_folder(data) else {}
    on = ""
    if recipe.get("benchmark", "pocket") != "pocket":
        on = f" --benchmark {typed(recipe['benchmark'])}"
        on += " --data-file …" if recipe.get("data_file") else ""
    if method in ("orm", "prm"):
        solver = recipe.get("model", "pocket")
        solver = solver[0] if isinstance(solver, list) else solver
        asked = "" if solver == "pocket" else f" --model {typed(solver)}"
        return f"ctm eval{asked}{on} --n 16 --verifier {typed(folder)}"
    benchmark = BENCHMARKS.get(recipe.get("benchmark", ""))
    if benchmark and benchmark.kind == "code":  # programs are not rolled out
        return f"ctm eval --model {typed(folder)}{on}"
    out = Path("runs") / folder.name
    while out.exists():
        out = out.with_name(f"{out.name}-again")
    return f"ctm build-dataset --model {typed(folder)}{on} --output-dir {typed(out)}"
