"""Validation of file and folder names from untrusted sources: the command line, or files that may be malicious."""

from pathlib import PurePosixPath

_SYSTEM_NAMES = {  # lower case: files that macOS, Windows and file servers create beside the user's own
    *(".ds_store", "__macosx", ".spotlight-v100", ".trashes", ".fseventsd", ".appledouble"),
    *("thumbs.db", "ehthumbs.db", "desktop.ini", "$recycle.bin", "system volume information", "@eadir"),
}
RESERVED = ("cache", "soft_labels")  # folders of SAVE that are not runs
_LONGEST = 235  # bytes; systems allow 255, and extensions are added


def is_text(name) -> bool:
    """Return whether a name or path can be encoded as UTF-8; names from old archives sometimes cannot."""
    try:
        str(name).encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def is_of_a_system(name: str) -> bool:
    """Return whether files or folders of this name are created by operating systems rather than by users."""
    return name.startswith("._") or name.lower() in _SYSTEM_NAMES


def check_name(text: str) -> str:
    """Return `text` if it is a plain name of one file or folder; raise ValueError otherwise, for example for a path."""
    if not isinstance(text, str) or not text or text != PurePosixPath(text).name or text.startswith("."):
        raise ValueError(f"{text!r} is not a plain name of a folder")
    if "\\" in text or any(ord(character) < 32 or ord(character) == 127 for character in text):
        raise ValueError(f"{text!r} contains characters that are not allowed in a name")
    if not is_text(text):
        raise ValueError(f"{text!r} is not UTF-8")
    if len(text.encode("utf-8")) > _LONGEST:
        raise ValueError(f"{text[:20]!r}... is too long for a name")
    return text


def check_run_name(text: str) -> str:
    """Return `text` if it is a valid name of a run or experiment (a folder of SAVE); raise ValueError otherwise."""
    if text in RESERVED:
        raise ValueError(f"{text} is a reserved folder of SAVE; choose another name")
    return check_name(text)


def check_path_inside(text: str) -> str:
    """Return `text` if it is a relative path that does not leave its folder; raise ValueError otherwise."""
    if not isinstance(text, str):
        raise ValueError("it is not a path")
    path = PurePosixPath(text)
    if not text or path.is_absolute() or ".." in path.parts or "\0" in text:
        raise ValueError(f"{text!r} leaves the folder")
    return text
