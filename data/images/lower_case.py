"""Image files whose ending is in capitals, for readers that know formats by endings in lower case alone."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from data.images.image_headers import read_header


@contextmanager
def in_lower_case(path: Path) -> Iterator[Path]:
    """Give a path by which the image at `path` can be read while entered: its own, or a link with the ending small."""
    ending = "".join(path.suffixes[-2:])
    if ending == ending.lower():
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        link = Path(folder) / f"image{ending.lower()}"
        link.symlink_to(path.resolve())
        voxels = read_header(path).file
        if voxels != path:  # beside the header, under the name that it gives
            (link.parent / voxels.name).symlink_to(voxels.resolve())
        yield link
