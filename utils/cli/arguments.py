"""Options that several stages share, and the types of their values. Nothing heavy is imported here."""

import argparse
import glob
import os
from pathlib import Path

from base.errors import InputError
from base.names import check_run_name
from base.regions import parse_regions
from base.run_files import prediction_path

_TRUE, _FALSE = ("true", "1", "yes"), ("false", "0", "no")


def parse_bool(text: str) -> bool:
    """True, False, true, false, 1, 0, yes or no."""
    if text.lower() in _TRUE + _FALSE:
        return text.lower() in _TRUE
    raise argparse.ArgumentTypeError(f"{text!r} is neither true nor false; write True, False, yes, no, 1 or 0")


def add_flag(parser, name: str, help_text: str) -> None:
    """Add a boolean option that stands alone or takes a value: ``--clip``, ``--clip True``, ``--clip no``."""
    parser.add_argument(
        name, nargs="?", const=True, default=False, type=parse_bool, metavar="True|False", help=help_text
    )


def parse_positive_int(text: str) -> int:
    if text.isdecimal() and int(text) > 0:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not a positive whole number")


def parse_natural_number(text: str) -> int:
    if text.isdecimal():
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0 up")


def parse_folder_name(text: str) -> str:
    """The name of one folder in SAVE, not a path."""
    try:
        return check_run_name(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def parse_positive_number(text: str) -> float:
    number = parse_non_negative_number(text)
    if number > 0:
        return number
    raise argparse.ArgumentTypeError(f"{text!r} is not above 0")


def parse_non_negative_number(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if 0 <= number < float("inf"):
        return number
    raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 up")


def parse_share(text: str) -> float:
    number = parse_non_negative_number(text)
    if number <= 1:
        return number
    raise argparse.ArgumentTypeError(f"{text!r} is not a share from 0 to 1")


def parse_overlap(text: str) -> float:
    number = parse_non_negative_number(text)
    if number < 1:
        return number
    raise argparse.ArgumentTypeError(f"{text!r} is not a share from 0 to less than 1")


def parse_fold(text: str) -> tuple[int, int]:
    """Read ``2/5``: the second of five folds."""
    fold, slash, count = text.partition("/")
    if slash and fold.isdecimal() and count.isdecimal() and 1 <= int(fold) <= int(count) and int(count) >= 2:
        return int(fold), int(count)
    raise argparse.ArgumentTypeError(f"{text!r} is not a fold such as 2/5")


def parse_ratios(text: str) -> tuple[float, ...]:
    """Read ``0,5,5``: one chance a class, in any unit."""
    try:
        ratios = tuple(parse_non_negative_number(word) for word in text.split(","))
    except argparse.ArgumentTypeError:
        ratios = ()
    if sum(ratios) > 0:
        return ratios
    raise argparse.ArgumentTypeError(f"{text!r} are not chances of classes; write them like 0,5,5")


def parse_criterion(text: str) -> str:
    """A patch inclusion criterion, written with hyphens or underscores."""
    criterion = text.replace("_", "-").lower()
    if criterion in ("entire-sample-area", "patch-center-voxel"):
        return criterion
    raise argparse.ArgumentTypeError(f"{text!r} is unknown; choose entire-sample-area or patch-center-voxel")


def one_file(option: str, patterns: list[str]) -> Path:
    """The one file that `patterns` name; each may be a path or a glob that the shell left as it was.

    Raises:
        InputError: they match no file, or several (all are listed).
    """
    matches = sorted({match for text in patterns for match in _matches(text)})
    if not matches:
        raise InputError(option, f"no file matches {' '.join(patterns)}", "check the path")
    if len(matches) > 1:
        raise InputError(option, f"{len(matches)} files match: {', '.join(matches)}", "name one of them")
    return Path(matches[0])


def _matches(pattern: str) -> list[str]:
    """What a pattern names; a name with brackets in it is a file's or folder's before it is a pattern: ``[1]``."""
    if Path(pattern).exists():
        return [pattern]
    found = [""]
    for part in Path(pattern).parts:
        found = [match for place in found for match in _matches_in(place, part)]
    return found


def _matches_in(place: str, part: str) -> list[str]:
    path = os.path.join(place, part)  # noqa: PTH118 - which keeps "./" and an empty place as they are
    return [path] if os.path.lexists(path) else glob.glob(os.path.join(glob.escape(place), part))  # noqa: PTH118


def add_data(parser) -> None:
    """Add the options of where data are and results go."""
    parser.add_argument("-d", "--data", type=Path, required=True, help="DATA: folder that holds train, val and test")
    parser.add_argument("-s", "--save", type=Path, required=True, help="SAVE: folder of experiments and results")


def add_evaluation(parser, default_run: str) -> None:
    """Add the options of which split is predicted, under which name, and how its predictions are measured."""
    parser.add_argument("-e", "--evaluate", choices=("train", "val", "test"), required=True, help="split to predict")
    parser.add_argument(
        "-r", "--run", type=parse_folder_name, help=f"results go to SAVE/<run>/<split>/ (default: {default_run})"
    )
    parser.add_argument(
        "--clip-to",
        type=parse_folder_name,
        metavar="RUN",
        help="give foreground outside what RUN predicted for the split to the background (default: nothing)",
    )
    parser.add_argument(
        "--overlap", type=parse_overlap, default=0.5, help="share that windows overlap, where a network needs windows"
    )
    parser.add_argument(
        "--memory-limit",
        type=parse_positive_number,
        default=4.0,
        metavar="GB",
        help="what the activations of one pass over a volume may take, in GB",
    )
    parser.add_argument(
        "--keep-largest",
        type=parse_natural_number,
        default=0,
        metavar="N",
        help="keep the N largest connected components of each class of a prediction; 0: all",
    )
    parser.add_argument(
        "--report-regions",
        type=parse_regions,
        default=(),
        metavar="REGIONS",
        help="measure unions of the predictions' labels too, such as 1+2,2 (default: the classes alone)",
    )
    parser.add_argument(
        "--tolerance-mm",
        type=parse_non_negative_number,
        default=1.0,
        metavar="MM",
        help="of the surface Dice, by area: how far apart two surfaces may be and still agree, in mm",
    )
    add_flag(parser, "--overwrite", "do again what is done, in place of all that an earlier run left")


def add_comparison(parser) -> None:
    """Add the options of which runs a run is compared with, and how."""
    parser.add_argument(
        "--compare",
        nargs="+",
        type=parse_folder_name,
        default=[],
        metavar="RUN",
        help="compare the results with those of other runs on the split, patient by patient (default: none)",
    )
    parser.add_argument(
        "--margin",
        type=parse_positive_number,
        metavar="DICE",
        help="with --compare: what of the mean Dice may be lost and still be called not inferior (default: 0.005)",
    )


def settle_comparison(args) -> None:
    """Fill in the margin's default, and raise InputError where a run to compare with is named twice or is missing."""
    if args.margin is not None and not args.compare:
        raise InputError("--margin", "means nothing without --compare", "add --compare")
    if args.margin is None:
        args.margin = 0.005
    for name in args.compare:
        if args.compare.count(name) > 1:
            raise InputError("--compare", f"{name} is named twice", "name each run once")
        folder = args.save / name / args.evaluate
        if not folder.is_dir():
            remedy = f"run testing_network.py or ensemble.py with -r {name} -e {args.evaluate} first"
            raise InputError("--compare", f"there is no {folder}", remedy)


def add_threads(parser, help_text: str) -> None:
    parser.add_argument("--threads", type=parse_positive_int, metavar="N", help=help_text)


def add_device(parser) -> None:
    """Add the options of where networks run, and how they calculate."""
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    add_threads(parser, "threads that PyTorch computes with (default: usable cores, or OMP_NUM_THREADS if smaller)")
    parser.add_argument(
        "--precision",
        choices=("auto", "fp32", "bf16"),
        default="auto",
        help="bf16: convolutions in bfloat16; auto: where a GPU calculates in it, else fp32",
    )
    add_flag(
        parser,
        "--compile",
        "let PyTorch compile the networks (dilated ones in training alone): minutes at first, faster then",
    )


def check_folders(args) -> None:
    """Raise InputError where DATA is not a folder, or SAVE is something else."""
    if not args.data.is_dir():
        problem = "is not a folder" if args.data.exists() else "there is no such folder"
        raise InputError(args.data, problem, "check -d")
    if args.save.exists() and not args.save.is_dir():
        raise InputError(args.save, "is not a folder", "check -s")


def check_clip_to(args, folder: Path) -> None:
    """Raise InputError where --clip-to names the run whose own results go to `folder`."""
    if args.clip_to and (args.save / args.clip_to / args.evaluate).resolve() == folder.resolve():
        raise InputError("--clip-to", f"{args.clip_to} is the run itself", "name another run, there or with -r")


def prediction_of(args, case_name: str) -> Path:
    """Where the run named by --clip-to wrote its prediction of a case."""
    return prediction_path(args.save / args.clip_to / args.evaluate, case_name)


def clip_checksums(args, cases) -> dict[str, str]:
    """Checksum of the prediction that each case is clipped to, by name; none without --clip-to.

    Raises:
        InputError: a prediction is missing, or was made of another scan.
    """
    from data.clipping import clip_checksum
    from utils.evaluation.run_results import read_record

    if not args.clip_to:
        return {}
    sums = {case.name: clip_checksum(prediction_of(args, case.name), case) for case in cases}
    predicted = read_record(args.save / args.clip_to / args.evaluate).get("cases", {})
    for case in cases:
        if predicted.get(case.name, case.fingerprint).get("image") != case.fingerprint["image"]:
            problem = f"was predicted of another scan than {case.folder} holds now"
            raise InputError(prediction_of(args, case.name), problem, f"predict the split again with -r {args.clip_to}")
    return sums


def recorded_inference(args) -> dict:
    """The options of evaluation and arithmetic that change predictions."""
    names = ("clip_to", "overlap", "memory_limit", "keep_largest", "precision")
    return {name: getattr(args, name) for name in names}


_NOT_RECORDED = {"debug", "resume", "device", "threads", "compile", "data", "save", "overwrite"}
_NOT_RECORDED |= {"visdom_port", "visdom_server", "visdom_picture"}
_NOT_RECORDED |= {"soft_labels", "init_weights"}  # their content is recorded, wherever they lie


def recorded_options(args) -> dict:
    """The options that determine a result, as plain values: not where it runs, is stored or shown."""
    plain = (int, float, bool, type(None))
    values = {name: value for name, value in sorted(vars(args).items()) if name not in _NOT_RECORDED}
    values = {name: getattr(value, "name", value) if name == "network" else value for name, value in values.items()}
    return {
        name: list(value) if isinstance(value, tuple) else value if isinstance(value, plain) else str(value)
        for name, value in values.items()
    }
