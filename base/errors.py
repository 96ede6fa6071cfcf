"""The one exception that stands for something the user can mend."""


class InputError(Exception):
    """Something in the user's hands is wrong: a file, a folder or an option.

    Its text is the line that the user reads: ``SUBJECT: what is wrong; what to do``.
    """

    def __init__(self, subject, problem: str, remedy: str = ""):
        super().__init__(f"{subject}: {problem}" + (f"; {remedy}" if remedy else ""))
