"""Output folders: one that holds something that is not the program's own is not written to."""

from collections.abc import Callable
from pathlib import Path

from base.atomic_file import is_temporary
from base.errors import InputError
from base.folder_lock import LOCK
from base.names import is_of_a_system


def refuse_foreign(
    folder: Path, record: str, option: str, allowed: Callable[[Path], bool] = lambda path: False
) -> None:
    """Raise InputError where `folder` holds anything and has no `record`, the file by which a stage knows its own.

    Args:
        option: that names the folder, for the error's text.
        allowed: tells of a path in the folder whether it may lie there all the same.
    """
    if (folder / record).is_file() or not folder.exists():
        return
    if not folder.is_dir():
        raise InputError(folder, "is not a folder", f"name another with {option}")
    for path in sorted(folder.iterdir()):
        if path.name != LOCK and not is_temporary(path.name) and not is_of_a_system(path.name) and not allowed(path):
            problem = f"holds {path.name} and no {record}: it is no folder of this program's results"
            raise InputError(folder, problem, f"name an empty or a new folder with {option}")
