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
    from data.clipping import clip_of_prediction
    from data.components import keep_largest
    from data.intensities import Normalization
    from data.predictions import Scan, probability_path
    from networks.weights import inference_options, load_weights
    from utils.case_measures import Probabilities, Segmentation
    from utils.decisions import decide
    from utils.devices import choose_device
    from utils.ensemble_reports import RANKING_COLUMNS, RANKING_TITLE
    from utils.evaluation import Evaluation
    from utils.inference import predictor_of
    from utils.tables import CaseTable
    from utils.uncertainty import ErrorRanking

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
        **arguments.recorded_inference(args),
    }
    fingerprints = {case.name: case.fingerprint for case in cases}
    evaluation = Evaluation(folder, record, fingerprints, regions, args.tolerance_mm, args.overwrite)
    wanted = classes.names if args.save_probabilities else ()
    done = {
        case.name
        for case in cases
        if evaluation.is_done(case.name) and all(probability_path(folder, case.name, name).is_file() for name in wanted)
    }
    ranking = CaseTable(folder / "uncertainty.csv", RANKING_COLUMNS, done)
    normalization = Normalization.from_json(trained.description["normalization"])
    predict = predictor_of(
        trained.build(),
        device,
        **inference_options(trained.description),
        overlap=args.overlap,
        memory_limit_bytes=args.memory_limit * 1e9,
    )

    for case in tqdm([case for case in cases if case.name not in done], "predicting", unit="case"):
        began = time.perf_counter()
        image, outside = normalization.apply(case.resampled_image())
        clip = None
        if args.clip_to:
            clip = clip_of_prediction(arguments.prediction_of(args, case.name), case)
        outputs = predict(image, outside, clip.on_grid if clip else None)
        probabilities, uncertainty = outputs[: len(classes)], outputs[len(classes) :]
        scan = Scan(case)
        prediction = scan.decide(probabilities, classes, folder if args.save_probabilities else None)
        if clip:
            prediction[~clip.on_scan] = 0
        prediction = keep_largest(prediction, args.keep_largest)
        scan.write(prediction, evaluation.prediction_path(case.name))
        reference = case.resampled_classes(classes)
        for values in uncertainty:
            scan.write_map(values, folder / f"{case.name}_uncertainty.nii.gz")
            if reference is not None:
                area = ErrorRanking(decide(probabilities), reference, case.spacing_mm).area(values)
                ranking.add(case.name, [{"map": "uncertainty", "error_ranking": area}])
        seconds = time.perf_counter() - began
        evaluation.add(
            case.name,
            Segmentation(scan.array(), prediction, scan.reference(classes), scan.spacing_mm),
            Probabilities(probabilities, reference, case.spacing_mm),
            seconds,
        )
    evaluation.print_summary()
    ranking.print_mean("error_ranking", "map", RANKING_TITLE)


if __name__ == "__main__":
    run_stage(build_parser, main)
