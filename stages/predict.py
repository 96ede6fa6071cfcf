"""Stage 3: predict the cases of a split with one network, and measure the predictions."""

import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from tqdm import tqdm

from base.argmax import argmax
from base.folder_lock import locked
from base.regions import Region, regions_of
from base.run_files import (
    COMPONENT_CHOICE,
    DICE_CALIBRATION,
    RANKINGS,
    UNCERTAINTY,
    beside_weights,
    map_path,
    probability_path,
    remove_maps,
)
from data.cases import Case, find_cases
from data.changed_originals import check_originals
from data.components import keep_components
from data.intensities import normalize
from data.predictions import Scan, reference_labels
from networks.weights import TrainedNetwork, load_weights
from stages.component_choice import settle_components
from stages.computation import Computation
from stages.split_run import check_intensities, check_networks, clip_of_run, picture_window, record_of
from stages.testing_options import NetworkTestOptions
from utils.comparison.report import ComparisonReport, remove_comparison
from utils.ensembling.entropy import entropy
from utils.evaluation.case_measures import Probabilities, Segmentation
from utils.evaluation.case_table import CaseTable
from utils.evaluation.dice_estimates import DiceEstimate, agreement_of_uncertainty, estimate_dice
from utils.evaluation.error_ranking import RANKING_COLUMNS, RANKING_TITLE, ErrorRanking
from utils.evaluation.run_results import CaseResult, RunResults, definition_of
from utils.evaluation.shown_slices import DoubtMap
from utils.evaluation.trust_report import TrustReport
from utils.inference.volumes import predictor_of
from utils.reporting.run_report import remove_report, write_report
from utils.runtime.processes import CASE_TIMEOUT, Processes


def predict_split(options: NetworkTestOptions) -> None:
    """Predict the cases that are not done, measure them, and report on all.

    Raises:
        InputError: weights, cases or earlier results do not suit the options.
    """
    processes = Processes.of_environment()
    computation = Computation.choose(options, processes)
    trained = load_weights(options.weights_path)
    trained.check("--network", options.network and options.network.name, trained.description.architecture)
    trained.check("--receptive-field-size", options.receptive_field_size, trained.description.receptive_field)
    trained.check_classes(options.classes)
    folder = options.save / (options.run or trained.experiment) / options.evaluate
    options.check_clip_to(options.save, folder)
    with ExitStack() as held, processes.together(CASE_TIMEOUT):
        with processes.first_ahead():
            held.enter_context(locked(folder, processes.is_first))
            run = NetworkRun(options, trained, folder, computation, processes)
        print(f"predicting {computation.place}")
        for case in tqdm(processes.share(run.to_do), "predicting", unit="case", disable=not processes.is_first):
            run.predict(case)
        processes.wait()
        if processes.is_first:
            run.report()


@dataclass(frozen=True)
class Predicted:
    """What a network predicted of a case.

    Attributes:
        scan: whose grid the prediction lies on.
        labels: uint8 (z, y, x) on the scan's grid, with all components.
        probabilities: float32 (classes, z, y, x) on the resampled grid.
        uncertainty: float32 (0 or 1, z, y, x) on the resampled grid.
    """

    scan: Scan
    labels: np.ndarray
    probabilities: np.ndarray
    uncertainty: np.ndarray

    def doubt(self) -> DoubtMap:
        """Return where the prediction is doubtful: the uncertainty that the network predicts, or the entropy."""
        if len(self.uncertainty):
            return DoubtMap("uncertainty", self.uncertainty[0], self.scan.nearest_voxels)
        return DoubtMap("entropy", entropy(self.probabilities), self.scan.nearest_voxels)

    def estimates(self, regions: Sequence[Region]) -> dict[str, DiceEstimate]:
        """Return the estimates of the Dice of each region."""
        agreements = None
        if len(self.uncertainty):
            agreements = agreement_of_uncertainty(self.probabilities, self.uncertainty[0], regions)
        return estimate_dice(self.probabilities, regions, agreements)


class NetworkRun:
    """Run of one network on the cases of a split, with results in `folder`.

    Attributes:
        to_do: cases that are not done.
    """

    def __init__(
        self,
        options: NetworkTestOptions,
        trained: TrainedNetwork,
        folder: Path,
        computation: Computation,
        processes: Processes,
    ):
        self._options = options
        self._trained = trained
        self._folder = folder
        self._classes = trained.description.classes
        cases = find_cases(options.data, options.evaluate)
        check_networks([trained], cases, options.views)
        self._regions = regions = regions_of(self._classes, options.report_regions)
        knows = trained.description.was_trained_on
        self._unseen = {case.name for case in cases if not knows(case.name, case.patient)}
        inference = computation.inference(options)
        network = computation.run(trained.build(), trained.description.number_of_classes)
        self._predict = predictor_of(network, trained.description, inference)
        choice, calibration = (beside_weights(trained.path, name) for name in (COMPONENT_CHOICE, DICE_CALIBRATION))
        components = settle_components(options, choice, [trained], cases, self._labelled)
        self._kept = components.kept
        record = record_of(options, cases, [trained], regions, computation.precision, self._kept)
        if options.evaluate != "train":
            self._note_known(cases)
        self._place = options.save, options.run or trained.experiment, options.evaluate
        self._record = replace(record, surface_dice=definition_of(folder, options.overwrite))
        self._comparison = None
        if options.compare and processes.is_first:  # may refuse: before earlier results are touched
            self._comparison = ComparisonReport(*self._place, options.compare, self._record, options.margin)
        self._results = RunResults(folder, record, regions, options.overwrite, processes)
        components.store()
        self._trust = TrustReport(folder, record, calibration, options.evaluate == "val", self._unseen)
        done = {case.name for case in cases if self._is_done(case)}
        self.to_do = [case for case in cases if case.name not in done]
        if processes.is_first:  # the originals of all other cases are checked when they are read
            check_originals(options.save / "cache", [case for case in cases if case.name in done])
        if self.to_do and processes.is_first:
            remove_comparison(folder)
            remove_report(folder)
        self._ranking = CaseTable(folder / RANKINGS, RANKING_COLUMNS, done, processes)

    def _note_known(self, cases: list[Case]) -> None:
        """Print a note if the network was trained on patients of `cases`."""
        known = [case.name for case in cases if case.name not in self._unseen]
        if known:
            name = self._trained.experiment
            print(f"note: cases whose patients {name} was trained on: {len(known)}, such as {known[0]}")

    def _is_done(self, case: Case) -> bool:
        wanted = self._classes.shown if self._options.save_probabilities else ()
        paths = (probability_path(self._folder, case.name, name) for name in wanted)
        return self._results.is_done(case.name) and all(path.is_file() for path in paths)

    def predict(self, case: Case) -> None:
        """Predict one case, and measure the prediction."""
        classes = self._classes
        remove_maps(self._folder, case.name, classes.shown)  # of an earlier prediction
        began = time.perf_counter()
        images = case.resampled_images(self._trained.description.channels)
        misses_intensities = check_intensities([self._trained], case, images)
        predicted = self._segment(case, images)
        scan, probabilities = predicted.scan, predicted.probabilities
        prediction = keep_components(predicted.labels, self._kept, classes)
        scan.write(prediction, self._results.prediction_path(case.name))
        if self._options.save_probabilities:
            for name, share in zip(classes.shown, probabilities):
                scan.write_map(share, probability_path(self._folder, case.name, name))
        for values in predicted.uncertainty:
            scan.write_map(values, map_path(self._folder, case.name, UNCERTAINTY))
        seconds = time.perf_counter() - began
        reference = case.resampled_classes(classes)
        if reference is not None:
            for values in predicted.uncertainty:
                area = ErrorRanking(argmax(probabilities), reference, case.spacing_mm).area(values)
                self._ranking.add(case.name, [{"map": "uncertainty", "error_ranking": area}])
        truth = reference_labels(case, classes)
        segmentation = Segmentation(scan.array(), prediction, truth, scan.spacing_mm, scan.first_slice_mm)
        measured = Probabilities(probabilities, reference, case.spacing_mm)
        window = picture_window([self._trained], case, images)
        doubt = None if truth is not None else predicted.doubt()
        estimates = predicted.estimates(self._regions)
        result = CaseResult(case.name, segmentation, measured, seconds, misses_intensities, window, doubt, estimates)
        self._results.add(result)

    def _segment(self, case: Case, images: Mapping[str, np.ndarray]) -> Predicted:
        """Predict the resampled `images` of a case, with all components of the prediction."""
        classes = self._classes
        volume, padding_values = normalize(list(images.values()), self._trained.description.normalizations)
        clip = clip_of_run(self._options, case)
        outputs = self._predict(volume, padding_values, clip.computed if clip else None)
        probabilities, uncertainty = outputs[: len(classes)], outputs[len(classes) :]
        scan = Scan.of_case(case)
        labels = scan.decide(probabilities, classes, clip)
        if clip:
            clip.apply(outputs)
        return Predicted(scan, labels, probabilities, uncertainty)

    def _labelled(self, case: Case) -> tuple[np.ndarray, np.ndarray]:
        """Return prediction, with all components, and reference of a case: uint8 labels (z, y, x) on its scan."""
        predicted = self._segment(case, case.resampled_images(self._trained.description.channels))
        return predicted.labels, reference_labels(case, self._classes)

    def report(self) -> None:
        """Merge the measures of all processes, and print a summary."""
        self._results.gather()
        self._ranking.gather()
        self._results.print_summary()
        self._ranking.print_mean("error_ranking", "map", RANKING_TITLE)
        self._trust.write()
        if comparison := self._comparison or ComparisonReport.again(*self._place, self._record):
            comparison.report()
        print(f"report: {write_report(self._folder)}")
