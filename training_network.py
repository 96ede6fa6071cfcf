#!/usr/bin/env python3
"""Stage 2: train one network; stage 5: with --soft, the student.

    python training_network.py -n dil2D -d DATA/ -s SAVE/ -x 123 -i 100000 --receptive-field-size 131 \\
           --sample-size 54 --patch-inclusion-criteria entire-sample-area --classes 0,3

The experiment goes to SAVE/<experiment>/. A training that was stopped or killed goes on with --resume, to the same
weights as if it had never stopped.
"""

from contextlib import nullcontext
from datetime import timedelta
from math import isfinite

from base.errors import InputError
from base.folder_lock import locked
from base.label_classes import notice, resolve
from base.version import versions
from networks import ARCHITECTURES, find_architecture
from utils.cli import arguments, training_options
from utils.cli.command_line import OneLineParser, run_stage
from utils.runtime.processes import Processes

PATIENCE = timedelta(minutes=30)  # of a process that waits for the others
VALIDATION_VOXELS = 100_000  # classified in each validation, in so many patches at least and at most:
VALIDATION_PATCHES = {2: (40, 400), 3: (16, 100)}


def build_parser() -> OneLineParser:
    parser = OneLineParser(description="Stage 2: train one network. Stage 5: with --soft, a student of an ensemble.")
    arguments.add_data(parser)
    parser.add_argument("-r", "--run", type=arguments.parse_folder_name, help="name (default: made of the options)")
    parser.add_argument(
        "-x", "--seed", type=arguments.parse_natural_number, default=0, help="of weights, patches and augmentation"
    )
    arguments.add_flag(parser, "--resume", "go on with the experiment where it stopped")
    arguments.add_device(parser)
    known = ", ".join(architecture.name for architecture in ARCHITECTURES.values())
    training_options.add_network_options(parser, find_architecture, known)
    training_options.add_patch_options(parser)
    training_options.add_optimization_options(parser)
    training_options.add_student_options(parser)
    training_options.add_progress_options(parser)
    return parser


def main(args) -> None:
    processes = Processes.of_environment()
    training_options.settle(args, processes.count)
    import torch

    from data.cases import find_cases, shared_patients, with_reference
    from data.changed_originals import check_references
    from data.sampling.case_cache import stored_volumes
    from data.soft_labels import find_soft_labels, soft_label_folder
    from data.split import outside_fold
    from networks.weights import build_network
    from utils.runtime.devices import choose_device
    from utils.runtime.precision import choose_precision
    from utils.runtime.threads import describe_place, use_threads
    from utils.training.experiment import Begun, Experiment

    device = choose_device(args.device, processes)
    place = describe_place(device, use_threads(args.threads, processes))
    args.precision = choose_precision(args.precision, device)
    train_cases, val_cases = find_cases(args.data, "train"), with_reference(find_cases(args.data, "val"))
    labels = set().union(*(case.labels for case in train_cases))
    train_cases = outside_fold(train_cases, args.fold)
    name = args.run or training_options.name_of(args)
    begun = Begun.read(args.save / name, args.resume)
    soft_labels, soft_record = None, {}
    if args.soft:
        folder = args.soft_labels or soft_label_folder(args.save, args.classes)
        remedy = f"make them with: python ensemble.py -d {args.data} -s {args.save} -e train --classes {args.classes}"
        remedy += f" --soft-labels {args.soft_labels}" if args.soft_labels else ""
        try:
            soft_labels, soft_record = find_soft_labels(
                folder / "train", args.classes, args.temperature, train_cases, remedy
            )
            classes = soft_labels.classes  # which the references of a few cases need not show
        except InputError:
            if not begun.is_finished_student:
                raise
            classes, soft_record = begun.classes, begun.record["soft_labels"]
    else:
        classes = resolve(args.classes, labels, args.data / "train")
        train_cases = with_reference(train_cases)
    if message := notice(classes, labels):
        print(message)
    if shared := shared_patients(train_cases, val_cases):
        print(f"note: patients with cases in train and in val: {len(shared)}, such as {shared[0]}; validation flatters")

    with (
        processes.together(PATIENCE, cuda=device.type == "cuda"),
        locked(args.save / name, processes.is_first),
    ):
        check_references(args.save / "cache", processes.share([*train_cases, *val_cases]))
        if processes.are_several:
            for case in processes.share([*train_cases, *val_cases]):
                stored_volumes(args.save / "cache", case)
            processes.wait()
        description = describe(args, name, classes, train_cases, val_cases, soft_record, processes)
        torch.manual_seed(args.seed)
        network = build_network(description)
        if begun.needs_no_initial_weights(args.init_weights):
            description |= begun.initial
        elif args.init_weights:
            begin_with(args.init_weights, network, description)
        description["parameters"] = sum(parameter.numel() for parameter in network.parameters())
        record = {**description, "versions": versions()}
        experiment = Experiment(args.save, name, record, args.resume)
        final = experiment.final_path(args.iterations)
        if final.exists():
            check_finished(final)
            print(f"finished before: {final}")
            return
        where = place + (f", in {processes.count} processes" if processes.are_several else "")
        print(f"{experiment.name}: {description['parameters']} parameters, {len(train_cases)} cases, {where}")
        streams = make_streams(args, description, train_cases, val_cases, soft_labels, device, processes)
        training = begin_training(args, network, description, device, processes)
        train(args, training, experiment, description, *streams)


def check_finished(final) -> None:
    """Raise InputError where the final weights are damaged."""
    from networks.weights import load_weights

    try:
        load_weights(final)
    except InputError as error:
        raise error.with_remedy("remove it: the same command writes it again from LAST.pth") from None


def begin_with(path, network, description: dict) -> None:
    """Give `network` the weights at `path`, which must be of one like it; `description` tells hash and cases."""
    from base.label_classes import LabelClasses
    from networks.weights import load_weights

    initial = load_weights(path)
    keys = ("architecture", "receptive_field", "features", "deep_supervision", "predicts_uncertainty")
    for key in keys:
        if initial.description[key] != description[key]:
            problem = f"has {key} {initial.description[key]}, the new network {description[key]}"
            raise InputError(path, problem, "name weights of the same network")
    initial.check_classes(LabelClasses.from_json(description["classes"]))
    network.load_state_dict(initial.build().state_dict())
    description["initial_weights"] = {initial.experiment: initial.sha256}
    seen = {*initial.description["training_cases"], *initial.description.get("initial_cases", ())}
    description["initial_cases"] = sorted(seen)
    patients = (initial.description.get(key, ()) for key in ("training_patients", "initial_patients"))
    description["initial_patients"] = sorted(set().union(*patients))


def describe(args, name, classes, train_cases, val_cases, soft_record, processes) -> dict:
    """What the weights say of themselves, and the experiment of what it is: plain values."""
    from tqdm import tqdm

    from data.sampling.case_cache import intensity_range, settle_normalization
    from data.sampling.patches import choose_planes
    from data.sampling.training_cases import fingerprint

    with tqdm(train_cases, "reading", unit="case", disable=not processes.is_first) as reading:
        normalization = settle_normalization(args.save / "cache", args.normalization, reading)
    grids = [case.grid for case in train_cases]
    planes = choose_planes(args.planes, [grid.spacing_mm for grid in grids], [grid.shape for grid in grids])
    return {
        "experiment": name,
        "architecture": args.network.name,
        "receptive_field": args.receptive_field_size,
        **args.network.options(args.features, args.dropout, args.deep_supervision),
        "predicts_uncertainty": args.predict_uncertainty,
        "initial_weights": None,
        "sample_size": args.sample_size,
        "planes": planes if args.network.dimensions == 2 else (),
        "classes": classes.to_json(),
        "normalization": normalization.to_json(),
        "intensities": intensity_range(args.save / "cache", normalization.kind, train_cases).to_json(),
        "voxel_size_mm": train_cases[0].voxel_size_mm,
        "iterations": args.iterations,
        "seed": args.seed,
        "fold": args.fold,
        "training_cases": [case.name for case in train_cases],
        "training_patients": sorted({case.patient for case in train_cases}),
        "validation_cases": [case.name for case in val_cases],
        "data_fingerprint": fingerprint([*train_cases, *val_cases]),
        "soft_labels": soft_record or None,
        "options": arguments.recorded_options(args),
    }


def make_streams(args, description, train_cases, val_cases, soft_labels, device, processes):
    """Open the cases; return this process's share of training and validation batches, and slices to show."""
    from functools import partial

    from tqdm import tqdm

    from base.label_classes import LabelClasses
    from data.intensities import Normalization
    from data.sampling.augmentation import STRENGTHS, draw_augmentation
    from data.sampling.batches import BatchStream
    from data.sampling.case_cache import Drawing, TrainingLabels, open_case
    from data.sampling.patches import TRAINING_STREAM, VALIDATION_STREAM, PatchOptions, PatchSampler, busiest_slices

    classes = LabelClasses.from_json(description["classes"])
    normalization = Normalization.from_json(description["normalization"])
    dimensions = args.network.dimensions
    options = PatchOptions(
        dimensions,
        args.sample_size,
        args.network.input_size(args.sample_size, args.receptive_field_size),
        description["planes"],
        args.patch_inclusion_criteria,
        args.balance_ratios or (1,) * len(classes),
        args.batch_size,
        args.background_share,
        # What a network that pads sees of the volume's surroundings must be what it will see of them in prediction.
        inside=args.network.pads and args.patch_inclusion_criteria == "entire-sample-area",
    )
    draw = None
    if args.augmentation != "none":
        draw = partial(draw_augmentation, STRENGTHS[args.augmentation], flip=args.flip)

    drawing = Drawing(
        classes,
        apart=None if args.background_share is None else args.sample_size,
        around=args.sample_size if args.crop_to_labels else None,
    )
    labels = None
    if soft_labels:
        labels = TrainingLabels(soft_labels, description["soft_labels"], args.predict_uncertainty)

    def load(cases, labels=None):
        with tqdm(cases, "indexing", unit="case", disable=not processes.is_first) as bar:
            return [open_case(args.save / "cache", case, normalization, drawing, labels) for case in bar]

    training = load(train_cases, labels)
    sampler = PatchSampler(training, classes.names, options, (TRAINING_STREAM, args.seed), draw)
    batches = BatchStream(sampler, processes.rank, processes.count, pinned=device.type == "cuda")
    validation = load(val_cases)
    # A class that no validation case holds is no reason not to train.
    fixed = BatchStream(PatchSampler(validation, classes.names, options, (VALIDATION_STREAM, 0), may_lack=True))
    fewest, most = VALIDATION_PATCHES[dimensions]
    patches = min(most, max(fewest, VALIDATION_VOXELS // args.sample_size**dimensions))
    validation_batches = [fixed.make(number) for number in processes.share(range(-(-patches // args.batch_size)))]
    return batches, validation_batches, busiest_slices(validation[0], 1 if dimensions == 2 else args.sample_size)


def begin_training(args, network, description, device, processes):
    """The training of `network`, before its first step."""
    from utils.training.losses import TrainingLoss
    from utils.training.trainer import Training

    temperature = (description["soft_labels"] or {}).get("temperature")
    return Training(
        network,
        TrainingLoss(args.loss, args.softloss, args.alpha, temperature, args.class_weights),
        len(args.classes),
        args.iterations,
        device,
        args.learning_rate,
        args.optimizer,
        args.schedule,
        args.weight_decay,
        seed=args.seed,
        precision=args.precision,
        compiled=args.compile,
        processes=processes,
    )


def train(args, training, experiment, description, batches, validation_batches, shown) -> None:
    """Take the steps that are left, and write the final weights."""
    from networks.checkpoint import load_checkpoint, save_checkpoint
    from networks.weights import save_weights
    from utils.training.dashboard import Dashboard
    from utils.training.log import TrainingLog
    from utils.training.loop import take_steps

    rows, processes = [], training.processes
    processes.wait()  # until none looks any more whether the experiment exists
    if processes.is_first:
        experiment.begin()
    dice_columns = [f"dice_{name}" for name in description["classes"]["names"][1:]]
    if experiment.checkpoint_path.exists():
        parameters = list(training.network.parameters())
        path, columns = experiment.checkpoint_path, ["iteration", *dice_columns]
        state, rows = load_checkpoint(path, training.state(), parameters, columns)
        training.restore(state)
        print(f"resumed at iteration {training.iteration}")
    port = args.visdom_port if processes.is_first else 0
    dashboard = Dashboard(args.visdom_server, port, experiment.name, args.visdom_picture)
    log = TrainingLog(experiment, dashboard, rows, dice_columns, args.iterations, lambda: training.iteration)
    if processes.is_first:
        print(f"progress: {experiment.progress_path}{describe_page(dashboard)}")

    def validate(iterations_per_second: float) -> None:
        train_loss = training.take_mean_loss()
        val_loss, dices = training.validate(validation_batches)
        figures = {
            "iteration": training.iteration,
            "train_loss": train_loss,
            "val_loss": val_loss,
            "learning_rate": training.learning_rate,
            "iterations_per_second": iterations_per_second,
        }
        if processes.is_first:
            log.add(figures, dices, show_slice(training, description, shown))
        if not isfinite(train_loss):
            processes.wait()
            raise InputError("--learning-rate", f"the loss became {train_loss}", "lower the rate, in a new run (-r)")

    def checkpoint() -> None:
        if processes.is_first:
            save_checkpoint(experiment.checkpoint_path, training.state(), log.rows)

    every = args.validate_every, args.checkpoint_every
    try:
        with log.following() if processes.is_first else nullcontext():
            take_steps(training, batches.numbered, args.iterations, *every, validate, checkpoint)
    except (RuntimeError, InputError):  # such as a full memory or disk: the same command must be free to begin
        if processes.is_first:
            experiment.take_back()
        raise
    if processes.is_first:
        described = {**description, "validation_dice": [log.rows[-1][column] for column in dice_columns]}
        save_weights(experiment.final_path(args.iterations), training.network, described)
        log.finish()
        print(f"weights: {experiment.final_path(args.iterations)}")
    dashboard.close()


def describe_page(dashboard) -> str:
    """Tell where the dashboard's page is, once it is there; nothing without a dashboard."""
    if dashboard.page is None:
        return ""
    return f", live at {dashboard.page}" + ("" if dashboard.wait_for_page() else ", if a visdom server runs there")


def show_slice(training, description, shown):
    """Picture of a validation slice: the image, with its reference, with the network's answer; None if it is too large.

    A training that fits into a GPU's memory goes on without a picture that does not.
    """
    import torch

    from base.argmax import argmax
    from networks.weights import inference_options
    from utils.inference.volumes import predictor_of
    from utils.training.validation_picture import validation_picture

    predict = predictor_of(training.network, training.device, **inference_options(description))
    try:
        probabilities = predict(shown.image, shown.outside)
    except torch.OutOfMemoryError:
        return None
    finally:
        training.network.train()
    middle = len(shown.image) // 2
    answer = argmax(probabilities[:, middle])
    place = f"axial slice {shown.number + 1} of {shown.depth} after resampling"
    caption = f"{shown.case}, {place}, iteration {training.iteration}"
    return validation_picture(shown.image[middle], shown.reference[middle], answer, shown.spacing_mm[1:], caption)


if __name__ == "__main__":
    run_stage(build_parser, main)
