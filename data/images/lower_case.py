"""Image files with upper-case extensions, for readers that recognize formats by lower-case extensions only."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from data.images.image_headers import read_header


@contextmanager
def in_lower_case(path: Path) -> Iterator[Path]:
    """Yield a path for reading the image: `path` itself, or a temporary link to it with a lower-case extension."""
    extension = "".join(path.suffixes[-2:])
    if extension == extension.lower():
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        link = Path(folder) / f"image{extension.lower()}"
        link.symlink_to(path.resolve())
        voxels = read_header(path).file
        if voxels != path:  # must be in the folder of the header, under the name that it gives
            (link.parent / voxels.name).symlink_to(voxels.resolve())
        yield link
