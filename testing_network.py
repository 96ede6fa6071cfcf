#!/usr/bin/env python3
"""Stage 3: predict the cases of a split with one network, and measure the predictions.

    python testing_network.py -d DATA/ -s SAVE/ -r nameofexperiment -n dil2D -e val \\
           --network-weights /path/to/network/weights/FINAL*100000.pth --receptive-field-size 131 --classes 0,3

Predictions lie on the exact grid of each imaging.nii.gz. What the weights say of themselves need not be said again;
options that contradict them are refused. Cases that are done are skipped. With --compare, the results are held against
those of other runs on the same split.
"""

import time
from contextlib import ExitStack
from pathlib import Path

from base.folder_lock import locked
from base.label_classes import parse_classes
from base.regions import regions_of
from base.run_files import RANKINGS, UNCERTAINTY, map_path, probability_path, remove_maps
from networks import find_architecture
from utils.cli import arguments
from utils.cli.command_line import OneLineParser, run_stage
from utils.runtime.processes import PATIENCE, Processes


def build_parser() -> OneLineParser:
    parser = OneLineParser(description="Stage 3: predict the cases of a split with one network, and measure.")
    arguments.add_data(parser)
    arguments.add_evaluation(parser, "the experiment's name")
    parser.add_argument("-n", "--network", type=find_architecture, help="architecture (default: the weights')")
    parser.add_argument(
        "--network-weights", nargs="+", required=True, metavar="FILE", help="weights: a path, or a glob of one file"
    )
    parser.add_argument(
        "--receptive-field-size", type=arguments.parse_positive_int, help="in voxels (default: the weights')"
    )
    parser.add_argument("--classes", type=parse_classes, help="labels (default: the weights')")
    arguments.add_flag(parser, "--save-probabilities", "write each class's probability on the scan's grid")
    arguments.add_comparison(parser)
    arguments.add_device(parser)
    return parser


def main(args) -> None:
    arguments.check_folders(args)
    arguments.settle_comparison(args)
    weights_path = arguments.one_file("--network-weights", args.network_weights)
    processes = Processes.of_environment()

    from tqdm import tqdm

    from networks.weights import load_weights
    from utils.runtime.devices import choose_device
    from utils.runtime.precision import choose_precision
    from utils.runtime.threads import describe_place, use_threads

    device = choose_device(args.device, processes)
    threads = use_threads(args.threads, processes)
    args.precision = choose_precision(args.precision, device)
    trained = load_weights(weights_path)
    folder = args.save / (args.run or trained.experiment) / args.evaluate
    arguments.check_clip_to(args, folder)
    with ExitStack() as held, processes.together(PATIENCE):
        with processes.first_ahead():
            held.enter_context(locked(folder, processes.is_first))
            run = Run(args, trained, folder, device, processes)
        print(f"predicting {describe_place(device, threads)}")
        for case in tqdm(processes.share(run.to_do), "predicting", unit="case", disable=not processes.is_first):
            run.predict(case)
        processes.wait()
        if processes.is_first:
            run.report()


class Run:
    """One network on the cases of one split.

    Attributes:
        to_do: the cases that are not done.
    """

    def __init__(self, args, trained, folder: Path, device, processes: Processes):
        from data.cases import check_voxel_size, find_cases
        from data.changed_originals import check_originals
        from data.intensities import Normalization
        from networks.members import knows
        from networks.weights import inference_options
        from utils.comparison.report import ComparisonReport, remove_comparison
        from utils.ensembling.reports import RANKING_COLUMNS
        from utils.evaluation.case_table import CaseTable
        from utils.evaluation.run_results import Evaluation, definition_of
        from utils.inference.volumes import predictor_of

        trained.check("--network", "architecture", args.network and args.network.name)
        trained.check("--receptive-field-size", "receptive_field", args.receptive_field_size)
        trained.check_classes(args.classes)
        cases = find_cases(args.data, args.evaluate)
        check_voxel_size(cases, trained.description["voxel_size_mm"], trained.path)

        known = [case.name for case in cases if knows(trained.description, case.name, case.patient)]
        if known and args.evaluate != "train":
            print(f"note: cases whose patients {trained.experiment} was trained on: {len(known)}, such as {known[0]}")

        self._args = args
        self._classes = trained.classes
        name = args.run or trained.experiment
        self._folder = folder
        record = {
            "weights": {trained.experiment: trained.sha256},
            "classes": trained.classes.to_json(),
            **arguments.recorded_inference(args),
        }
        networks = {trained.experiment: trained.summary}
        contents = {case.name: case.content for case in cases}
        patients = {case.name: case.patient for case in cases}
        clips = arguments.clip_checksums(args, cases)
        measured = (regions_of(trained.classes, args.report_regions), args.tolerance_mm)
        self._comparison = None
        if args.compare and processes.is_first:  # which may refuse: before earlier results are touched
            measured_by = {"tolerance_mm": args.tolerance_mm, "surface_dice": definition_of(folder, args.overwrite)}
            compared = record | measured_by | {"cases": contents}
            self._comparison = ComparisonReport(args.save, name, args.evaluate, args.compare, compared)
        self._evaluation = Evaluation(
            self._folder, record, networks, contents, *measured, args.overwrite, processes, clips, patients
        )
        wanted = trained.classes.names if args.save_probabilities else ()
        done = {
            case.name
            for case in cases
            if self._evaluation.is_done(case.name)
            and all(probability_path(self._folder, case.name, name).is_file() for name in wanted)
        }
        self.to_do = [case for case in cases if case.name not in done]
        if processes.is_first:  # the others are read, which tells
            check_originals(args.save / "cache", [case for case in cases if case.name in done])
        if self.to_do and processes.is_first:
            remove_comparison(self._folder)
        self._ranking = CaseTable(self._folder / RANKINGS, RANKING_COLUMNS, done, processes)
        self._description = trained.description
        self._normalization = Normalization.from_json(trained.description["normalization"])
        self._predict = predictor_of(
            trained.build(),
            device,
            **inference_options(trained.description),
            overlap=args.overlap,
            memory_limit_bytes=args.memory_limit * 1e9,
            precision=args.precision,
            compiled=args.compile,
        )

    def predict(self, case) -> None:
        """Predict one case, and measure the prediction."""
        from base.argmax import argmax
        from data.clipping import clip_of_prediction
        from data.components import keep_largest
        from data.intensity_range import intensity_warning
        from data.predictions import Scan
        from utils.evaluation.case_measures import Probabilities, Segmentation
        from utils.evaluation.error_ranking import ErrorRanking
        from utils.evaluation.intensity_warning import warn_of_intensities

        args, classes = self._args, self._classes
        remove_maps(self._folder, case.name, classes.names)  # of an earlier prediction
        began = time.perf_counter()
        image = case.resampled_image()
        warning, warned = intensity_warning([self._description], image)
        warn_of_intensities(case.name, warning)
        image, outside = self._normalization.apply(image)
        clip = None
        if args.clip_to:
            clip = clip_of_prediction(arguments.prediction_of(args, case.name), case)
        outputs = self._predict(image, outside, clip.on_grid if clip else None)
        probabilities, uncertainty = outputs[: len(classes)], outputs[len(classes) :]
        scan = Scan(case)
        prediction = scan.decide(probabilities, classes, self._folder if args.save_probabilities else None)
        if clip:
            prediction[~clip.on_scan] = 0
        prediction = keep_largest(prediction, args.keep_largest)
        scan.write(prediction, self._evaluation.prediction_path(case.name))
        for values in uncertainty:
            scan.write_map(values, map_path(self._folder, case.name, UNCERTAINTY))
        seconds = time.perf_counter() - began
        reference = case.resampled_classes(classes)
        if reference is not None:
            for values in uncertainty:
                area = ErrorRanking(argmax(probabilities), reference, case.spacing_mm).area(values)
                self._ranking.add(case.name, [{"map": "uncertainty", "error_ranking": area}])
        self._evaluation.add(
            case.name,
            Segmentation(scan.array(), prediction, scan.reference(classes), scan.spacing_mm),
            Probabilities(probabilities, reference, case.spacing_mm),
            seconds,
            warned,
        )

    def report(self) -> None:
        """Put together what all processes measured, and print a summary."""
        from utils.ensembling.reports import RANKING_TITLE

        self._evaluation.gather()
        self._ranking.gather()
        self._evaluation.print_summary()
        self._ranking.print_mean("error_ranking", "map", RANKING_TITLE)
        if self._comparison:
            self._comparison.report(self._args.margin)


if __name__ == "__main__":
    run_stage(build_parser, main)
