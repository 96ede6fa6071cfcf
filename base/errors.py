"""The exception for errors that the user can correct, and its one-line message."""


def one_line(error: Exception) -> str:
    """Return the one-line message of an error that the user can correct."""
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}; check the path, its permissions and the free disk space"
    return str(error) or type(error).__name__


class InputError(Exception):
    """An error that the user can correct, in a file, a folder or an option.

    Its text is the line shown to the user: ``SUBJECT: what is wrong; what to do``.
    """

    def __init__(self, subject, problem: str, remedy: str = ""):
        self.subject, self.problem, self.remedy = subject, problem, remedy
        super().__init__(f"{subject}: {problem}" + (f"; {remedy}" if remedy else ""))

    def __reduce__(self):
        return type(self), (self.subject, self.problem, self.remedy)  # pickled between processes

    def with_remedy(self, remedy: str) -> "InputError":
        """Return the same error with another remedy."""
        return type(self)(self.subject, self.problem, remedy)
