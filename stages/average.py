"""Stage 4: average networks into soft labels, and measure the ensemble."""

import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path

import numpy as np
from tqdm import tqdm

from base.errors import InputError
from base.folder_lock import locked
from base.label_classes import IGNORED
from base.regions import regions_of
from base.run_files import COMPONENT_CHOICE, DICE_CALIBRATION, ENTROPY, MUTUAL_INFORMATION, map_path, remove_maps
from base.run_record import EnsembleSettings, RunRecord
from data.cases import Case, find_cases
from data.changed_originals import check_originals
from data.clipping import Clip, clip_of_reference
from data.components import keep_components
from data.intensities import normalize
from data.predictions import Scan, reference_labels
from data.scribbles import without_unmarked
from data.soft_labels import SoftLabels, soft_label_folder
from networks.members import check_together, fitting_members, listed_members, member_weights, not_trained_on
from networks.weights import TrainedNetwork
from stages.component_choice import settle_components
from stages.computation import Computation
from stages.ensemble_options import EnsembleOptions
from stages.split_run import check_intensities, check_networks, clip_of_run, picture_window, record_of
from utils.ensembling.agreement import MemberAgreement
from utils.ensembling.leave_one_out import MemberStore, remove_abandoned_stores
from utils.ensembling.reports import EnsembledCase, EnsembleReports, print_mean_dice
from utils.ensembling.running_average import EnsembleAverage, RunningMoments
from utils.evaluation.case_measures import Probabilities, Segmentation
from utils.evaluation.dice_estimates import estimate_dice
from utils.evaluation.run_results import CaseResult, RunResults
from utils.evaluation.shown_slices import DoubtMap
from utils.evaluation.trust_report import TrustReport
from utils.inference.mirrored_views import MirroredViews
from utils.inference.volumes import VolumePredictor, predictor_of
from utils.reporting.run_report import remove_report, write_report
from utils.runtime.processes import CASE_TIMEOUT, Processes

_OPTIONAL_MAPS = (ENTROPY, MUTUAL_INFORMATION)


def average_split(options: EnsembleOptions) -> None:
    """Average the members' predictions of the cases that are not done, measure them, and report on all.

    Raises:
        InputError: members, cases or earlier results do not suit the options.
    """
    processes = Processes.of_environment()
    computation = Computation.choose(options, processes)
    folders = [options.run_folder, soft_labels_folder(options)]
    options.check_clip_to(options.save, folders[0])
    if folders[0].resolve() == folders[1].resolve():
        raise InputError("--soft-labels", f"{folders[1]} is the folder of the run's own results", "name another")
    with ExitStack() as held, processes.together(CASE_TIMEOUT):
        with processes.first_ahead():
            for folder in folders:
                held.enter_context(locked(folder, processes.is_first))
            run = EnsembleRun(options, computation, processes)
        print(f"predicting {computation.place}")
        own = processes.share(run.to_do)
        total = sum(len(run.members_of(case)) for case in own)
        with tqdm(total=total, unit="member and case", disable=not processes.is_first) as bar:
            for case in own:
                run.average(case, bar)
        processes.wait()
        if processes.is_first:
            run.report()


class EnsembleRun:
    """Run of one ensemble on the cases of a split.

    Attributes:
        to_do: cases that are not done.
    """

    def __init__(self, options: EnsembleOptions, computation: Computation, processes: Processes):
        self._options = options
        self._computation = computation
        self._folder = options.run_folder
        cases = find_cases(options.data, options.evaluate)
        self._members = find_members(options, cases[0].voxel_size_mm)
        check_networks(self._members, cases, options.views)
        self._predictors: dict[str, VolumePredictor | MirroredViews] = {}  # by experiment
        self._classes = self._members[0].description.classes
        self._regions = regions_of(self._classes, options.report_regions)
        self._weights = member_weights(self._members, options.member_weights)
        without_reference = [case for case in cases if not case.has_reference]
        if options.clip and without_reference:
            problem = f"{without_reference[0].folder} has no reference to clip to"
            raise InputError("--clip", problem, "leave --clip out")
        for case in cases:
            self.members_of(case)  # raises where there is none
        choice, calibration = (self._folder.parent / name for name in (COMPONENT_CHOICE, DICE_CALIBRATION))
        components = settle_components(options, choice, self._members, cases, self._labelled, options.clip)
        self._kept = components.kept
        ensemble = EnsembleSettings(self._weights, options.cross_fit, options.clip)
        record = record_of(options, cases, self._members, self._regions, computation.precision, self._kept, ensemble)
        self._contents = record.cases
        self._soft_labels = SoftLabels(soft_labels_folder(options), self._classes)
        soft_record = soft_label_record(record, options.temperature)
        if processes.is_first:  # may refuse: before earlier results are touched
            self._soft_labels.check(soft_record, options.overwrite)
        self._results = RunResults(self._folder, record, self._regions, options.overwrite, processes)
        components.store()
        unseen, is_validation = self._unseen(cases), options.evaluate == "val"
        self._trust = TrustReport(self._folder, record, calibration, is_validation, unseen)
        fingerprints = {case.name: case.with_scribbles(case.fingerprint) for case in cases}
        self._soft_labels.begin(soft_record, fingerprints, options.overwrite, record.clips)
        if processes.is_first:
            remove_abandoned_stores(self._folder)
        self._written_maps = _OPTIONAL_MAPS if options.uncertainty_maps else ()
        done = {case.name for case in cases if self._is_done(case)}
        self.to_do = [case for case in cases if case.name not in done]
        if self.to_do and processes.is_first:
            remove_report(self._folder)
        if processes.is_first:  # the originals of all other cases are checked when they are read
            check_originals(options.save / "cache", [case for case in cases if case.name in done])
        self._reports = EnsembleReports(self._folder, list(self._weights), done, processes)

    def _is_done(self, case: Case) -> bool:
        return (
            self._results.is_done(case.name)
            and self._soft_labels.is_complete(case)
            and all(map_path(self._folder, case.name, name).is_file() for name in self._written_maps)
        )

    def _unseen(self, cases: Sequence[Case]) -> set[str]:
        """Return the names of the cases that none of the members that predict them was trained on."""
        return {
            case.name
            for case in cases
            if not any(one.description.was_trained_on(case.name, case.patient) for one in self.members_of(case))
        }

    def members_of(self, case: Case) -> list[TrainedNetwork]:
        """Return the members that predict a case: those with a weight above 0, with --cross-fit out-of-fold only.

        Raises:
            InputError: there is none.
        """
        members = self._members
        if self._options.cross_fit:
            members = not_trained_on(case.name, case.patient, members)
        counting = [member for member in members if self._weights[member.experiment]]
        if not counting:
            problem = f"the members for {case.name} have a validation Dice of 0"
            raise InputError("--member-weights", problem, "use equal, or train on")
        return counting

    def average(self, case: Case, bar: tqdm) -> None:
        """Average the members' predictions of a case, and measure the mean; `bar` counts the members."""
        remove_maps(self._folder, case.name, self._classes.shown)  # of an earlier prediction
        began, storing = time.perf_counter(), 0.0
        clip = self._clip_of(case)
        average, agreement = EnsembleAverage(self._options.temperature), MemberAgreement()
        with MemberStore(self._folder) as store:
            members = self.members_of(case)
            images = read_images(case, members)
            misses_intensities = check_intensities(members, case, images)
            for member in members:
                probabilities = self._predict(member, images, clip)
                average.add(probabilities, self._weights[member.experiment])
                if clip:
                    clip.apply(probabilities)
                stored = time.perf_counter()
                agreement.add(probabilities)
                if case.has_reference:
                    store.add(member.experiment, probabilities)
                storing += time.perf_counter() - stored
                bar.update()
            scan = Scan.of_case(case)
            decided = scan.decide(average.mean, self._classes, clip)
            if clip:
                average.clip(clip.on_grid)
            prediction = keep_components(decided, self._kept, self._classes)
            scan.write(prediction, self._results.prediction_path(case.name))
            seconds = time.perf_counter() - began - storing  # as of one network: from reading to a written prediction
            reference = case.resampled_classes(self._classes)
            soft_labels = average.soft.mean
            if case.scribbles and reference is not None and (reference == IGNORED).any():
                soft_labels = without_unmarked(soft_labels, reference, case.scribbles)
            self._soft_labels.write(case, soft_labels, average.deviation)
            maps = average.uncertainty_maps()
            for name in self._written_maps:
                scan.write_map(maps[name], map_path(self._folder, case.name, name))
            if reference is not None:
                ensembled = EnsembledCase(
                    case.name,
                    store,
                    self._weights,
                    average.mean,
                    maps,
                    reference,
                    case.spacing_mm,
                    self._classes.shown,
                )
                self._reports.add(ensembled)
        truth = reference_labels(case, self._classes)
        segmentation = Segmentation(scan.array(), prediction, truth, scan.spacing_mm, scan.first_slice_mm)
        measured = Probabilities(average.mean, reference, case.spacing_mm)
        window = picture_window(members, case, images)
        doubt = None if truth is not None else doubt_of(maps, len(members), scan)
        estimates = estimate_dice(average.mean, self._regions, agreement.pairwise_dice(self._regions))
        result = CaseResult(case.name, segmentation, measured, seconds, misses_intensities, window, doubt, estimates)
        self._results.add(result)

    def _labelled(self, case: Case) -> tuple[np.ndarray, np.ndarray]:
        """Return prediction, with all components, and reference of a case: uint8 labels (z, y, x) on its scan."""
        clip, moments = self._clip_of(case), RunningMoments()
        members = self.members_of(case)
        images = read_images(case, members)
        for member in members:
            moments.add(self._predict(member, images, clip), self._weights[member.experiment])
        labels = Scan.of_case(case).decide(moments.mean, self._classes, clip)
        return labels, reference_labels(case, self._classes)

    def _clip_of(self, case: Case) -> Clip | None:
        """Return the masks that foreground is clipped to; None for no clipping."""
        return clip_of_reference(case, self._classes) if self._options.clip else clip_of_run(self._options, case)

    def _predict(self, member: TrainedNetwork, images: Mapping[str, np.ndarray], clip: Clip | None) -> np.ndarray:
        """Return a member's probabilities, float32 (classes, z, y, x), of resampled images; where a `clip` needs them.

        The clip is not applied to them.
        """
        if member.experiment not in self._predictors:  # weights are small
            inference = self._computation.inference(self._options)
            network = self._computation.run(member.build(), member.description.number_of_classes)
            predictor = predictor_of(network, member.description, inference)
            self._predictors[member.experiment] = predictor
        own = [images[channel] for channel in member.description.channels]
        volume, padding_values = normalize(own, member.description.normalizations)
        outputs = self._predictors[member.experiment](volume, padding_values, clip.computed if clip else None)
        return outputs[: member.description.number_of_classes]

    def report(self) -> None:
        """Merge the measures of all processes, and print a summary."""
        self._results.gather()
        self._reports.gather()
        print(f"soft labels: {self._soft_labels.folder}")
        self._results.print_summary()
        self._reports.print_means()
        self._trust.write()
        save, split = self._options.save, self._options.evaluate
        folders = {name: save / name / split for name in self._weights}
        weights = {member.experiment: member.sha256 for member in self._members}
        print_mean_dice({"ensemble": self._folder} | folders, self._regions, self._contents, weights)
        print(f"report: {write_report(self._folder)}")


def doubt_of(maps: Mapping[str, np.ndarray], number_of_members: int, scan: Scan) -> DoubtMap:
    """Return where a prediction is doubtful: where several members disagree, or the entropy of a single one."""
    if number_of_members > 1:
        return DoubtMap("disagreement between members", maps[MUTUAL_INFORMATION], scan.nearest_voxels)
    return DoubtMap("entropy", maps[ENTROPY], scan.nearest_voxels)


def read_images(case: Case, members: Sequence[TrainedNetwork]) -> dict[str, np.ndarray]:
    """Return the resampled images of a case that any of the `members` reads, float32 (z, y, x), by channel."""
    channels = dict.fromkeys(channel for member in members for channel in member.description.channels)
    return case.resampled_images(list(channels))


def soft_labels_folder(options: EnsembleOptions) -> Path:
    """Return the folder of the split's soft labels."""
    return (options.soft_labels or soft_label_folder(options.save, options.classes)) / options.evaluate


def soft_label_record(record: RunRecord, temperature: float) -> dict:
    """Return the record of soft labels (plain values): who made them, and with which options."""
    settings, ensemble = asdict(record.settings), asdict(record.ensemble)
    del settings["keep_largest"]  # changes predictions, not probabilities
    clip = ensemble.pop("clip")
    made_of = {"weights": record.weights, **ensemble, "classes": record.classes.to_json(), "clip": clip}
    return {**made_of, **settings, "temperature": temperature}


def find_members(options: EnsembleOptions, voxel_size_mm: list[float | None] | None) -> list[TrainedNetwork]:
    """Return the networks to average: those listed, or those in SAVE that fit. Prints their paths."""
    architecture = options.network and options.network.name
    if options.trained_networks:
        members = listed_members(options.trained_networks)
        for member in members:
            member.check("--network", architecture, member.description.architecture)
            member.check("--receptive-field-size", options.receptive_field_size, member.description.receptive_field)
            member.check("--sample-size", options.sample_size, member.description.sample_size)
            member.check_classes(options.classes)
    else:
        sizes = (architecture, options.receptive_field_size, options.sample_size)
        members = fitting_members(options.save, options.classes, voxel_size_mm, *sizes)
    check_together(members)
    print(f"{len(members)} {'member' if len(members) == 1 else 'members'}:")
    for member in members:
        print(f"  {member.path}")
    return members
