#!/usr/bin/env python3
"""Stage 3: predict the cases of a split with one network, and measure the predictions.

    python testing_network.py -d DATA/ -s SAVE/ -r nameofexperiment -n dil2D -e val \\
           --network-weights /path/to/network/weights/FINAL*100000.pth --receptive-field-size 131 --classes 0,3

Predictions lie on the exact grid of each imaging.nii.gz. What the weights say of themselves need not be said again;
options that contradict them are refused. Cases that are done are skipped.
"""

import time

from base.label_classes import parse_classes
from base.regions import regions_of
from networks import find_architecture
from utils import arguments
from utils.command_line import OneLineParser, run_stage


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
    arguments.add_device(parser)
    return parser


def main(args) -> None:
    arguments.check_folders(args)
    weights_path = arguments.one_file("--network-weights", args.network_weights)

    from tqdm import tqdm

    from data.cases import check_voxel_size, find_cases
    from data.components import keep_largest
    from data.intensities import Normalization
    from data.predictions import Scan
    from networks.weights import load_weights
    from utils.case_measures import Probabilities, Segmentation
    from utils.devices import choose_device
    from utils.evaluation import Evaluation
    from utils.inference import VolumePredictor

    device = choose_device(args.device)
    trained = load_weights(weights_path)
    trained.check("--network", "architecture", args.network and args.network.name)
    trained.check("--receptive-field-size", "receptive_field", args.receptive_field_size)
    trained.check_classes(args.classes)
    classes = trained.classes
    regions = regions_of(classes, args.report_regions)
    cases = find_cases(args.data, args.evaluate)
    check_voxel_size(cases, trained.description["voxel_size_mm"], weights_path)

    folder = args.save / (args.run or trained.experiment) / args.evaluate
    record = {
        "weights": {trained.experiment: trained.sha256},
        "classes": classes.to_json(),
        "keep_largest": args.keep_largest,
    }
    fingerprints = {case.name: case.fingerprint for case in cases}
    evaluation = Evaluation(folder, record, fingerprints, regions, args.tolerance_mm, args.overwrite)
    normalization = Normalization.from_json(trained.description["normalization"])
    predict = VolumePredictor(trained.build(), trained.margin, trained.description["planes"], len(classes), device)
    probability_folder = folder if args.save_probabilities else None

    for case in tqdm([case for case in cases if not evaluation.is_done(case.name)], "predicting", unit="case"):
        began = time.perf_counter()
        probabilities = predict(*normalization.apply(case.resampled_image()))
        scan = Scan(case)
        prediction = keep_largest(scan.decide(probabilities, classes, probability_folder), args.keep_largest)
        scan.write(prediction, evaluation.prediction_path(case.name))
        seconds = time.perf_counter() - began
        evaluation.add(
            case.name,
            Segmentation(scan.array(), prediction, scan.reference(classes), scan.spacing_mm),
            Probabilities(probabilities, case.resampled_classes(classes), case.spacing_mm),
            seconds,
        )
    evaluation.print_summary()


if __name__ == "__main__":
    run_stage(build_parser, main)
