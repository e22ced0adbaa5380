"""The error that a user can mend, and what to say of a package that is not installed."""


class CtmError(Exception):
    """A failure that the user can fix; the message says what is wrong and how to fix it.

    `usage` marks a wrong call (exit code 2 instead of 1).
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
    "matplotlib": "figures",
    "openai": "openai",
    "ray": "ray",
    "s3fs": "s3",
}


def missing(package: str) -> str:
    """What to tell a user who lacks a package that only some commands need."""
    extra = EXTRAS.get(package, "all")
    return f"this needs {package}, which is not installed: {pip_install(extra)}"


def pip_install(extra: str) -> str:
    """The command that adds an extra of ctm, which is on no package index: that name there is another's."""
    pins = "" if extra.startswith("vllm") else "-c constraints.txt "  # vllm has pins of its own
    return f"pip install {pins}'.[{extra}]' in the folder of the repository"
