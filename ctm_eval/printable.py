"""Text that a terminal can show: what data say must not steer it."""


def printable(text: object, longest: int | None = None) -> str:
    """Text without control characters (escape sequences, line ends, changes of direction), each shown as
    �; cut off after `longest` characters."""
    shown = "".join(c if c.isprintable() else "�" for c in str(text))
    return shown if longest is None or len(shown) <= longest else f"{shown[:longest]}…"


def printable_lines(text: str) -> str:
    """The same for a text of several lines, whose line ends stay."""
    return "\n".join(map(printable, text.split("\n")))
