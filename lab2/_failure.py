"""The error for failures outside the command, not caused by wrong arguments."""

__all__ = ["Failure"]


class Failure(RuntimeError):
    """A notebook or an archive failed; the message tells the user everything needed. The command ends with status 1."""
