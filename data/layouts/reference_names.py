"""Common names of references, to recognize references in unexpected positions."""

import re

_WORDS = "seg|segm|segs|segmentation|segmentations|label|labels|labelmap|mask|masks|gt|ground_?truth|annotations?"
_WORD = re.compile(rf"(?:^|[^a-z])(?:{_WORDS})(?:[^a-z]|$)")


def is_named_as_reference(stem: str) -> bool:
    """Return whether a file name without extension contains a common word for references."""
    return bool(_WORD.search(stem.lower()))


def is_named_as_reference_of(stem: str, scan: str) -> bool:
    """Return whether `stem` is the name of a scan followed by a common word for references."""
    rest = stem.removeprefix(scan)
    return rest != stem and rest[:1] in ("_", "-", ".", " ") and is_named_as_reference(rest)
