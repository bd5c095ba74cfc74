"""The one kind of error that is nobody's mistake at the keyboard: something outside the command failed."""

__all__ = ["Failure"]


class Failure(RuntimeError):
    """A notebook or an archive failed; the message says all that a user needs. A command ends with status 1."""
