#!/usr/bin/env python3
"""Stage 4: average networks into soft labels, and measure the ensemble.

    python ensemble.py -d DATA/ -s SAVE/ -e val --receptive-field-size 131 --sample-size 54 --classes 0,3

Without a list, the members are the finished networks in SAVE that fit the given classes, receptive field and sample
size; students are left out. A student needs the soft labels of the training cases: -e train.
"""

import time
from pathlib import Path

from base.errors import InputError
from base.label_classes import parse_classes
from base.regions import regions_of
from utils import arguments
from utils.command_line import OneLineParser, run_stage


def build_parser() -> OneLineParser:
    parser = OneLineParser(description="Stage 4: average networks into soft labels, and measure the ensemble.")
    arguments.add_data(parser)
    arguments.add_evaluation(parser, "ensemble and the classes, receptive field and sample size that were given")
    parser.add_argument("--receptive-field-size", type=arguments.parse_positive_int, help="of the members, in voxels")
    parser.add_argument("--sample-size", type=arguments.parse_positive_int, help="of the members, in voxels")
    parser.add_argument("--classes", type=parse_classes, required=True, help="labels of the members, such as 0,1,2")
    parser.add_argument("--trained-networks", type=Path, help="file that lists the members' weights, a path a line")
    arguments.add_flag(
        parser, "--clip", "give foreground outside the reference's foreground to the background, in soft labels too"
    )
    parser.add_argument(
        "--temperature",
        type=arguments.parse_positive_number,
        default=1.0,
        help="of the soft labels: softmax(logits / T)",
    )
    parser.add_argument("--soft-labels", type=Path, help="where to write them (default: SAVE/soft_labels/<classes>)")
    arguments.add_device(parser)
    return parser


def main(args) -> None:
    arguments.check_folders(args)

    from tqdm import tqdm

    from data.cases import check_voxel_size, find_cases
    from data.components import keep_largest
    from data.predictions import Scan
    from data.soft_labels import SoftLabels, soft_label_folder
    from utils.case_measures import Probabilities, Segmentation
    from utils.devices import choose_device
    from utils.evaluation import Evaluation

    device = choose_device(args.device)
    members = find_members(args)
    classes = members[0].classes
    regions = regions_of(classes, args.report_regions)
    cases = find_cases(args.data, args.evaluate)
    for member in members:
        check_voxel_size(cases, member.description["voxel_size_mm"], member.path)
    without_reference = [case for case in cases if not case.has_reference]
    if args.clip and without_reference:
        raise InputError("--clip", f"{without_reference[0].folder} has no reference to clip to", "leave --clip out")

    record = {
        "weights": {member.experiment: member.sha256 for member in members},
        "classes": classes.to_json(),
        "clip": args.clip,
    }
    folder = args.save / (args.run or run_name(args)) / args.evaluate
    fingerprints = {case.name: case.fingerprint for case in cases}
    prediction_record = {**record, "keep_largest": args.keep_largest}
    evaluation = Evaluation(folder, prediction_record, fingerprints, regions, args.tolerance_mm, args.overwrite)
    root = args.soft_labels / args.evaluate if args.soft_labels else None
    soft_labels = SoftLabels(root or soft_label_folder(args.save, classes, args.evaluate), classes)
    soft_labels.begin({**record, "temperature": args.temperature}, fingerprints, args.overwrite)

    todo = [case for case in cases if not (evaluation.is_done(case.name) and soft_labels.is_complete(case))]
    with tqdm(total=len(todo) * len(members), desc="averaging", unit="member and case") as bar:
        for case in todo:
            began = time.perf_counter()
            mean, soft = average_members(members, case, args, device, bar)
            soft_labels.write(case, soft.mean, soft.deviation())
            scan = Scan(case)
            reference = scan.reference(classes)
            prediction = scan.decide(mean, classes)
            if args.clip:
                prediction[reference == 0] = 0
            prediction = keep_largest(prediction, args.keep_largest)
            scan.write(prediction, evaluation.prediction_path(case.name))
            seconds = time.perf_counter() - began
            evaluation.add(
                case.name,
                Segmentation(scan.array(), prediction, reference, scan.spacing_mm),
                Probabilities(mean, case.resampled_classes(classes), case.spacing_mm),
                seconds,
            )
    print(f"soft labels: {soft_labels.folder}")
    evaluation.print_summary()
    print_beside_members(args, members, evaluation.folder, regions)


def run_name(args) -> str:
    parts = ["ensemble", f"c{args.classes.folder_name.replace('_', '-')}"]
    if args.receptive_field_size:
        parts.append(f"rf{args.receptive_field_size}")
    if args.sample_size:
        parts.append(f"s{args.sample_size}")
    return "_".join(parts)


def find_members(args) -> list:
    """The networks to average: those listed, or those in SAVE that fit. Prints whom it takes."""
    from networks.weights import load_weights

    if args.trained_networks:
        if not args.trained_networks.is_file():
            raise InputError(args.trained_networks, "there is no such file", "check --trained-networks")
        lines = args.trained_networks.read_text(encoding="utf-8").splitlines()
        members = [load_weights(Path(line.strip())) for line in lines if line.strip()]
        for member in members:
            member.check("--receptive-field-size", "receptive_field", args.receptive_field_size)
            member.check("--sample-size", "sample_size", args.sample_size)
            member.check_classes(args.classes)
    else:
        found = [load_weights(path) for path in sorted(args.save.glob("*/FINAL_*.pth"))]
        members = [member for member in found if fits(member, args)]
    if not members:
        raise InputError(args.save, "no finished network fits the options", "train some, or check --classes and sizes")
    experiments = [member.experiment for member in members]
    for member in members:
        if member.classes != members[0].classes:
            raise InputError(
                member.path, "has other classes than the first member", "list networks of the same classes"
            )
        if experiments.count(member.experiment) > 1:
            raise InputError(member.path, "the experiment is there twice", "list each member once")
    print(f"{len(members)} members:")
    for member in members:
        print(f"  {member.path}")
    return members


def fits(member, args) -> bool:
    description = member.description
    return (
        not member.is_student
        and member.classes.names == args.classes.names
        and args.receptive_field_size in (None, description["receptive_field"])
        and args.sample_size in (None, description["sample_size"])
    )


def average_members(members, case, args, device, bar):
    """Mean probabilities of the members on the resampled grid, and the moments of the soft labels.

    One member's network and probabilities are in memory at a time.
    """
    from data.intensities import Normalization
    from data.soft_labels import RunningMoments, clip_to, soften
    from utils.inference import VolumePredictor

    image = case.resampled_image()
    foreground = case.resampled_classes(members[0].classes) > 0 if args.clip else None
    plain, soft = RunningMoments(), RunningMoments()
    for member in members:
        description = member.description
        predict = VolumePredictor(member.build(), member.margin, description["planes"], len(member.classes), device)
        probabilities = predict(*Normalization.from_json(description["normalization"]).apply(image))
        if foreground is not None:
            probabilities = clip_to(foreground, probabilities)
        soft.add(soften(probabilities, args.temperature))
        if args.temperature != 1:
            plain.add(probabilities)
        bar.update()
    return (soft if args.temperature == 1 else plain).mean, soft


def print_beside_members(args, members, folder: Path, regions) -> None:
    """Print the mean Dice of the ensemble beside that of each member that testing_network.py measured on this split.

    A region that a member was not measured on is a dash.
    """
    from utils.evaluation import read_metrics, summarise_measure

    print(f"\n{'mean Dice':>12} " + " ".join(f"class {region.name:>6}" for region in regions))
    folders = {"ensemble": folder} | {m.experiment: args.save / m.experiment / args.evaluate for m in members}
    for name, place in folders.items():
        rows = read_metrics(place)
        summaries = [summarise_measure(rows, region.name, "dice") for region in regions]
        if any(summaries):
            means = (f"{summary.mean:12.4f}" if summary else f"{'-':>12}" for summary in summaries)
            print(f"{'':>12} {' '.join(means)}  {name}")
        else:
            print(f"{'':>12} {'not measured: run testing_network.py':>12}  {name}")


if __name__ == "__main__":
    run_stage(build_parser, main)
