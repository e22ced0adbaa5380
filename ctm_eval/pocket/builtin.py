"""Where the built-in models are."""

from pathlib import Path

MODEL_DIR = Path(__file__).parent / "weights"
MODELS = {"pocket": MODEL_DIR, "pocket-coder": MODEL_DIR.parent / "coder_weights"}
