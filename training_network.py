#!/usr/bin/env python3
"""Stage 2: train one network; stage 5: with --soft, the student.

    python training_network.py -n dil2D -d DATA/ -s SAVE/ -x 123 -i 100000 --receptive-field-size 131 \\
           --sample-size 54 --patch-inclusion-criteria entire-sample-area --classes 0,3

The experiment goes to SAVE/<experiment>/. A training that was stopped or killed goes on with --resume, to the same
weights as if it had never stopped.
"""

from pathlib import Path

from base.errors import InputError
from base.label_classes import notice, parse_classes, resolve
from networks import find_architecture
from utils import arguments
from utils.command_line import OneLineParser, run_stage

SOFT_DEFAULTS = {"softloss": "KL", "alpha": 0.1}
VALIDATION_VOXELS = 100_000  # classified in each validation, in so many patches at least and at most:
VALIDATION_PATCHES = (100, 400)


def build_parser() -> OneLineParser:
    parser = OneLineParser(description="Stage 2: train one network. Stage 5: with --soft, a student of an ensemble.")
    arguments.add_data(parser)
    parser.add_argument("-r", "--run", type=arguments.parse_folder_name, help="name (default: made of the options)")
    parser.add_argument(
        "-x", "--seed", type=arguments.parse_natural_number, default=0, help="of weights, patches and augmentation"
    )
    arguments.add_flag(parser, "--resume", "go on with the experiment where it stopped")
    arguments.add_device(parser)
    add_network_options(parser.add_argument_group("network"))
    add_patch_options(parser.add_argument_group("patches"))
    add_optimization_options(parser.add_argument_group("optimization"))
    add_student_options(parser.add_argument_group("student"))
    add_progress_options(parser.add_argument_group("progress"))
    return parser


def add_network_options(group) -> None:
    group.add_argument("-n", "--network", type=find_architecture, required=True, help="architecture: dil2D")
    group.add_argument(
        "--receptive-field-size",
        type=arguments.parse_positive_int,
        default=35,
        help="side of what the network sees of each voxel's surroundings, in voxels",
    )
    group.add_argument("--classes", type=parse_classes, required=True, help="labels, such as 0,1,2 or 0,1+2 or 0,3")


def add_patch_options(group) -> None:
    group.add_argument(
        "--sample-size",
        type=arguments.parse_positive_int,
        default=16,
        help="side of what a patch classifies, in voxels",
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
        "--planes",
        choices=("auto", "axial", "all"),
        default="auto",
        help="planes of the patches; auto: all, unless voxels are more than three times longer along z",
    )
    group.add_argument(
        "--normalization", choices=("auto", "ct", "zscore", "none"), default="auto", help="of the intensities"
    )


def add_optimization_options(group) -> None:
    group.add_argument("-i", "--iterations", type=arguments.parse_positive_int, default=8000, help="training steps")
    group.add_argument("--loss", choices=("CE", "dice", "CE+dice"), default="CE+dice", help="loss on references")
    group.add_argument(
        "--learning-rate",
        type=arguments.parse_positive_number,
        default=3e-3,
        help="largest rate of the one-cycle schedule",
    )


def add_student_options(group) -> None:
    arguments.add_flag(group, "--soft", "train a student on the soft labels of ensemble.py -e train")
    group.add_argument("--soft-labels", type=Path, help="folder of soft labels (default: SAVE/soft_labels/<classes>)")
    group.add_argument("--softloss", choices=("MSE", "CE", "KL"), help="loss on soft labels (default: KL)")
    group.add_argument(
        "--alpha", type=arguments.parse_non_negative_number, help="weight of the loss on references (default: 0.1)"
    )
    group.add_argument(
        "--temperature", type=arguments.parse_positive_number, help="of the soft labels (default: as they were made)"
    )


def add_progress_options(group) -> None:
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


def check_options(args) -> None:
    """Refuse what can be refused before anything is loaded."""
    args.network.check_receptive_field(args.receptive_field_size)
    if args.balance_ratios and len(args.balance_ratios) != len(args.classes):
        raise InputError(
            "--balance-ratios",
            f"{len(args.balance_ratios)} chances for {len(args.classes)} classes",
            "give one a class",
        )
    for name in ("soft_labels", "softloss", "alpha", "temperature"):
        if getattr(args, name) is not None and not args.soft:
            raise InputError(f"--{name.replace('_', '-')}", "means nothing without --soft", "add --soft")
    for name, value in SOFT_DEFAULTS.items():
        if args.soft and getattr(args, name) is None:
            setattr(args, name, value)
    arguments.check_folders(args)


def main(args) -> None:
    check_options(args)
    import torch

    from data.cases import find_cases, with_reference
    from data.intensities import decide_normalization
    from data.patches import choose_planes
    from data.soft_labels import find_soft_labels, soft_label_folder
    from data.training_cases import fingerprint
    from networks.weights import build_network
    from utils.devices import choose_device
    from utils.experiment import Experiment, versions
    from utils.losses import training_loss
    from utils.training import Training

    device = choose_device(args.device)
    train_cases, val_cases = find_cases(args.data, "train"), with_reference(find_cases(args.data, "val"))
    labels = set().union(*(case.labels for case in train_cases))
    classes = resolve(args.classes, labels, args.data / "train")
    if message := notice(args.classes, labels):
        print(message)
    soft_labels = soft_record = None
    if args.soft:
        folder = args.soft_labels / "train" if args.soft_labels else soft_label_folder(args.save, classes, "train")
        remedy = f"make them with: python ensemble.py -d {args.data} -s {args.save} -e train --classes {classes}"
        soft_labels, soft_record = find_soft_labels(folder, classes, args.temperature, train_cases, remedy)
    else:
        train_cases = with_reference(train_cases)
    description = {
        "experiment": args.run or name_of(args),
        "architecture": args.network.name,
        "receptive_field": args.receptive_field_size,
        "sample_size": args.sample_size,
        "planes": choose_planes(args.planes, [case.spacing_mm for case in train_cases]),
        "classes": classes.to_json(),
        "normalization": decide_normalization(args.normalization, train_cases).to_json(),
        "voxel_size_mm": train_cases[0].voxel_size_mm,
        "iterations": args.iterations,
        "seed": args.seed,
        "training_cases": [case.name for case in train_cases],
        "validation_cases": [case.name for case in val_cases],
        "data_fingerprint": fingerprint([*train_cases, *val_cases]),
        "soft_labels": soft_record,
        "options": arguments.recorded_options(args),
    }
    torch.manual_seed(args.seed)
    network = build_network(description)
    description["parameters"] = sum(parameter.numel() for parameter in network.parameters())
    experiment = Experiment(args.save, description["experiment"], {**description, "versions": versions()}, args.resume)
    final = experiment.final_path(args.iterations)
    if final.exists():
        print(f"finished before: {final}")
        return
    print(f"{experiment.name}: {description['parameters']} parameters, {len(train_cases)} cases, on {device}")
    loss = training_loss(args.loss, args.softloss, args.alpha, soft_record and soft_record["temperature"])
    training = Training(network, loss, args.learning_rate, args.iterations, device)
    streams = make_streams(args, description, train_cases, val_cases, soft_labels)
    train(args, training, experiment, description, *streams)


def name_of(args) -> str:
    from utils.experiment import experiment_name

    student = f"soft-{args.softloss}-a{args.alpha:g}" if args.soft else ""
    return experiment_name(
        args.seed,
        args.network.name,
        args.receptive_field_size,
        args.sample_size,
        args.classes.folder_name.replace("_", "-"),
        args.loss,
        args.iterations,
        student,
    )


def make_streams(args, description, train_cases, val_cases, soft_labels):
    """Read the cases; return the stream of training batches, the validation batches, and a slice to show."""
    from tqdm import tqdm

    from base.label_classes import LabelClasses
    from data.batches import BatchStream
    from data.intensities import Normalization
    from data.patches import TRAINING_STREAM, VALIDATION_STREAM, PatchOptions, PatchSampler, busiest_slice
    from data.training_cases import load_training_case

    classes = LabelClasses.from_json(description["classes"])
    normalization = Normalization.from_json(description["normalization"])
    options = PatchOptions(
        args.sample_size,
        args.network.input_size(args.sample_size, args.receptive_field_size),
        description["planes"],
        args.patch_inclusion_criteria,
        args.balance_ratios or (1,) * len(classes),
        args.batch_size,
    )

    def load(cases, soft):
        return [load_training_case(case, classes, normalization, soft) for case in tqdm(cases, "reading", unit="case")]

    training = load(train_cases, soft_labels)
    batches = BatchStream(PatchSampler(training, classes.names, options, (TRAINING_STREAM, args.seed), augment=True))
    validation = load(val_cases, None)
    fixed = BatchStream(PatchSampler(validation, classes.names, options, (VALIDATION_STREAM, 0), augment=False))
    fewest, most = VALIDATION_PATCHES
    patches = min(most, max(fewest, VALIDATION_VOXELS // args.sample_size**2))
    validation_batches = [fixed.make(number) for number in range(-(-patches // args.batch_size))]
    return batches, validation_batches, busiest_slice(validation[0])


def train(args, training, experiment, description, batches, validation_batches, shown) -> None:
    """Take the steps that are left, and write the final weights."""
    from networks.weights import read_torch_file, save_checkpoint, save_weights
    from utils.dashboard import Dashboard
    from utils.losses import HARD_LOSSES
    from utils.training_log import TrainingLog
    from utils.training_loop import take_steps

    rows = []
    experiment.begin()
    if experiment.checkpoint_path.exists():
        state = read_torch_file(experiment.checkpoint_path)
        training.restore(state["training"])
        rows = state["rows"]
        print(f"resumed at iteration {training.iteration}")
    dashboard = Dashboard(args.visdom_server, args.visdom_port, experiment.name)
    dice_columns = [f"dice_{name}" for name in description["classes"]["names"][1:]]
    log = TrainingLog(experiment, dashboard, rows, dice_columns)

    def validate(iterations_per_second: float) -> None:
        val_loss, dices = training.validate(validation_batches, HARD_LOSSES[args.loss])
        figures = {
            "iteration": training.iteration,
            "train_loss": training.take_mean_loss(),
            "val_loss": val_loss,
            "learning_rate": training.learning_rate,
            "iterations_per_second": iterations_per_second,
        }
        log.add(figures, dices, show_slice(args, training, description, shown))

    def checkpoint() -> None:
        save_checkpoint(experiment.checkpoint_path, {"training": training.state(), "rows": log.rows})

    take_steps(
        training, batches.numbered, args.iterations, args.validate_every, args.checkpoint_every, validate, checkpoint
    )
    dashboard.close()
    save_weights(experiment.final_path(args.iterations), training.network, description)
    print(f"weights: {experiment.final_path(args.iterations)}")


def show_slice(args, training, description, shown):
    """Picture of a validation slice: the image, with its reference, with the network's answer."""
    import numpy as np

    from utils.inference import VolumePredictor
    from utils.pictures import label_picture

    margin = (args.network.input_size(1, args.receptive_field_size) - 1) // 2
    predict = VolumePredictor(training.network, margin, (0,), len(description["classes"]["names"]), training.device)
    probabilities = predict(shown.image, shown.outside)
    training.network.train()
    image, nothing = shown.image[0], np.zeros_like(shown.reference[0])
    answers = (nothing, shown.reference[0], probabilities[:, 0].argmax(axis=0))
    return np.concatenate([label_picture(image, answer) for answer in answers], axis=2)


if __name__ == "__main__":
    run_stage(build_parser, main)
