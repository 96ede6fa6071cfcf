"""Damage to image files: bytes, header fields, compression, and special files in their place."""

import gzip
import os
import re
import struct
import zlib
from pathlib import Path

import numpy as np

from tests.campaign.damage import damage, flip

_BLOCK = bytes(1 << 24)
_NUMBERS = ("nan", "inf", "-inf", "0", "-1", "1e30", "-1e30", "1e-30", "1e400", "99999999999999999999", "x", "")


def damage_image(path: Path, rng: np.random.Generator) -> str:
    """Damage the image at `path`, or a file that its header names; return a description."""
    chance = rng.random()
    if chance < 0.08:
        return _special(path, rng)
    if chance < 0.35:
        return _damage_bytes(_one_of_files(path, rng), rng)
    if path.name.endswith((".nii", ".nii.gz")):
        return _damage_nifti(path, rng)
    return _damage_text(path, rng)


def _one_of_files(path: Path, rng: np.random.Generator) -> Path:
    """Return the file itself, or the separate file with its voxels."""
    voxels = [other for other in path.parent.glob(f"{path.stem}.*") if other.suffix in (".raw", ".zraw", ".gz")]
    return voxels[0] if path.suffix in (".mhd", ".nhdr") and voxels and rng.random() < 0.5 else path


def _damage_bytes(path: Path, rng: np.random.Generator) -> str:
    content, description = damage(path.read_bytes(), rng)
    path.write_bytes(content)
    return description


# ---- special files


def _special(path: Path, rng: np.random.Generator) -> str:
    path = _one_of_files(path, rng)
    path.unlink()
    way = rng.integers(8)
    if way == 0:
        os.mkfifo(path)
        return "a FIFO"
    if way == 1:
        path.symlink_to("/dev/zero")
        return "a link to /dev/zero"
    if way == 2:
        path.mkdir()
        return "a folder"
    if way == 3:
        path.symlink_to(path.name)
        return "a link to itself"
    if way == 4:
        path.symlink_to("nowhere")
        return "a link to nowhere"
    if way == 5:
        path.symlink_to("/etc/passwd")
        return "a link to a text file"
    if way == 6:
        path.symlink_to("/dev/urandom")
        return "a link to /dev/urandom"
    path.write_bytes(b"")
    return "an empty file"


# ---- NIfTI

_FIELDS = {  # place and format
    "sizeof_hdr": (0, "i"), "dim[0]": (40, "h"), "dim[1]": (42, "h"), "dim[2]": (44, "h"), "dim[3]": (46, "h"),
    "dim[4]": (48, "h"), "dim[5]": (50, "h"), "intent_code": (68, "h"), "datatype": (70, "h"), "bitpix": (72, "h"),
    "pixdim[0]": (76, "f"), "pixdim[1]": (80, "f"), "pixdim[2]": (84, "f"), "pixdim[3]": (88, "f"),
    "pixdim[4]": (92, "f"), "vox_offset": (108, "f"), "scl_slope": (112, "f"), "scl_inter": (116, "f"),
    "xyzt_units": (123, "b"), "qform_code": (252, "h"), "sform_code": (254, "h"), "quatern_b": (256, "f"),
    "quatern_c": (260, "f"), "quatern_d": (264, "f"), "qoffset_x": (268, "f"), "qoffset_z": (276, "f"),
    "srow_x[0]": (280, "f"), "srow_y[1]": (300, "f"), "srow_z[2]": (320, "f"), "srow_z[3]": (324, "f"),
    "magic": (344, "i"), "extension": (348, "i"),
}  # fmt: skip
_FLOATS = (np.nan, np.inf, -np.inf, 0.0, -1.0, 1e30, -1e30, 1e-30, 1e10, 7.0)
_INTEGERS = (0, 1, -1, 2, 3, 7, 8, 127, 16, 64, 32767, -32768, 2**31 - 1, -(2**31))


def _damage_nifti(path: Path, rng: np.random.Generator) -> str:
    packed = path.name.endswith(".gz")
    content = gzip.decompress(path.read_bytes()) if packed else path.read_bytes()
    way = rng.random()
    if packed and way < 0.2:
        content, description = _repack(content, rng)
        path.write_bytes(content)
        return description
    if way < 0.3:
        content, description = flip(content, rng, 0, 352)
        description = f"in the header, {description}"
    elif way < 0.35:
        content, description = _with_extension(content, rng)
    elif way < 0.38:
        sizes = (30_000, 30_000, 30_000)
        content, description = content[:42] + struct.pack("<3h", *sizes) + content[48:], f"sizes {sizes}"
    elif way < 0.45 and packed:
        content, description = damage(content, rng)
        description = f"before its compression: {description}"
    else:
        content, description = _with_field(content, rng)
    path.write_bytes(gzip.compress(content, 1) if packed else content)
    return description


def _with_field(content: bytes, rng: np.random.Generator) -> tuple[bytes, str]:
    name = sorted(_FIELDS)[rng.integers(len(_FIELDS))]
    place, kind = _FIELDS[name]
    if kind == "f":
        value = _FLOATS[rng.integers(len(_FLOATS))]
    else:
        limit = {"b": 2**7, "h": 2**15, "i": 2**31}[kind]
        fitting = [number for number in _INTEGERS if -limit <= number < limit]
        value = fitting[rng.integers(len(fitting))]
    field = struct.pack(f"<{kind}", value)
    return content[:place] + field + content[place + len(field) :], f"{name} = {value:g}"


def _with_extension(content: bytes, rng: np.random.Generator) -> tuple[bytes, str]:
    size = int(rng.choice([0, 8, -16, 16, 17, 2**31 - 1, 32]))
    extension = b"\1\0\0\0" + struct.pack("<2i", size, 6) + bytes(24)
    offset = struct.pack("<f", 384.0)
    return content[:108] + offset + content[112:348] + extension + content[352:], f"an extension that says {size} bytes"


def _repack(content: bytes, rng: np.random.Generator) -> tuple[bytes, str]:
    packed = gzip.compress(content, 1)
    half = len(content) // 2
    way = rng.integers(8)
    if way == 0:
        return gzip.compress(rng.bytes(3000)), "gzip of something else"
    if way == 1:
        return gzip.compress(packed), "compressed twice"
    if way == 2:
        return bomb(content, 1 << 30), "a gigabyte of zeros after the voxels"
    if way == 3:
        return bomb(content, 1 << 33), "eight gigabytes of zeros after the voxels"
    if way == 4:
        return gzip.compress(content[:half]) + gzip.compress(content[half:]), "two members of gzip"
    if way == 5:
        return packed + gzip.compress(b"more" * 1000), "one more member of gzip"
    if way == 6:
        return content, "not compressed"
    return packed[:-8] + bytes(8), "another checksum"


def bomb(content: bytes, size: int) -> bytes:
    """Return `content` and `size` zeros in gzip format, fast, by repeating one compressed block of zeros."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    first = packer.compress(content) + packer.flush(zlib.Z_FULL_FLUSH)
    block = packer.compress(_BLOCK) + packer.flush(zlib.Z_FULL_FLUSH)
    last = packer.flush(zlib.Z_FINISH)
    header = b"\x1f\x8b\x08\0\0\0\0\0\0\xff"
    length = (len(content) + size) & 0xFFFFFFFF
    return header + first + block * (size // len(_BLOCK)) + last + struct.pack("<2I", 0, length)


# ---- MetaImage and NRRD

_OTHER_VALUES = {
    "ElementDataFile": ("%s%n", "LIST", "/etc/passwd", "../../x", "../bait/bait.txt", "slice%03d.raw 1 5 1", "",
                        "LOCAL", "/dev/zero", ".", "imaging.mhd", "-", "http://localhost/x", "x" * 5000),
    "NDims": ("0", "2", "4", "-3", "1000000000", "3.5", "x"),
    "ElementType": ("MET_OTHER", "MET_FLOAT", "MET_DOUBLE", "MET_UCHAR", "MET_STRING", "x", ""),
    "ElementNumberOfChannels": ("0", "3", "-1", "1000000000"),
    "HeaderSize": ("-1", "1000000000", "10", "-2"),
    "CompressedData": ("True", "False", "x"),
    "CompressedDataSize": ("0", "-1", "99999999999", "10"),
    "BinaryData": ("False", "x"),
    "BinaryDataByteOrderMSB": ("True", "x"),
    "data file": ("%s%n", "LIST", "/etc/passwd", "../../x", "slice%03d.raw 1 5 1", "", "/dev/zero", ".", "-"),
    "datafile": ("LIST", "/etc/passwd"),
    "encoding": ("raw", "gzip", "bzip2", "hex", "ascii", "x", ""),
    "dimension": ("0", "2", "4", "17", "-1", "1000000000", "x"),
    "type": ("block", "float", "double", "uchar", "int64", "x"),
    "endian": ("big", "x", ""),
    "space": ("right-anterior-superior", "scanner-xyz", "3D-left-handed", "x"),
    "space dimension": ("2", "4"),
    "byte skip": ("-1", "100", "1000000000", "-2"),
    "line skip": ("-1", "3", "1000000000"),
    "kinds": ("domain domain", "list domain domain", "x x x"),
    "space directions": ("none (0,1,0) (0,0,1)", "(1,0,0) (0,1,0)", "(0,0,0) (0,1,0) (0,0,1)",
                         "(nan,0,0) (0,1,0) (0,0,1)",
                         "(1,0,0) (1,0,0) (0,0,1)", "(1e30,0,0) (0,1,0) (0,0,1)", "(1,0.5,0) (0,1,0) (0,0,1)"),
    "space origin": ("(nan,0,0)", "(1e30,0,0)", "(0,0)", "x"),
    "TransformMatrix": ("0 0 0 0 0 0 0 0 0", "1 0 0 1 0 0 0 0 1", "1 0 0 0 1 0", "1 0.5 0 0 1 0 0 0 1"),
}  # fmt: skip
_HUGE = {"DimSize": "30000 30000 30000", "sizes": "30000 30000 30000"}


def _damage_text(path: Path, rng: np.random.Generator) -> str:
    content = path.read_bytes()
    end = _end_of_header(path, content)
    head, rest = content[:end], content[end:]
    way = rng.random()
    if way < 0.2:
        head, description = flip(head, rng)
        description = f"in the header, {description}"
    elif way < 0.3:
        head, description = damage(head, rng)
        description = f"in the header: {description}"
    elif way < 0.4:
        rest, description = _damaged_lines(head, rest, rng)
        path.write_bytes(rest)
        return description
    else:
        head, description = _with_value(path, head, rng)
    path.write_bytes(head + rest)
    return description


def _end_of_header(path: Path, content: bytes) -> int:
    if path.suffix in (".mha", ".mhd"):
        return content.index(b"\n", content.index(b"ElementDataFile")) + 1
    return content.index(b"\n\n") + 2 if b"\n\n" in content else len(content)


def _damaged_lines(head: bytes, rest: bytes, rng: np.random.Generator) -> tuple[bytes, str]:
    """Remove or duplicate a line of the header."""
    lines = head.split(b"\n")
    number = int(rng.integers(0, max(1, len(lines) - 2)))
    name = lines[number][:30]
    if rng.random() < 0.5:
        return b"\n".join(lines[:number] + lines[number + 1 :]) + rest, f"the line {name!r} removed"
    return b"\n".join(lines[: number + 1] + lines[number:]) + rest, f"the line {name!r} twice"


def _with_value(path: Path, head: bytes, rng: np.random.Generator) -> tuple[bytes, str]:
    """Replace the value of a field, or one number of it."""
    sign = " = " if path.suffix in (".mha", ".mhd") else ": "
    text = head.decode()
    names = [line.split(sign)[0] for line in text.split("\n") if sign in line and not line.startswith("#")]
    name = names[rng.integers(len(names))]
    value = re.search(f"^{re.escape(name)}{sign}(.*)$", text, re.MULTILINE).group(1)
    chosen = _another(name, value, rng)
    text = text.replace(f"{name}{sign}{value}", f"{name}{sign}{chosen}", 1)
    return text.encode("utf-8", "surrogateescape"), f"{name}{sign}{chosen[:60]}"


def _another(name: str, value: str, rng: np.random.Generator) -> str:
    if name in _HUGE and rng.random() < 0.3:
        return _HUGE[name]
    known = _OTHER_VALUES.get(name)
    if known and rng.random() < 0.7:
        return known[rng.integers(len(known))]
    number = _NUMBERS[rng.integers(len(_NUMBERS))]
    places = list(re.finditer(r"-?[\d.]+(?:e[+-]?\d+)?", value))
    if not places:
        return number
    place = places[rng.integers(len(places))]
    return value[: place.start()] + number + value[place.end() :]
