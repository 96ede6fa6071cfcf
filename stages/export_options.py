"""Options of exporting a network. Nothing heavy is imported here."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from base.errors import InputError
from utils.cli.options import flag, option
from utils.cli.value_types import one_file, parse_positive_int, parse_positive_number


@dataclass(frozen=True, kw_only=True)
class ExportOptions:
    """All options of exporting a network."""

    TITLE: ClassVar[str] = "export"

    weights: tuple[str, ...] = option(
        "-w",
        "--weights",
        nargs="+",
        required=True,
        metavar="FILE",
        help="weights of the network (.pth): a path, or a glob of one file",
    )
    output: Path = option("-o", "--output", parse=Path, required=True, help="file to write: NAME.onnx")
    int8: bool = flag(
        "--int8",
        help="quantize the network to 8 bits, with patches of the cases of -d and -e; it is written only if its "
        "predictions of these cases are not inferior to those of 32 bits",
    )
    data: Path | None = option(
        "-d",
        "--data",
        parse=Path,
        help="DATA: folder that holds train, val and test; its scans check what is written (default: noise does; "
        "required with --int8)",
    )
    evaluate: str = option(
        "-e", "--evaluate", choices=("train", "val", "test"), default="val", help="split of DATA to take cases from"
    )
    margin: float | None = option(
        "--margin",
        parse=parse_positive_number,
        metavar="DICE",
        help="with --int8: largest loss of mean Dice that still counts as non-inferior (default: 0.002)",
    )
    licence: str | None = option(
        "--licence", metavar="TEXT", help="licence of the network, stored in the file (default: none is stored)"
    )
    threads: int | None = option(
        "--threads",
        parse=parse_positive_int,
        metavar="N",
        help="number of threads (default: usable cores, or OMP_NUM_THREADS if smaller)",
    )
    overwrite: bool = flag("--overwrite", help="replace a file that exists")

    def check(self) -> None:
        """Raise InputError where files are missing or options contradict each other."""
        self.weights_path  # noqa: B018 - raises
        if self.output.suffix.lower() != ".onnx":
            raise InputError(self.output, "does not end in .onnx", "name a file NAME.onnx with -o")
        if self.output.exists() and not self.overwrite:
            raise InputError(self.output, "exists", "name another file with -o, or --overwrite")
        if self.int8 and self.data is None:
            raise InputError("--int8", "needs cases to quantize with and to test on", "name DATA with -d")
        if self.margin is not None and not self.int8:
            raise InputError("--margin", "means nothing without --int8", "add --int8")
        if self.data is not None and not self.data.is_dir():
            raise InputError(self.data, "there is no such folder", "check -d")

    @property
    def weights_path(self) -> Path:
        """Path of the weights."""
        return one_file("--weights", list(self.weights))

    @property
    def settled_margin(self) -> float:
        """The margin, with its default."""
        return 0.002 if self.margin is None else self.margin
