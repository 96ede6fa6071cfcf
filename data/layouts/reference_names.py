"""Names that people give to references, by which one is known that lies where none is looked for."""

import re

_WORDS = "seg|segm|segs|segmentation|segmentations|label|labels|labelmap|mask|masks|gt|ground_?truth|annotations?"
_WORD = re.compile(rf"(?:^|[^a-z])(?:{_WORDS})(?:[^a-z]|$)")


def is_named_as_reference(stem: str) -> bool:
    """Tell whether a file's name without ending holds such a word."""
    return bool(_WORD.search(stem.lower()))


def is_named_as_reference_of(stem: str, scan: str) -> bool:
    """Tell whether `stem` is the name of a scan with such a word behind it."""
    rest = stem.removeprefix(scan)
    return rest != stem and rest[:1] in ("_", "-", ".", " ") and is_named_as_reference(rest)
