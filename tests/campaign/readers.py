"""Independent, strict readers of images, which refuse ambiguous files.

A volume may have several readings if its header describes its geometry more than once.
"""

import gzip
import io
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

_MOST_BYTES = 1 << 26  # of a volume; intact ones are far smaller


class Unreadable(Exception):
    """The file is damaged or ambiguous."""


@dataclass(frozen=True)
class Volume:
    """Voxels (z, y, x) in the file's own order, and the matrix from (x, y, z) indices to LPS positions in mm."""

    voxels: np.ndarray
    matrix: np.ndarray

    def __post_init__(self):
        if not np.isfinite(self.voxels).all():
            raise Unreadable("holds values that are not finite")
        if not np.isfinite(self.matrix).all() or (np.linalg.norm(self.matrix[:3, :3], axis=0) < 1e-6).any():
            raise Unreadable("its geometry has no volume")


def read_volumes(path: Path) -> list[Volume]:
    """Return the readings of an image, by the extension of its name.

    Raises:
        Unreadable: there is no reading.
    """
    if not path.is_file() or path.stat().st_size > _MOST_BYTES:
        raise Unreadable("is no ordinary file of ordinary size")
    try:
        if path.name.endswith((".nii", ".nii.gz")):
            return _read_nifti(_unpacked(path))
        return [_read_meta_image(path) if path.suffix in (".mha", ".mhd") else _read_nrrd(path)]
    except Unreadable:
        raise
    except (ValueError, KeyError, OverflowError, OSError, struct.error, zlib.error, TypeError, EOFError) as error:
        raise Unreadable(f"{type(error).__name__}: {error}") from None


def _unpacked(path: Path) -> bytes:
    if path.suffix != ".gz":
        return path.read_bytes()
    with gzip.open(path) as file:
        return file.read(_MOST_BYTES)


_NIFTI_TYPES = {
    2: "u1", 4: "i2", 8: "i4", 16: "f4", 64: "f8", 256: "i1", 512: "u2", 768: "u4", 1024: "i8", 1280: "u8",
}  # fmt: skip
_UNITS = {0: 1.0, 1: 1000.0, 2: 1.0, 3: 0.001}  # mm


def _read_nifti(content: bytes) -> list[Volume]:
    if len(content) < 352:
        raise Unreadable("is shorter than a header")
    order = next((order for order in "<>" if 1 <= struct.unpack_from(f"{order}h", content, 40)[0] <= 7), None)
    if order is None:
        raise Unreadable("has no number of dimensions")

    def field(kind: str, place: int):
        values = struct.unpack_from(order + kind, content, place)
        return values if len(values) > 1 else values[0]

    if field("i", 0) != 348 or content[344:348] != b"n+1\0":
        raise Unreadable("is no NIfTI file")
    dimensions = field("8h", 40)
    sizes = dimensions[1 : 1 + dimensions[0]]
    if dimensions[0] < 3 or min(sizes) < 1 or any(size != 1 for size in sizes[3:]):
        raise Unreadable(f"has sizes {sizes}")
    kind = np.dtype(order + _NIFTI_TYPES[field("h", 70)])
    if field("h", 72) != 8 * kind.itemsize:
        raise Unreadable("has bits that are not its type's")
    first = field("f", 108)
    if not first >= 352 or first != int(first):
        raise Unreadable(f"has voxels at {first}")
    count = int(np.prod(sizes[:3], dtype=object))
    part = content[int(first) : int(first) + count * kind.itemsize]
    if len(part) < count * kind.itemsize:
        raise Unreadable("is cut short")
    voxels = np.frombuffer(part, kind).reshape(sizes[2::-1])
    slope, inter = field("2f", 112)
    if slope not in (0.0, 1.0) or inter != 0.0:
        if not np.isfinite([slope, inter]).all():
            raise Unreadable("has a scale that is not finite")
        if slope:
            scaled = voxels.astype(np.float64) * slope + inter
            # Ignore a scale that changes only the last digits.
            voxels = voxels if np.allclose(scaled, voxels, rtol=1e-6, atol=1e-6) else scaled
    return [Volume(voxels, matrix) for matrix in _nifti_matrices(field, content)]


def _nifti_matrices(field, content: bytes) -> list[np.ndarray]:
    qform, sform = field("h", 252), field("h", 254)
    matrices = []
    spacings = np.array(field("8f", 76), np.float64)
    if sform > 0:
        matrices.append(np.vstack([np.reshape(field("12f", 280), (3, 4)), [0, 0, 0, 1]]).astype(np.float64))
    if qform > 0:
        matrices.append(_matrix_of_quaternion(field, spacings))
    if not matrices:
        matrices.append(np.diag([*spacings[1:4], 1.0]))
    matrices = [matrix for matrix in matrices if np.isfinite(matrix).all() and abs(np.linalg.det(matrix)) > 1e-12]
    if not matrices:
        raise Unreadable("has no geometry")
    unit = _UNITS.get(content[123] & 7)
    if unit is None:
        raise Unreadable("has an unknown unit")
    scaled = [np.diag([unit] * 3 + [1.0]) @ matrix for matrix in matrices] if unit != 1 else []
    return [np.diag([-1.0, -1.0, 1.0, 1.0]) @ matrix for matrix in matrices + scaled]


def _matrix_of_quaternion(field, spacings: np.ndarray) -> np.ndarray:
    b, c, d = np.array(field("3f", 256), np.float64)
    squared = 1 - b * b - c * c - d * d
    if not squared > -1e-5:
        return np.full((4, 4), np.nan)
    a = np.sqrt(max(squared, 0.0))
    rotation = np.array(
        [
            [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
            [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
            [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - b * b - c * c],
        ]
    )
    if not (spacings[1:4] > 0).all():
        return np.full((4, 4), np.nan)
    matrix = np.eye(4)
    matrix[:3, :3] = rotation * spacings[1:4] * [1, 1, -1 if spacings[0] < 0 else 1]
    matrix[:3, 3] = field("3f", 268)
    return matrix


_META_TYPES = {
    "MET_CHAR": "i1", "MET_UCHAR": "u1", "MET_SHORT": "i2", "MET_USHORT": "u2", "MET_INT": "i4", "MET_UINT": "u4",
    "MET_LONG_LONG": "i8", "MET_ULONG_LONG": "u8", "MET_FLOAT": "f4", "MET_DOUBLE": "f8",
}  # fmt: skip


def _read_meta_image(path: Path) -> Volume:
    content = path.read_bytes()
    fields, file = {}, io.BytesIO(content)
    for line in file:
        name, sign, value = line.decode("latin-1").partition("=")
        if not sign or name.strip() in fields:
            raise Unreadable(f"has the line {line[:40]!r}")
        fields[name.strip()] = value.strip()
        if name.strip() == "ElementDataFile":
            break
    if int(fields["NDims"]) != 3 or fields.get("ElementNumberOfChannels", "1") != "1":
        raise Unreadable("is no volume of one channel")
    if fields.get("ObjectType", "Image") != "Image" or _truth(fields, "BinaryData", "True") is False:
        raise Unreadable("is no binary image")
    if int(fields.get("HeaderSize", "0")) != 0:
        raise Unreadable("has a header of its own in the voxels")
    order = ">" if _truth(fields, "BinaryDataByteOrderMSB", _either(fields, "ElementByteOrderMSB", "False")) else "<"
    kind = np.dtype(order + _META_TYPES[fields["ElementType"]])
    sizes = [int(word) for word in fields["DimSize"].split()]
    name = fields["ElementDataFile"]
    part = content[file.tell() :] if name == "LOCAL" else _neighbour(path, name)
    if _truth(fields, "CompressedData", "False"):
        part = _inflate(part, zlib.MAX_WBITS | 32)
    spacing = _numbers(_either(fields, "ElementSpacing", fields.get("ElementSize")), 3)
    rotation = next((fields[key] for key in ("TransformMatrix", "Rotation", "Orientation") if key in fields), None)
    origin = next((fields[key] for key in ("Offset", "Position", "Origin") if key in fields), "0 0 0")
    directions = _numbers(rotation or "1 0 0 0 1 0 0 0 1", 9).reshape(3, 3).T
    return _volume(part, kind, sizes, directions * spacing, _numbers(origin, 3))


def _either(fields: dict[str, str], name: str, other: str | None) -> str:
    value = fields.get(name, other)
    if value is None:
        raise Unreadable(f"has no {name}")
    return value


def _truth(fields: dict[str, str], name: str, otherwise: str) -> bool:
    return {"true": True, "false": False, "1": True, "0": False}[fields.get(name, otherwise).lower()]


def _numbers(text: str, count: int) -> np.ndarray:
    values = np.array([float(word) for word in text.split()])
    if len(values) != count or not np.isfinite(values).all():
        raise Unreadable(f"has the numbers {text[:60]}")
    return values


def _neighbour(path: Path, name: str) -> bytes:
    other = path.parent / name
    if "/" in name or not other.is_file() or other.stat().st_size > _MOST_BYTES:
        raise Unreadable(f"has its voxels in {name[:60]}")
    return other.read_bytes()


def _inflate(content: bytes, bits: int) -> bytes:
    unpacker = zlib.decompressobj(bits)
    unpacked = unpacker.decompress(content, _MOST_BYTES)
    if not unpacker.eof and len(unpacked) < _MOST_BYTES:
        raise Unreadable("its compression is cut short")
    return unpacked


def _volume(part: bytes, kind: np.dtype, sizes: list[int], axes: np.ndarray, origin: np.ndarray) -> Volume:
    if len(sizes) != 3 or min(sizes) < 1:
        raise Unreadable(f"has sizes {sizes}")
    count = int(np.prod(sizes, dtype=object))
    if len(part) < count * kind.itemsize:
        raise Unreadable("is cut short")
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = axes, origin
    return Volume(np.frombuffer(part[: count * kind.itemsize], kind).reshape(sizes[::-1]), matrix)


_NRRD_TYPES = {
    "signed char": "i1", "int8": "i1", "int8_t": "i1", "uchar": "u1", "unsigned char": "u1", "uint8": "u1",
    "uint8_t": "u1", "short": "i2", "short int": "i2", "signed short": "i2", "int16": "i2", "int16_t": "i2",
    "ushort": "u2", "unsigned short": "u2", "uint16": "u2", "uint16_t": "u2", "int": "i4", "signed int": "i4",
    "int32": "i4", "int32_t": "i4", "uint": "u4", "unsigned int": "u4", "uint32": "u4", "uint32_t": "u4",
    "float": "f4", "double": "f8",
}  # fmt: skip
_SPACES = {
    "left-posterior-superior": (1, 1, 1), "lps": (1, 1, 1), "right-anterior-superior": (-1, -1, 1), "ras": (-1, -1, 1),
    "left-anterior-superior": (1, -1, 1), "las": (1, -1, 1),
}  # fmt: skip


def _read_nrrd(path: Path) -> Volume:
    content = path.read_bytes()
    head, blank, part = content.partition(b"\n\n")
    lines = head.decode("latin-1").split("\n")
    if not blank and path.suffix != ".nhdr":
        raise Unreadable("has no end of the header")
    if not lines[0].startswith("NRRD000") or lines[0][7:] not in "12345" or len(lines[0]) != 8:
        raise Unreadable("is no NRRD file")
    fields = {}
    for line in lines[1:]:
        if line.startswith("#") or ":=" in line or not line:
            continue
        name, sign, value = line.partition(": ")
        if not sign or name in fields:
            raise Unreadable(f"has the line {line[:40]!r}")
        fields[name.lower()] = value.strip()
    if int(fields["dimension"]) != 3 or int(fields.get("byte skip", "0")) or int(fields.get("line skip", "0")):
        raise Unreadable("is no volume")
    name = fields.get("data file", fields.get("datafile"))
    part = part if name is None else _neighbour(path, name.removeprefix("./"))
    if fields["encoding"].lower() in ("gzip", "gz"):
        part = _inflate(part, zlib.MAX_WBITS | 16)
    elif fields["encoding"].lower() != "raw":
        raise Unreadable(f"has the encoding {fields['encoding']}")
    kind = np.dtype(_NRRD_TYPES[fields["type"].lower()])
    if kind.itemsize > 1:
        kind = kind.newbyteorder({"little": "<", "big": ">"}[fields["endian"].lower()])
    signs = np.array(_SPACES[fields["space"].lower()], float)
    vectors = fields["space directions"].replace("(", " ").replace(")", " ").replace(",", " ")
    origin = fields.get("space origin", "(0,0,0)").strip("()").replace(",", " ")
    axes = _numbers(vectors, 9).reshape(3, 3).T * signs[:, None]
    sizes = [int(word) for word in fields["sizes"].split()]
    return _volume(part, kind, sizes, axes, _numbers(origin, 3) * signs)


def write_clean(volume: Volume, path: Path) -> None:
    """Write a volume as an intact MetaImage file (.mha), with all digits."""
    spacing = np.linalg.norm(volume.matrix[:3, :3], axis=0)
    directions = (volume.matrix[:3, :3] / spacing).T.ravel()
    voxels = np.ascontiguousarray(volume.voxels)
    voxels = voxels.astype(voxels.dtype.newbyteorder("<"))
    kinds = {kind: name for name, kind in _META_TYPES.items()}
    name = kinds.get(voxels.dtype.kind + str(voxels.dtype.itemsize))
    header = {
        "ObjectType": "Image",
        "NDims": "3",
        "BinaryData": "True",
        "BinaryDataByteOrderMSB": "False",
        "CompressedData": "False",
        "TransformMatrix": " ".join(repr(float(value)) for value in directions),
        "Offset": " ".join(repr(float(value)) for value in volume.matrix[:3, 3]),
        "ElementSpacing": " ".join(repr(float(value)) for value in spacing),
        "DimSize": " ".join(str(size) for size in voxels.shape[::-1]),
        "ElementType": name,
        "ElementDataFile": "LOCAL",
    }
    text = "".join(f"{key} = {value}\n" for key, value in header.items())
    path.write_bytes(text.encode() + voxels.tobytes())
