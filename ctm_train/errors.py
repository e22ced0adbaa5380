"""The error that a user can mend, for training."""


class TrainError(Exception):
    """Training that failed for a reason the user can mend; the message says what and the way out.

    `usage` marks a call that was wrong from the start.
    """

    def __init__(self, message: str, *, usage: bool = False) -> None:
        super().__init__(message)
        self.usage = usage
