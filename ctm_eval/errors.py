"""The error that a user can mend."""


class CtmError(Exception):
    """Work that failed for a reason the user can mend; the message says what is wrong and the way out.

    `usage` marks a call that was wrong from the start (exit code 2 instead of 1).
    """

    def __init__(self, message: str, *, usage: bool = False) -> None:
        super().__init__(message)
        self.usage = usage
