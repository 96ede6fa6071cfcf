"""Names of files and folders that come from elsewhere: from a command line, or from a file that may be hostile."""

from pathlib import PurePosixPath

_OF_SYSTEMS = {  # lower case: what macOS, Windows and file servers leave beside the files of a user
    *(".ds_store", "__macosx", ".spotlight-v100", ".trashes", ".fseventsd", ".appledouble"),
    *("thumbs.db", "ehthumbs.db", "desktop.ini", "$recycle.bin", "system volume information", "@eadir"),
}
RESERVED = ("cache", "soft_labels")  # folders of SAVE that hold no run
_LONGEST = 235  # bytes; systems allow 255, and endings are added


def is_text(name) -> bool:
    """Whether a name or path can be written down: one that is not UTF-8, as in old archives, cannot."""
    try:
        str(name).encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def is_of_a_system(name: str) -> bool:
    """Tell whether an operating system, not a user, put a file or folder of this name there."""
    return name.startswith("._") or name.lower() in _OF_SYSTEMS


def check_name(text: str) -> str:
    """Return `text` if it is the plain name of one file or folder; raise ValueError for all else, such as a path."""
    if not isinstance(text, str) or not text or text != PurePosixPath(text).name or text.startswith("."):
        raise ValueError(f"{text!r} is not a plain name of a folder")
    if "\\" in text or any(ord(character) < 32 or ord(character) == 127 for character in text):
        raise ValueError(f"{text!r} holds characters that no name should have")
    if not is_text(text):
        raise ValueError(f"{text!r} is not UTF-8")
    if len(text.encode("utf-8")) > _LONGEST:
        raise ValueError(f"{text[:20]!r}... is too long for a name")
    return text


def check_run_name(text: str) -> str:
    """Return `text` if it can name a run or experiment, a folder of SAVE; raise ValueError for all else."""
    if text in RESERVED:
        raise ValueError(f"{text} is a folder of SAVE that holds no run; choose another name")
    return check_name(text)


def check_path_inside(text: str) -> str:
    """Return `text` if it is a relative path that does not leave its folder; raise ValueError for all else."""
    if not isinstance(text, str):
        raise ValueError("it is no path")
    path = PurePosixPath(text)
    if not text or path.is_absolute() or ".." in path.parts or "\0" in text:
        raise ValueError(f"{text!r} leaves the folder")
    return text
