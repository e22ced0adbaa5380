"""`ctm train`: wires options to `ctm_data.train`."""

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from ctm_cli._options import AsJson, Config

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


def command(
    method: Annotated[
        str,
        typer.Argument(
            help="cdpo, dpo, tdpo, rpo, simpo, orpo, kto, sft, orm or prm.", metavar="METHOD"
        ),
    ],
    data: Annotated[
        str,
        typer.Argument(
            help="A run folder, a JSONL or Parquet file, or a Hub dataset (NAME or NAME:CONFIG)."
        ),
    ],
    config: Config = None,
    output_dir: Annotated[
        Path | None, typer.Option(help="The model's folder. [default: models/METHOD]")
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(help="A Hub id, a local folder, or pocket. [default: the preset's]"),
    ] = None,
    preset: Annotated[
        str | None, typer.Option(help="The paper's settings for a model: llama-3-8b-gsm8k, ….")
    ] = None,
    weights: Annotated[
        str, typer.Option(help="cdpo, rejected tokens: contrast, value, critical or uniform.")
    ] = "contrast",
    chosen_weights: Annotated[
        bool, typer.Option("--chosen-weights", help="cdpo: chosen tokens weigh s_t instead of 1.")
    ] = False,
    hard_labels: Annotated[
        bool, typer.Option("--hard-labels", help="prm: a step is right if any rollout from it is.")
    ] = False,
    learning_rate: Annotated[float | None, typer.Option(help="At the peak.")] = None,
    epochs: Annotated[float | None, typer.Option(help="Passes over the data.")] = None,
    batch_size: Annotated[
        int | None, typer.Option(help="Rows a device and forward pass (pairs count as one).")
    ] = None,
    gradient_accumulation: Annotated[
        int | None, typer.Option(help="Forward passes that make a step.")
    ] = None,
    warmup: Annotated[float | None, typer.Option(help="Steps; below 1 a share of them.")] = None,
    scheduler: Annotated[
        str | None, typer.Option(help="cosine, linear, constant_with_warmup, ….")
    ] = None,
    weight_decay: Annotated[float | None, typer.Option(help="Of AdamW.")] = None,
    max_length: Annotated[
        int | None, typer.Option(help="Tokens of prompt and completion; the rest is cut off.")
    ] = None,
    gamma: Annotated[
        float | None, typer.Option(help="Strength of the preference (beta in trl).")
    ] = None,
    nll_weight: Annotated[float | None, typer.Option(help="rpo: weight of the NLL.")] = None,
    kl_weight: Annotated[float | None, typer.Option(help="tdpo: weight of the KL term.")] = None,
    margin: Annotated[float | None, typer.Option(help="simpo: margin over gamma.")] = None,
    lora: Annotated[
        bool | None, typer.Option("--lora/--no-lora", help="Train an adapter, or all of the model.")
    ] = None,
    lora_r: Annotated[int | None, typer.Option(help="Rank.")] = None,
    lora_alpha: Annotated[int | None, typer.Option(help="Scale, over the rank.")] = None,
    lora_dropout: Annotated[float | None, typer.Option(help="Dropout of the adapter.")] = None,
    lora_targets: Annotated[
        str | None, typer.Option(help="Modules with an adapter: q_proj,v_proj,….")
    ] = None,
    bf16: Annotated[bool | None, typer.Option("--bf16/--no-bf16", help="On a GPU.")] = None,
    gradient_checkpointing: Annotated[
        bool | None,
        typer.Option("--gradient-checkpointing/--no-gradient-checkpointing", help="Saves memory."),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Of the order and the adapter.")] = None,
    save_steps: Annotated[
        float, typer.Option(help="Steps between checkpoints; below 1 a share; 0 for none.")
    ] = 0.1,
    merge: Annotated[
        bool, typer.Option("--merge", help="Fold the adapter into the model.")
    ] = False,
    report_to: Annotated[
        list[str] | None, typer.Option(help="wandb, tensorboard, …: what trl knows.")
    ] = None,
    accelerate_config: Annotated[
        str | None,
        typer.Option(help="Write OUTPUT_DIR.yaml for accelerate (ddp, fsdp, deepspeed) and stop."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Train a model on pairs, or on solutions, by cDPO or one of its rivals; or a verifier.

    Settings that are not given are those of the method's recipe and the preset.
    """
    from ctm_cli._progress import Progress
    from ctm_data.train import train
    from ctm_train.launch import write_config
    from ctm_train.settings import preset_model

    folder = output_dir or Path("models") / method
    if accelerate_config:
        path = write_config(accelerate_config, folder.with_name(folder.name + ".yaml"))
        print(f"accelerate launch --config_file {path} -m ctm_cli.main train {method} {data} …")
        return
    with Progress() as progress:
        outcome = train(
            method,
            data,
            folder,
            model=model or (preset_model(preset) if preset else "pocket"),
            weights=weights,  # type: ignore[arg-type]
            chosen_weights=chosen_weights,
            hard_labels=hard_labels,
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
            gamma=gamma,
            nll_weight=nll_weight,
            kl_weight=kl_weight,
            margin=margin,
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
    print(f"{outcome.steps} steps in {outcome.seconds:.0f} s, last loss {outcome.loss:.4g}")
    verifier = f"ctm eval --n 16 --verifier {folder}"
    other = f"ctm build-dataset --model {folder} --output-dir runs/{folder.name}"
    print(f"\nNext:\n  {verifier if method in ('orm', 'prm') else other}")
