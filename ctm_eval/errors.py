"""The error that a user can mend, and what to say of a package that is not installed."""


class CtmError(Exception):
    """Work that failed for a reason the user can mend; the message says what is wrong and the way out.

    `usage` marks a call that was wrong from the start (exit code 2 instead of 1).
    """

    def __init__(self, message: str, *, usage: bool = False) -> None:
        super().__init__(message)
        self.usage = usage


EXTRAS = {  # heavy packages, by the extra of ctm that brings them
    "torch": "transformers",
    "transformers": "transformers",
    "tokenizers": "transformers",
    "safetensors": "transformers",
    "datasets": "transformers",
    "peft": "transformers",
    "accelerate": "train",
    "trl": "train",
}


def missing(package: str) -> str:
    """What to tell a user who lacks a package that only some commands need."""
    extra = EXTRAS.get(package, "all")
    return f'this needs {package}, which is not installed: pip install "ctm[{extra}]"'
