"""The error class for problems that the user can fix."""


class CtmError(Exception):
    """A failure that the user can fix; the message says what is wrong and how to fix it.

    `usage` marks a wrong call (exit code 2 instead of 1).
    """

    def __init__(self, message: str, *, usage: bool = False) -> None:
        super().__init__(message)
        self.usage = usage
