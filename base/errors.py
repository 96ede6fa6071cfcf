"""The one exception that stands for something the user can mend, and the line in which it is told."""


def one_line(error: Exception) -> str:
    """Say in one line what the user can mend."""
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}; check the path, its rights and the disk's space"
    return str(error) or type(error).__name__


class InputError(Exception):
    """Something in the user's hands is wrong: a file, a folder or an option.

    Its text is the line that the user reads: ``SUBJECT: what is wrong; what to do``.
    """

    def __init__(self, subject, problem: str, remedy: str = ""):
        self.subject, self.problem, self.remedy = subject, problem, remedy
        super().__init__(f"{subject}: {problem}" + (f"; {remedy}" if remedy else ""))

    def __reduce__(self):
        return type(self), (self.subject, self.problem, self.remedy)  # from a process to another

    def with_remedy(self, remedy: str) -> "InputError":
        """The same error with something else to do about it."""
        return type(self)(self.subject, self.problem, remedy)
