"""Headers of image files: the size and position of the voxel data, checked before any voxel is read.

NIfTI (.nii, .nii.gz), MetaImage (.mha, .mhd) and NRRD (.nrrd). Common readers of these formats trust the header: they
allocate whatever size it declares and open whatever file it names. Here, a header is refused unless its numbers are
valid, its voxels are in the same file or in one in the same folder, and they fit into memory.
"""

import gzip
import math
import os
import re
import stat
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import nibabel
import numpy as np

from base.errors import InputError
from data.images.file_kinds import broken_link, refuse_other_compression, refuse_placeholder
from data.images.image_geometry import check_axes, check_nifti, check_voxel_sizes

_LARGEST_BYTES = 4 * 2**30  # of voxels per image, if the machine has at least four times as much memory
_LONGEST_AXIS = 4096  # voxels; the memory of resampling grows with the square of an axis
_FINEST_MM, _COARSEST_MM = 1e-4, 1e3  # voxel sizes outside this range are probably not in millimetres
_TEXT_BYTES = 2**16  # largest size of a text header
_NIFTI_BYTES = (348, 540)  # header sizes of NIfTI-1 and NIfTI-2

_META_TYPES = {
    "MET_CHAR": 1,
    "MET_UCHAR": 1,
    "MET_SHORT": 2,
    "MET_USHORT": 2,
    "MET_INT": 4,
    "MET_UINT": 4,
    "MET_LONG": 4,
    "MET_ULONG": 4,
    "MET_LONG_LONG": 8,
    "MET_ULONG_LONG": 8,
    "MET_FLOAT": 4,
    "MET_DOUBLE": 8,
}
_NRRD_TYPES = {
    1: ("signed char", "int8", "int8_t", "uchar", "unsigned char", "uint8", "uint8_t"),
    2: (
        *("short", "short int", "signed short", "signed short int", "int16", "int16_t"),
        *("ushort", "unsigned short", "unsigned short int", "uint16", "uint16_t"),
    ),
    4: ("int", "signed int", "int32", "int32_t", "uint", "unsigned int", "uint32", "uint32_t", "float"),
    8: (
        *("longlong", "long long", "long long int", "signed long long", "signed long long int", "int64", "int64_t"),
        *("ulonglong", "unsigned long long", "unsigned long long int", "uint64", "uint64_t", "double"),
    ),
}


@dataclass(frozen=True)
class Header:
    """The contents of an image header that locate the voxels.

    Attributes:
        size: number of voxels along each axis in file order; the first axis of a NRRD file may be its channels.
        bytes: size of all voxels, uncompressed.
        file: the file that contains the voxels.
        offset: first byte of the voxels, in the uncompressed file for NIfTI, in the stored file for other formats.
        packing: ``""``, ``gzip`` (the whole file) or ``zlib`` (the voxels, compressed with zlib or gzip).
        dtype: NumPy type of the stored values, which are checked for NaN and infinity; None if it is not determined.
        packed_bytes: size of the compressed voxels; None if the header does not declare it.
    """

    size: tuple[int, ...]
    bytes: int
    file: Path
    offset: int
    packing: str
    dtype: np.dtype | None = None
    packed_bytes: int | None = None


def read_header(path: Path) -> Header:
    """Read and check the header of an image file.

    Raises:
        InputError: the file does not exist, is not a regular file or has another format, or its header has invalid
            numbers or declares more voxels than fit into memory.
    """
    _check_regular(path)
    try:
        refuse_placeholder(path)
        refuse_other_compression(path)
        header = _reader_for(path)(path)
        _check_size(header)
        return header
    except InputError:
        raise
    except PermissionError as error:
        raise InputError(path, "cannot be read (no permission)", "check its permissions") from error
    # A damaged header may make nibabel raise almost any exception.
    except Exception as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise InputError(path, f"is damaged ({reason})", "replace the file by an intact copy") from None


def _check_regular(path: Path) -> None:
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        if path.is_symlink():
            raise InputError(path, *broken_link(path)) from None
        raise InputError(path, "there is no such file", "check the path") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(path, f"cannot be read ({reason})", "check the path and its permissions") from None
    if not stat.S_ISREG(mode):
        raise InputError(path, "is not a regular file", "name an image file")
    if not os.access(path, os.R_OK):
        raise InputError(path, "cannot be read (no permission)", "check its permissions")


def _reader_for(path: Path):
    name = path.name.lower()
    if name.endswith((".nii", ".nii.gz")):
        return _read_nifti
    if name.endswith((".mha", ".mhd")):
        return _read_meta
    if name.endswith(".nrrd"):
        return _read_nrrd
    raise InputError(path, "is not an image file of a supported format", "convert it to .nii.gz")


def _check_size(header: Header) -> None:
    if not header.size or min(header.size) < 1:
        raise ValueError(f"its size is {' × '.join(map(str, header.size)) or 'missing'} voxels")
    if header.bytes > largest_bytes():
        gigabytes = f"{header.bytes / 1e9:.3g} GB of voxels ({' × '.join(map(str, header.size))})"
        raise ValueError(f"its header declares {gigabytes}, but the limit is {largest_bytes() / 1e9:.3g} GB")
    if max(header.size) > _LONGEST_AXIS:
        raise ValueError(f"an axis has {max(header.size)} voxels, more than {_LONGEST_AXIS}")


@cache
def largest_bytes() -> int:
    """Return the largest size of an image in bytes: 4 GiB, but at most a quarter of this machine's memory."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min(_LARGEST_BYTES, memory // 4)


def _read_nifti(path: Path) -> Header:
    packed = path.name.lower().endswith(".gz")
    with gzip.open(path) if packed else path.open("rb") as file:
        content = file.read(max(_NIFTI_BYTES))
    length = next((n for n in _NIFTI_BYTES for order in ("little", "big") if content[:4] == n.to_bytes(4, order)), None)
    if length is None or len(content) < length:
        raise ValueError("it does not begin with a NIfTI header")
    if length == 540:
        remedy = "convert it with nibabel's nib-convert --image-type Nifti1Image"
        raise InputError(path, "is NIfTI-2, which SimpleITK does not read", remedy)
    fields = nibabel.Nifti1Header(content[:length], check=False)
    if fields["magic"].item()[:3] != b"n+1":
        raise ValueError("its header is not that of a single NIfTI file")
    number = int(fields["dim"][0])
    if not 1 <= number <= 7:
        raise ValueError(f"it has {number} dimensions")
    size = tuple(int(n) for n in fields["dim"][1 : 1 + number])
    dtype = fields.get_data_dtype()  # raises for unknown codes
    if dtype.itemsize * 8 != int(fields["bitpix"]):
        raise ValueError(f"it has {int(fields['bitpix'])} bits per voxel, but its type has {dtype.itemsize * 8}")
    offset = float(fields["vox_offset"])
    if not (length + 4 <= offset <= 2**31 and offset == int(offset)):
        raise ValueError(f"its voxels begin at byte {offset:g}")
    sizes_mm = [mm for mm in np.abs(fields["pixdim"][1:4]) if mm != 0]
    _check_numbers("voxel sizes", sizes_mm, _FINEST_MM, _COARSEST_MM)
    slope, intercept = float(fields["scl_slope"]), float(fields["scl_inter"])
    if math.isinf(slope) or (not math.isnan(slope) and slope != 0 and not math.isfinite(intercept)):
        raise ValueError(f"its scale is {slope:g}, its intercept {intercept:g}")
    if int(fields["qform_code"]) > 0:
        quaternion = [float(fields[name]) for name in ("quatern_b", "quatern_c", "quatern_d")]
        _check_numbers("quaternion", quaternion, -1.01, 1.01)
        _check_numbers("offsets", [float(fields[f"qoffset_{axis}"]) for axis in "xyz"], -1e6, 1e6)
    if int(fields["sform_code"]) > 0:
        _check_numbers("sform", np.concatenate([fields[f"srow_{axis}"] for axis in "xyz"]), -1e6, 1e6)
    check_nifti(path, fields, number)
    bytes_of_voxels = math.prod(size) * dtype.itemsize
    return Header(size, bytes_of_voxels, path, int(offset), "gzip" if packed else "", dtype)


def _check_numbers(name: str, values, low: float, high: float) -> None:
    numbers = [float(value) for value in values]
    if not all(low <= number <= high for number in numbers):  # false for NaN
        raise ValueError(f"its {name} are {', '.join(f'{number:g}' for number in numbers)}")


def _read_meta(path: Path) -> Header:
    fields, end = _read_fields(path, "=", "ElementDataFile")
    number = _integer(fields, "NDims")
    if not 1 <= number <= 7:
        raise ValueError(f"it has {number} dimensions")
    size = tuple(int(word) for word in fields.get("DimSize", "").split())
    if len(size) != number:
        raise ValueError(f"it has {number} dimensions and {len(size)} sizes")
    for key in ("ElementSpacing", "ElementSize"):
        if key in fields:
            sizes_mm = _numbers(fields[key], number)
            check_voxel_sizes(path, sizes_mm, key)
            _check_numbers("voxel sizes", sizes_mm, _FINEST_MM, _COARSEST_MM)
    for key in ("Offset", "Position", "Origin"):
        if key in fields:
            _check_numbers("offsets", _numbers(fields[key], number), -1e6, 1e6)
    for key in ("TransformMatrix", "Rotation", "Orientation"):
        if key in fields:
            axes = np.reshape(_numbers(fields[key], number**2), (number, number))
            _check_numbers("directions", axes.ravel(), -1.01, 1.01)
            check_axes(path, axes, f"correct its {key}")
    itemsize = _META_TYPES.get(fields.get("ElementType", ""))
    if itemsize is None:
        raise ValueError(f"its voxels are of type {fields.get('ElementType', '')[:30]!r}")
    for key in ("BinaryDataByteOrderMSB", "ElementByteOrderMSB"):
        _boolean(fields, key, False)
    if not _boolean(fields, "BinaryData", True):
        raise ValueError("its voxels are stored as text, which is not supported")
    channels = _integer(fields, "ElementNumberOfChannels", 1)
    if not 1 <= channels <= 1000:
        raise ValueError(f"it has {channels} channels")
    packed = _boolean(fields, "CompressedData", False)
    file = _voxel_file(path, fields["ElementDataFile"], "LOCAL")
    offset, skipped = end if file == path else 0, _integer(fields, "HeaderSize", 0)
    bytes_of_voxels = math.prod(size) * itemsize * channels
    if skipped == -1:
        offset = file.stat().st_size - bytes_of_voxels
    elif skipped > 0 and file != path:
        offset = skipped
    elif skipped != 0:
        raise ValueError(f"its HeaderSize is {skipped}")
    if not packed:
        return Header(size, bytes_of_voxels, file, offset, "")
    packed_bytes = _integer(fields, "CompressedDataSize")  # SimpleITK does not compare it with the size of the file
    if not 0 < packed_bytes <= file.stat().st_size - offset:
        raise ValueError(f"its CompressedDataSize is {packed_bytes}, which does not fit the file")
    return Header(size, bytes_of_voxels, file, offset, "zlib", packed_bytes=packed_bytes)


def _read_nrrd(path: Path) -> Header:
    with path.open("rb") as file:
        if file.read(7) != b"NRRD000":
            raise ValueError("it does not begin with a NRRD header")
    fields, end = _read_fields(path, ":", "")
    fields = {key.lower(): value for key, value in fields.items()}
    number = _integer(fields, "dimension")
    if not 1 <= number <= 7:
        raise ValueError(f"it has {number} dimensions")
    size = tuple(int(word) for word in fields.get("sizes", "").split())
    if len(size) != number:
        raise ValueError(f"it has {number} dimensions and {len(size)} sizes")
    kind = fields.get("type", "").lower()
    itemsize = next((n for n, names in _NRRD_TYPES.items() if kind in names), None)
    if itemsize is None:
        raise ValueError(f"its voxels are of type {kind[:30]!r}")
    packing = {"raw": "", "gzip": "zlib", "gz": "zlib"}.get(fields.get("encoding", "").lower())
    if packing is None:
        raise ValueError(f"its encoding {fields.get('encoding', '')[:30]!r} is not supported")
    for key in ("line skip", "lineskip", "byte skip", "byteskip"):
        if fields.get(key, "0") != "0":
            raise ValueError(f"it has a {key}, which is not supported")
    _check_nrrd_axes(path, fields)
    name = fields.get("data file", fields.get("datafile"))
    file = path if name is None else _voxel_file(path, name)
    return Header(size, math.prod(size) * itemsize, file, end if file == path else 0, packing)


def _check_nrrd_axes(path: Path, fields: dict[str, str]) -> None:
    """Raise InputError if the three axes of a NRRD header have no valid voxel sizes or directions."""
    if not {"domain", "space"}.issuperset(fields.get("kinds", "").lower().split()):  # has an axis of channels
        return
    vectors = re.findall(r"\(([^()]*)\)|(none)", fields.get("space directions", ""))
    if len(vectors) != 3:
        words = fields.get("spacings", "").split()
        check_voxel_sizes(path, [abs(float(word)) for word in words], "spacings")
        return
    axes = [[0.0] if none else [float(word) for word in numbers.split(",")] for numbers, none in vectors]
    check_voxel_sizes(path, [math.hypot(*axis) for axis in axes], "space directions")
    check_axes(path, np.reshape(axes, (3, 3)), "correct its space directions")


def _read_fields(path: Path, separator: str, last: str) -> tuple[dict[str, str], int]:
    """Return the fields of a text header up to the field `last` (or an empty line), and the offset at which it ends."""
    with path.open("rb") as file:
        content = file.read(_TEXT_BYTES)
    fields: dict[str, str] = {}
    end = 0
    while end < len(content):
        newline = content.find(b"\n", end)
        line = content[end : newline if newline >= 0 else len(content)]
        end = newline + 1 if newline >= 0 else len(content)
        key, _, value = line.decode("utf-8", "replace").partition(separator)
        if key.strip() in fields:
            raise ValueError(f"it has two fields {key.strip()[:30]!r}")
        if key.strip() and not key.startswith("#"):
            fields[key.strip()] = value.strip()
        if key.strip() == last:
            return fields, end
    if not last:  # a NRRD header with a separate data file may end at the end of the file
        return fields, end
    raise ValueError(f"there is no {last} in its header")


def _voxel_file(path: Path, name: str, itself: str | None = None) -> Path:
    """Return the file of voxels that a header names, which must be in the same folder under a plain name."""
    if name == itself:
        return path
    if not name or name in (".", "..") or name.split()[0] == "LIST" or any(sign in name for sign in "/\\%\0"):
        raise InputError(path, f"names {name[:60]!r} as the file of its voxels", "name one file in the same folder")
    file = path.parent / name
    _check_regular(file)
    refuse_placeholder(file)
    return file


def _integer(fields: dict[str, str], key: str, default: int | None = None) -> int:
    text = fields.get(key)
    if text is None and default is not None:
        return default
    try:
        return int(text or "")
    except ValueError:
        raise ValueError(f"its {key} is {(text or 'missing')[:30]}") from None


def _boolean(fields: dict[str, str], key: str, default: bool) -> bool:
    text = fields.get(key, str(default))
    if text.lower() not in ("true", "false"):
        raise ValueError(f"its {key} is {text[:30]!r}")
    return text.lower() == "true"


def _numbers(text: str, count: int) -> list[float]:
    words = text.split()
    if len(words) != count:
        raise ValueError(f"{count} numbers were expected, not {text[:40]!r}")
    return [float(word) for word in words]
