"""Protection of folders that this program did not create from being used for its output."""

from collections.abc import Callable
from pathlib import Path

from base.atomic_file import is_temporary
from base.errors import InputError
from base.folder_lock import LOCK
from base.names import is_of_a_system


def refuse_foreign(
    folder: Path, record: str, option: str, allowed: Callable[[Path], bool] = lambda path: False
) -> None:
    """Raise InputError unless `folder` is missing or empty, or contains `record`, which marks a stage's own folders.

    Args:
        option: the command-line option that names the folder, for the error message.
        allowed: returns whether a path may exist in the folder even without a record.
    """
    if (folder / record).is_file() or not folder.exists():
        return
    if not folder.is_dir():
        raise InputError(folder, "is not a folder", f"name another with {option}")
    for path in sorted(folder.iterdir()):
        if path.name != LOCK and not is_temporary(path.name) and not is_of_a_system(path.name) and not allowed(path):
            problem = f"holds {path.name} and no {record}: it is not an output folder of this program"
            raise InputError(folder, problem, f"name an empty or a new folder with {option}")
