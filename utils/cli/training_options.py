"""The options of training, in groups. Nothing heavy is imported here."""

from pathlib import Path

from base.errors import InputError
from base.label_classes import parse_classes
from utils.cli import arguments
from utils.training.experiment import experiment_name

SOFT_DEFAULTS = {"softloss": "KL+dice", "alpha": 0.1}
_LEARNING_RATES = {"Adam": 3e-3, "AdamW": 3e-3, "SGD": 1e-2}


def add_network_options(parser, find_architecture, known: str) -> None:
    """Add the options of the network; `find_architecture` reads a name, `known` lists the names."""
    group = parser.add_argument_group("network")
    group.add_argument("-n", "--network", type=find_architecture, required=True, help=f"architecture: {known}")
    group.add_argument(
        "--receptive-field-size",
        type=arguments.parse_positive_int,
        help="side of what the network sees of each voxel's surroundings, in voxels (default: 35, or the only one)",
    )
    group.add_argument("--classes", type=parse_classes, required=True, help="labels, such as 0,1,2 or 0,1+2 or 0,3")
    group.add_argument(
        "--features", type=arguments.parse_positive_int, help="width of the network (default: the architecture's)"
    )
    group.add_argument(
        "--dropout",
        type=arguments.parse_non_negative_number,
        help="share of features left out (default: the architecture's)",
    )
    arguments.add_flag(group, "--deep-supervision", "train coarser outputs of a U-Net, too")
    group.add_argument("--init-weights", type=Path, help="weights of the same architecture to begin with")


def add_patch_options(parser) -> None:
    """Add the options of which patches are drawn, and what is done to them."""
    group = parser.add_argument_group("patches")
    group.add_argument(
        "--sample-size",
        type=arguments.parse_positive_int,
        help="side of what a patch classifies, in voxels (default: 16; of networks that pad, 48 in 2D and 32 in 3D)",
    )
    group.add_argument("-b", "--batch-size", type=arguments.parse_positive_int, default=40, help="patches a step")
    group.add_argument(
        "--patch-inclusion-criteria",
        type=arguments.parse_criterion,
        default="entire-sample-area",
        help="where the drawn voxel lies: anywhere (entire-sample-area) or in the centre (patch-center-voxel)",
    )
    group.add_argument(
        "--balance-ratios", type=arguments.parse_ratios, help="chances of the classes, such as 0,5,5 (default: equal)"
    )
    group.add_argument(
        "--background-share",
        type=arguments.parse_share,
        help="share of the background patches that hold nothing else (default: as it comes)",
    )
    arguments.add_flag(group, "--crop-to-labels", "draw only in the box around the reference's foreground")
    group.add_argument(
        "--planes",
        choices=("auto", "axial", "all"),
        default="auto",
        help="planes of the patches of 2D networks; auto: all, but axial alone where voxels are more than three times"
        " longer along z, and none whose slices are a single voxel wide in most volumes",
    )
    group.add_argument(
        "--normalization", choices=("auto", "ct", "zscore", "none"), default="auto", help="of the intensities"
    )
    group.add_argument(
        "--augmentation",
        choices=("none", "light", "strong"),
        default="light",
        help="light: rotation, zoom, shift and scale of intensities; strong: more of it, gamma, blur and noise",
    )
    arguments.add_flag(group, "--flip", "mirror patches at random, along every axis")
    group.add_argument("--fold", type=arguments.parse_fold, metavar="K/N", help="leave out fold K of N of the patients")


def add_optimization_options(parser) -> None:
    """Add the options of loss, optimizer and schedule."""
    group = parser.add_argument_group("optimization")
    group.add_argument("-i", "--iterations", type=arguments.parse_positive_int, default=8000, help="training steps")
    group.add_argument("--loss", choices=("CE", "dice", "CE+dice"), default="CE+dice", help="loss on references")
    group.add_argument(
        "--class-weights",
        type=arguments.parse_ratios,
        help="weights of the classes in the loss on references, such as 1,2,2 (default: equal)",
    )
    group.add_argument(
        "--optimizer", choices=tuple(_LEARNING_RATES), default="Adam", help="SGD: Nesterov momentum 0.99"
    )
    group.add_argument(
        "--learning-rate",
        type=arguments.parse_positive_number,
        help="highest learning rate (default: 0.003; 0.01 for SGD)",
    )
    group.add_argument(
        "--schedule", choices=("constant", "one-cycle", "poly"), default="one-cycle", help="of the learning rate"
    )
    group.add_argument("--weight-decay", type=arguments.parse_non_negative_number, default=0.0, help="of the optimizer")


def add_student_options(parser) -> None:
    """Add the options of distillation."""
    group = parser.add_argument_group("student")
    arguments.add_flag(group, "--soft", "train a student on the soft labels of ensemble.py -e train")
    group.add_argument("--soft-labels", type=Path, help="folder of soft labels (default: SAVE/soft_labels/<classes>)")
    group.add_argument(
        "--softloss",
        choices=("MSE", "CE", "KL", "KL+dice"),
        help="loss on soft labels; KL+dice: with a Dice loss for soft labels (default: KL+dice)",
    )
    group.add_argument(
        "--alpha", type=arguments.parse_non_negative_number, help="weight of the loss on references (default: 0.1)"
    )
    group.add_argument(
        "--temperature", type=arguments.parse_positive_number, help="of the soft labels (default: as they were made)"
    )
    arguments.add_flag(group, "--predict-uncertainty", "learn the ensemble's standard deviation, too")


def add_progress_options(parser) -> None:
    """Add the options of validation, checkpoints and dashboard."""
    group = parser.add_argument_group("progress")
    group.add_argument(
        "--validate-every",
        type=arguments.parse_positive_int,
        default=500,
        help="steps between validations and log rows",
    )
    group.add_argument(
        "--checkpoint-every", type=arguments.parse_positive_int, default=500, help="steps between checkpoints"
    )
    group.add_argument(
        "--visdom-port", type=arguments.parse_natural_number, default=8008, help="of the visdom server; 0: no dashboard"
    )
    group.add_argument("--visdom-server", default="http://localhost", help="address of the visdom server")
    group.add_argument(
        "--visdom-picture",
        choices=("auto", "on", "off"),
        default="auto",
        help="send a picture of a validation slice there; auto: to a server on this machine alone",
    )


def settle(args, number_of_processes: int) -> None:
    """Refuse what can be refused before anything is loaded, and fill in defaults that depend on other options.

    Raises:
        InputError: options contradict each other, the architecture, or the folders that are there.
    """
    if args.receptive_field_size is None:
        args.receptive_field_size = args.network.receptive_field
    if args.sample_size is None:
        args.sample_size = args.network.sample_size
    args.network.check_receptive_field(args.receptive_field_size)
    args.network.options(args.features, args.dropout, args.deep_supervision)
    for name in ("balance_ratios", "class_weights"):
        given = getattr(args, name)
        if given and len(given) != len(args.classes):
            raise InputError(
                f"--{name.replace('_', '-')}",
                f"{len(given)} numbers for {len(args.classes)} classes",
                "give one a class",
            )
    if args.batch_size < number_of_processes:
        problem = f"{args.batch_size} patches for {number_of_processes} processes"
        raise InputError("--batch-size", problem, "give each one patch at least, or start fewer processes")
    if args.class_weights and not any(args.class_weights[1:]):
        raise InputError("--class-weights", "every foreground class weighs 0", "give one of them a weight")
    for name in ("soft_labels", "softloss", "alpha", "temperature"):
        if getattr(args, name) is not None and not args.soft:
            raise InputError(f"--{name.replace('_', '-')}", "means nothing without --soft", "add --soft")
    if args.predict_uncertainty and not args.soft:
        raise InputError("--predict-uncertainty", "means nothing without --soft", "add --soft")
    if args.network.dimensions == 3 and args.planes != "auto":
        raise InputError("--planes", f"{args.network.name} has no planes", "leave --planes out")
    if args.flip and args.augmentation == "none":
        raise InputError("--flip", "contradicts --augmentation none", "leave one of them out")
    for name, value in SOFT_DEFAULTS.items():
        if args.soft and getattr(args, name) is None:
            setattr(args, name, value)
    if args.learning_rate is None:
        args.learning_rate = _LEARNING_RATES[args.optimizer]
    arguments.check_folders(args)


def name_of(args) -> str:
    """The name of an experiment that is given none."""
    return experiment_name(
        args.seed,
        args.network.name,
        args.receptive_field_size,
        args.sample_size,
        args.classes.folder_name.replace("_", "-"),
        args.loss,
        args.iterations,
        student=f"soft-{args.softloss}-a{args.alpha:g}" if args.soft else "",
        fold="fold{}of{}".format(*args.fold) if args.fold else "",
    )
