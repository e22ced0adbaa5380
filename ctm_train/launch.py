"""Configurations of `accelerate launch` for models that one device cannot hold or train fast."""

from pathlib import Path
from typing import Any

from ctm_train.errors import TrainError

_COMMON: dict[str, Any] = {
    "compute_environment": "LOCAL_MACHINE",
    "machine_rank": 0,
    "num_machines": 1,
    "num_processes": 8,
    "mixed_precision": "bf16",
}

CONFIGS: dict[str, dict[str, Any]] = {
    "ddp": {**_COMMON, "distributed_type": "MULTI_GPU"},
    "fsdp": {
        **_COMMON,
        "distributed_type": "FSDP",
        "fsdp_config": {
            "fsdp_version": 2,
            "fsdp_auto_wrap_policy": "TRANSFORMER_BASED_WRAP",
            "fsdp_cpu_ram_efficient_loading": True,
            "fsdp_reshard_after_forward": True,
            "fsdp_state_dict_type": "FULL_STATE_DICT",
            "fsdp_offload_params": False,
        },
    },
    "deepspeed": {
        **_COMMON,
        "distributed_type": "DEEPSPEED",
        "deepspeed_config": {
            "zero_stage": 3,
            "zero3_init_flag": True,
            "zero3_save_16bit_model": True,
            "offload_optimizer_device": "none",
            "offload_param_device": "none",
        },
    },
}


def write_config(kind: str, path: str | Path) -> Path:
    """Writes accelerate's configuration of `kind` for one machine of eight GPUs to `path`.

    Raises TrainError for an unknown kind or a file that is already there.
    """
    import yaml

    if kind not in CONFIGS:
        raise TrainError(f"unknown config {kind!r}; there are: {', '.join(CONFIGS)}", usage=True)
    path = Path(path)
    if path.exists():
        raise TrainError(f"{path} is already there", usage=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(CONFIGS[kind], sort_keys=True))
    return path
