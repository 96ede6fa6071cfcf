"""MetaImage and NRRD files: where their voxels are, and whether their compression is whole."""

import zlib
from pathlib import Path

HEADED = (".mha", ".mhd", ".nrrd")  # files of these endings begin with a header of text

_ZLIB_OR_GZIP = zlib.MAX_WBITS | 32


def voxel_file(path: Path) -> Path:
    """The file that holds the voxels: `path` itself, or the one that its header names."""
    fields, _ = _read_header(path)
    name = fields.get("ElementDataFile") or fields.get("data file") or fields.get("datafile") or "LOCAL"
    return path if name == "LOCAL" else path.parent / name


def check_compression(path: Path) -> None:
    """Unpack the voxels, if they are compressed.

    Raises:
        zlib.error: they are damaged, which SimpleITK does not always notice.
    """
    fields, end_of_header = _read_header(path)
    if fields.get("CompressedData", "").lower() == "true" or fields.get("encoding") in ("gzip", "gz"):
        content = voxel_file(path).read_bytes()
        zlib.decompress(content[end_of_header:] if voxel_file(path) == path else content, _ZLIB_OR_GZIP)


def _read_header(path: Path) -> tuple[dict[str, str], int]:
    """The fields of the header, and where it ends, in bytes."""
    separator, last = (":", "") if path.suffix == ".nrrd" else ("=", "ElementDataFile")
    fields = {}
    with path.open("rb") as file:
        for line in file:
            key, _, value = line.decode("utf-8", "replace").partition(separator)
            if key.strip():
                fields[key.strip()] = value.strip()
            if key.strip() == last:
                break
        return fields, file.tell()
