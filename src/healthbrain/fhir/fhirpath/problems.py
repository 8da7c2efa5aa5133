"""What can be wrong with an expression, and where in its text.

`Unreadable` is found when it is parsed, `Unanswerable` when it is checked or evaluated. Both say line and column,
what was found and what would be right; neither repeats a value of the data it was evaluated on.
"""

from __future__ import annotations

from healthbrain.errors import Incorrect, Malformed


def position(text: str, offset: int) -> tuple[int, int]:
    """Line and column (from 1) of a character."""
    line = text.count("\n", 0, offset) + 1
    return line, offset - (text.rfind("\n", 0, offset) + 1) + 1


class Unreadable(Malformed):
    """The FHIRPath expression cannot be read."""

    def __init__(self, message: str, text: str, offset: int) -> None:
        self.line, self.column = position(text, offset)
        self.offset = offset
        super().__init__(f"FHIRPath line {self.line}, column {self.column}: {message}")


class Unanswerable(Incorrect):
    """The FHIRPath expression can be read but has no answer here."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        self.line = self.column = 0
        super().__init__(f"FHIRPath: {reason}")

    def at(self, text: str, offset: int) -> Unanswerable:
        """The same problem with its place; the innermost place wins."""
        if not self.line:
            self.line, self.column = position(text, offset)
            self.args = (f"FHIRPath line {self.line}, column {self.column}: {self.reason}",)
        return self
