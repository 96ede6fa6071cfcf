"""Stages 2 and 5: train one network, or a student of an ensemble."""

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from datetime import timedelta
from math import isfinite
from pathlib import Path

import torch

from base.argmax import argmax
from base.errors import InputError
from base.folder_lock import locked
from base.version import versions
from data.cases import Case
from data.changed_originals import check_references
from data.sampling.case_cache import stored_volumes
from data.sampling.patches import Slices
from data.sampling.training_cases import grids_fingerprint
from networks.checkpoint import load_checkpoint, save_checkpoint
from networks.description import NetworkDescription
from networks.weights import load_weights, save_weights
from stages.computation import Computation
from stages.training_data import Streams, TrainingData, describe, find_training_data, open_streams
from stages.training_options import TrainingOptions
from utils.inference.torch_networks import TorchNetwork
from utils.inference.volumes import predictor_of
from utils.reporting.training_report import FinishedTraining, write_training_report
from utils.runtime.processes import Processes
from utils.training.dashboard import Dashboard
from utils.training.experiment import Begun, Experiment
from utils.training.log import TrainingLog
from utils.training.loop import take_steps
from utils.training.losses import TrainingLoss
from utils.training.trainer import Trainer
from utils.training.validation_picture import ShownPicture, validation_picture

_STEP_TIMEOUT = timedelta(minutes=30)  # of a process that waits for the others


def train_network(options: TrainingOptions) -> None:
    """Train a network to its last iteration, from the beginning or where an earlier call stopped.

    Raises:
        InputError: data, weights or an earlier experiment do not suit the options.
    """
    processes = Processes.of_environment()
    computation = Computation.choose(options, processes)
    options = replace(options, precision=computation.precision)  # as it is recorded
    folder = options.save / options.experiment
    begun = Begun.read(folder, options.resume)
    data = find_training_data(options, begun)
    with (
        processes.together(_STEP_TIMEOUT, cuda=computation.device.type == "cuda"),
        locked(folder, processes.is_first),
    ):
        prepare_cases(options.save / "cache", data, processes)
        description = describe(options, data, processes)
        torch.manual_seed(options.seed)
        network = description.build()
        if begun.needs_no_initial_weights(options.init_weights):
            description = replace(description, **begun.initial)
        elif options.init_weights:
            description = begin_with(options.init_weights, network, description, data.val_cases)
        description = replace(description, parameters=sum(one.numel() for one in network.parameters()))
        cases = [*data.train_cases, *data.val_cases]
        record = {**description.to_json(), "grids_fingerprint": grids_fingerprint(cases, options.soft)}
        record["versions"] = versions()
        experiment = Experiment(options.save, options.experiment, record, options.resume)
        final = experiment.final_path(options.iterations)
        if final.exists():
            check_finished(final)
            print(f"finished before: {final}")
            return
        place = computation.place + (f", in {processes.count} processes" if processes.are_several else "")
        print(f"{experiment.name}: {description.parameters} parameters, {len(data.train_cases)} cases, {place}")
        pinned = computation.device.type == "cuda"
        streams = open_streams(options, data, description, processes, pinned)
        training = begin_training(options, description, network, computation, processes)
        take_training(options, training, experiment, description, streams)


def prepare_cases(cache: Path, data: TrainingData, processes: Processes) -> None:
    """Check the references of the cases, and write the cache of each case once, by one of the processes."""
    own = processes.share([*data.train_cases, *data.val_cases])
    check_references(cache, own)
    if processes.are_several:
        for case in own:
            for channel in data.channels:
                stored_volumes(cache, case, channel)
        processes.wait()


def check_finished(final: Path) -> None:
    """Raise InputError where the final weights are damaged."""
    try:
        load_weights(final)
    except InputError as error:
        raise error.with_remedy("remove it: the same command writes it again from LAST.pth") from None


def begin_with(
    path: Path, network: torch.nn.Module, description: NetworkDescription, val_cases: Sequence[Case]
) -> NetworkDescription:
    """Load the weights at `path`, of a network of the same kind, into `network`; print what may surprise.

    Returns:
        the description with the hash of these weights, and the cases and patients that they were trained on.
    """
    initial = load_weights(path)
    for name in ("architecture", "receptive_field", "features", "deep_supervision", "predicts_uncertainty", "channels"):
        theirs, own = getattr(initial.description, name), getattr(description, name)
        if theirs != own:
            raise InputError(path, f"has {name} {theirs}, the new network {own}", "name weights of the same network")
    initial.check_classes(description.classes)
    network.load_state_dict(initial.build().state_dict())
    seen = initial.description
    known = [case.name for case in val_cases if seen.was_trained_on(case.name, case.patient)]
    if known:
        what = "validation cases whose patients the initial weights were trained on"
        print(f"note: {what}: {len(known)}, such as {known[0]}; their Dice will be too high")
    compared = {
        "voxel size": lambda one: one.voxel_size_mm,
        "kind of normalization": lambda one: [normalization.kind for normalization in one.normalizations],
        "planes": lambda one: one.planes,
    }
    others = [what for what, of in compared.items() if of(seen) != of(description)]
    if others:
        print(f"note: the training of the initial weights differs in: {', '.join(others)}")
    return replace(
        description,
        initial_weights={initial.experiment: initial.sha256},
        initial_cases=sorted({*seen.training_cases, *(seen.initial_cases or ())}),
        initial_patients=sorted({*seen.training_patients, *(seen.initial_patients or ())}),
    )


def begin_training(
    options: TrainingOptions,
    description: NetworkDescription,
    network: torch.nn.Module,
    computation: Computation,
    processes: Processes,
) -> Trainer:
    """Return the training of `network`, before its first step."""
    return Trainer(
        network,
        TrainingLoss(options.loss, options.softloss, options.alpha, description.temperature, options.class_weights),
        description.number_of_classes,
        options.iterations,
        computation.device,
        options.learning_rate,
        options.optimizer,
        options.schedule,
        options.weight_decay,
        seed=options.seed,
        precision=computation.precision,
        compiled=computation.compiled,
        processes=processes,
    )


def take_training(
    options: TrainingOptions,
    training: Trainer,
    experiment: Experiment,
    description: NetworkDescription,
    streams: Streams,
) -> None:
    """Take the steps that are left, with validation, log and checkpoints, and write the final weights."""
    rows, processes = [], training.processes
    processes.wait()  # until every process has checked whether the experiment exists
    if processes.is_first:
        experiment.begin()
    dice_columns = [f"dice_{name}" for name in description.classes.shown[1:]]
    if experiment.checkpoint_path.exists():
        parameters = list(training.network.parameters())
        path, columns = experiment.checkpoint_path, ["iteration", *dice_columns]
        state, rows = load_checkpoint(path, experiment.name, training.state(), parameters, columns)
        training.restore(state)
        print(f"resumed at iteration {training.iteration}")
    port = options.visdom_port if processes.is_first else 0
    dashboard = Dashboard(options.visdom_server, port, experiment.name, options.visdom_picture)
    log = TrainingLog(experiment, dashboard, rows, dice_columns, options.iterations, lambda: training.iteration)
    if processes.is_first:
        print(f"progress: {experiment.progress_path}{describe_page(dashboard)}")

    def validate(iterations_per_second: float) -> None:
        train_loss = training.take_mean_loss()
        val_loss, dices = training.validate(streams.validation)
        figures = {
            "iteration": training.iteration,
            "train_loss": train_loss,
            "val_loss": val_loss,
            "learning_rate": training.learning_rate,
            "iterations_per_second": iterations_per_second,
        }
        if processes.is_first:
            log.add(figures, dices, picture_slice(training, description, streams.shown))
        if not isfinite(train_loss):
            processes.wait()
            raise InputError("--learning-rate", f"the loss became {train_loss}", "lower the rate, in a new run (-r)")

    def checkpoint() -> None:
        if processes.is_first:
            save_checkpoint(experiment.checkpoint_path, experiment.name, training.state(), log.rows)

    intervals = options.validate_every, options.checkpoint_every
    try:
        with log.following() if processes.is_first else nullcontext():
            take_steps(training, streams.batches.numbered, options.iterations, *intervals, validate, checkpoint)
    except Exception:  # such as a full memory or disk: the same command must be free to begin
        if processes.is_first:
            experiment.take_back()
        raise
    if processes.is_first:
        final = experiment.final_path(options.iterations)
        trained = replace(description, validation_dice=[log.rows[-1][column] for column in dice_columns])
        finished = FinishedTraining(experiment.folder, log.rows, dice_columns, trained.to_json(), log.picture)
        report = write_training_report(finished)
        save_weights(final, training.network, trained)
        log.finish()
        print(f"weights: {final}")
        print(f"report: {report}")
    dashboard.close()


def describe_page(dashboard: Dashboard) -> str:
    """Return the address of the dashboard's page, once it is there; empty without a dashboard."""
    if dashboard.page is None:
        return ""
    return f", live at {dashboard.page}" + ("" if dashboard.wait_for_page() else ", if a visdom server runs there")


def picture_slice(training: Trainer, description: NetworkDescription, shown: Slices) -> ShownPicture | None:
    """Return the picture of a validation slice: image, reference, prediction.

    None where the prediction does not fit into a GPU's memory: a training that fits goes on without a picture.
    """
    network = TorchNetwork(training.network, training.device, description.number_of_classes)
    predict = predictor_of(network, description)
    try:
        probabilities = predict(shown.image, shown.padding_values)
    except torch.OutOfMemoryError:
        return None
    finally:
        training.network.train()
    image = shown.image[0]  # of the first channel
    middle = len(image) // 2
    prediction = argmax(probabilities[:, middle])
    place = f"axial slice {shown.number + 1} of {shown.depth} after resampling"
    caption = f"{shown.case}, {place}, iteration {training.iteration}"
    return validation_picture(image[middle], shown.reference[middle], prediction, shown.spacing_mm[1:], caption)
