#!/usr/bin/env python3
"""Stage 4: average networks into soft labels, and measure the ensemble.

    python ensemble.py -d DATA/ -s SAVE/ -e val --receptive-field-size 131 --sample-size 54 --classes 0,3

Without a list, the members are the finished networks in SAVE that fit the given classes, receptive field and sample
size; students are left out. A student needs the soft labels of the training cases: -e train.
"""

import time
from contextlib import ExitStack
from pathlib import Path

from base.errors import InputError
from base.folder_lock import locked
from base.label_classes import parse_classes
from base.regions import regions_of
from base.run_files import ENTROPY, MUTUAL_INFORMATION, map_path, remove_maps
from networks import find_architecture
from utils.cli import arguments
from utils.cli.command_line import OneLineParser, run_stage
from utils.runtime.processes import PATIENCE, Processes

OPTIONAL_MAPS = (ENTROPY, MUTUAL_INFORMATION)


def build_parser() -> OneLineParser:
    parser = OneLineParser(description="Stage 4: average networks into soft labels, and measure the ensemble.")
    arguments.add_data(parser)
    arguments.add_evaluation(parser, "ensemble and what tells its members")
    add_member_options(parser.add_argument_group("members"))
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
    arguments.add_flag(
        parser, "--uncertainty-maps", "write predictive entropy and mutual information of each case, in nats"
    )
    arguments.add_device(parser)
    return parser


def add_member_options(group) -> None:
    group.add_argument("--classes", type=parse_classes, required=True, help="labels of the members, such as 0,1,2")
    group.add_argument("-n", "--network", type=find_architecture, help="their architecture (default: any)")
    group.add_argument(
        "--receptive-field-size", type=arguments.parse_positive_int, help="of theirs, in voxels (default: any)"
    )
    group.add_argument("--sample-size", type=arguments.parse_positive_int, help="of theirs, in voxels (default: any)")
    group.add_argument(
        "--trained-networks",
        type=Path,
        help="file that lists their weights, a path a line (default: what fits in SAVE)",
    )
    group.add_argument(
        "--member-weights",
        choices=("equal", "validation"),
        default="equal",
        help="what each counts; validation: the mean Dice of its last validation",
    )
    arguments.add_flag(group, "--cross-fit", "predict each case with the members that were not trained on it")


def main(args) -> None:
    arguments.check_folders(args)
    if args.clip and args.clip_to:
        raise InputError("--clip-to", "contradicts --clip", "give one of them")
    processes = Processes.of_environment()

    from tqdm import tqdm

    from utils.runtime.devices import choose_device
    from utils.runtime.precision import choose_precision
    from utils.runtime.threads import describe_place, use_threads

    device = choose_device(args.device, processes)
    threads = use_threads(args.threads, processes)
    args.precision = choose_precision(args.precision, device)
    folders = [run_folder(args), soft_labels_folder(args)]
    arguments.check_clip_to(args, folders[0])
    if folders[0].resolve() == folders[1].resolve():
        raise InputError("--soft-labels", f"{folders[1]} is the folder of the run's own results", "name another")
    with ExitStack() as held, processes.together(PATIENCE):
        with processes.first_ahead():
            for folder in folders:
                held.enter_context(locked(folder, processes.is_first))
            run = Run(args, device, processes)
        print(f"predicting {describe_place(device, threads)}")
        mine = processes.share(run.to_do)
        total = sum(len(run.members_of(case)) for case in mine)
        with tqdm(total=total, unit="member and case", disable=not processes.is_first) as bar:
            for case in mine:
                run.average(case, bar)
        processes.wait()
        if processes.is_first:
            run.report()


class Run:
    """One ensemble on the cases of one split.

    Attributes:
        to_do: the cases that are not done.
    """

    def __init__(self, args, device, processes: Processes):
        from data.cases import check_voxel_size, find_cases
        from data.changed_originals import check_originals
        from data.soft_labels import SoftLabels
        from networks.members import member_weights
        from utils.ensembling.leave_one_out import remove_abandoned_stores
        from utils.ensembling.reports import EnsembleReports
        from utils.evaluation.run_results import Evaluation

        cases = find_cases(args.data, args.evaluate)
        self._args = args
        self._device = device
        self._members = find_members(args, cases[0].voxel_size_mm)
        self._predictors = {}  # by experiment; weights are small, and probabilities of one member are there at a time
        self._classes = self._members[0].classes
        self._regions = regions_of(self._classes, args.report_regions)
        for member in self._members:
            check_voxel_size(cases, member.description["voxel_size_mm"], member.path)
        without_reference = [case for case in cases if not case.has_reference]
        if args.clip and without_reference:
            raise InputError("--clip", f"{without_reference[0].folder} has no reference to clip to", "leave --clip out")
        self._weights = member_weights(self._members, args.member_weights)
        for case in cases:
            self.members_of(case)  # there are some

        record = {
            "weights": {member.experiment: member.sha256 for member in self._members},
            "member_weights": self._weights,
            "cross_fit": args.cross_fit,
            "classes": self._classes.to_json(),
            "clip": args.clip,
            **arguments.recorded_inference(args),
        }
        self._folder = run_folder(args)
        networks = {member.experiment: member.summary for member in self._members}
        self._contents = contents = {case.name: case.content for case in cases}
        fingerprints = {case.name: case.fingerprint for case in cases}
        patients = {case.name: case.patient for case in cases}
        clips = arguments.clip_checksums(args, cases)
        measured = (self._regions, args.tolerance_mm)
        self._soft_labels = SoftLabels(soft_labels_folder(args), self._classes)
        soft_record = {key: value for key, value in record.items() if key != "keep_largest"}
        soft_record["temperature"] = args.temperature
        if processes.is_first:  # which may refuse: before earlier results are touched
            self._soft_labels.check(soft_record, args.overwrite)
        self._evaluation = Evaluation(
            self._folder, record, networks, contents, *measured, args.overwrite, processes, clips, patients
        )
        self._soft_labels.begin(soft_record, fingerprints, args.overwrite, clips)
        if processes.is_first:
            remove_abandoned_stores(self._folder)

        self._written_maps = OPTIONAL_MAPS if args.uncertainty_maps else ()
        done = {case.name for case in cases if self._is_done(case)}
        self.to_do = [case for case in cases if case.name not in done]
        if processes.is_first:  # the others are read, which tells
            check_originals(args.save / "cache", [case for case in cases if case.name in done])
        names = [member.experiment for member in self._members]
        self._reports = EnsembleReports(self._folder, names, done, processes)

    def _is_done(self, case) -> bool:
        return (
            self._evaluation.is_done(case.name)
            and self._soft_labels.is_complete(case)
            and all(map_path(self._folder, case.name, name).is_file() for name in self._written_maps)
        )

    def members_of(self, case) -> list:
        """The members that predict a case: those that count something.

        Raises:
            InputError: there is none.
        """
        from networks.members import strangers_to

        members = strangers_to(case.name, case.patient, self._members) if self._args.cross_fit else self._members
        counting = [member for member in members if self._weights[member.experiment]]
        if not counting:
            problem = f"the members for {case.name} have a validation Dice of 0"
            raise InputError("--member-weights", problem, "use equal, or train on")
        return counting

    def average(self, case, bar) -> None:
        """Average what the members predict of a case, and measure it; `bar` counts them."""
        from data.components import keep_largest
        from data.intensity_range import intensity_warning
        from data.predictions import Scan
        from utils.ensembling.leave_one_out import MemberStore
        from utils.ensembling.running_average import EnsembleAverage
        from utils.evaluation.case_measures import Probabilities, Segmentation
        from utils.evaluation.intensity_warning import warn_of_intensities

        remove_maps(self._folder, case.name, self._classes.names)  # of an earlier prediction
        began, keeping = time.perf_counter(), 0.0
        clip = clip_of(self._args, case, self._classes)
        average = EnsembleAverage(self._args.temperature)
        with MemberStore(self._folder) as store:
            image, mask = case.resampled_image(), clip.on_grid if clip else None
            members = self.members_of(case)
            warning, warned = intensity_warning([member.description for member in members], image)
            warn_of_intensities(case.name, warning)
            for member in members:
                probabilities = self._predict(member, image, mask)
                average.add(probabilities, self._weights[member.experiment])
                if case.has_reference:
                    stored = time.perf_counter()
                    store.add(member.experiment, probabilities)
                    keeping += time.perf_counter() - stored
                bar.update()
            scan = Scan(case)
            prediction = scan.decide(average.mean, self._classes)
            if clip:
                prediction[~clip.on_scan] = 0
            prediction = keep_largest(prediction, self._args.keep_largest)
            scan.write(prediction, self._evaluation.prediction_path(case.name))
            seconds = time.perf_counter() - began - keeping  # as of one network: from reading to a written prediction
            self._soft_labels.write(case, average.soft.mean, average.deviation)
            maps = average.uncertainty_maps()
            for name in self._written_maps:
                scan.write_map(maps[name], map_path(self._folder, case.name, name))
            reference = case.resampled_classes(self._classes)
            if reference is not None:
                described = (reference, case.spacing_mm, self._classes.names)
                self._reports.add(case.name, store, self._weights, average.mean, maps, *described)
        self._evaluation.add(
            case.name,
            Segmentation(scan.array(), prediction, scan.reference(self._classes), scan.spacing_mm),
            Probabilities(average.mean, reference, case.spacing_mm),
            seconds,
            warned,
        )

    def _predict(self, member, image, mask):
        """What a member says of a resampled `image`, in `mask` alone if given: float32 (classes, z, y, x)."""
        from data.intensities import Normalization
        from networks.weights import inference_options
        from utils.inference.volumes import predictor_of

        if member.experiment not in self._predictors:
            args = self._args
            settings = {"overlap": args.overlap, "memory_limit_bytes": args.memory_limit * 1e9}
            settings |= {"precision": args.precision, "compiled": args.compile, **inference_options(member.description)}
            self._predictors[member.experiment] = predictor_of(member.build(), self._device, **settings)
        normalization = Normalization.from_json(member.description["normalization"])
        return self._predictors[member.experiment](*normalization.apply(image), mask)[: len(member.classes)]

    def report(self) -> None:
        """Put together what all processes measured, and print a summary."""
        from utils.ensembling.reports import print_mean_dice

        self._evaluation.gather()
        self._reports.gather()
        print(f"soft labels: {self._soft_labels.folder}")
        self._evaluation.print_summary()
        self._reports.print_means()
        split, save = self._args.evaluate, self._args.save
        folders = {member.experiment: save / member.experiment / split for member in self._members}
        print_mean_dice({"ensemble": self._folder} | folders, self._regions, self._contents)


def run_folder(args) -> Path:
    """Where the results go."""
    return args.save / (args.run or run_name(args)) / args.evaluate


def soft_labels_folder(args) -> Path:
    """Where the soft labels go."""
    from data.soft_labels import soft_label_folder

    return (args.soft_labels or soft_label_folder(args.save, args.classes)) / args.evaluate


def run_name(args) -> str:
    parts = ["ensemble", f"c{args.classes.folder_name.replace('_', '-')}"]
    if args.network:
        parts.append(args.network.name)
    if args.receptive_field_size:
        parts.append(f"rf{args.receptive_field_size}")
    if args.sample_size:
        parts.append(f"s{args.sample_size}")
    if args.cross_fit:
        parts.append("crossfit")
    return "_".join(parts)


def find_members(args, voxel_size_mm) -> list:
    """The networks to average: those listed, or those in SAVE that fit. Prints whom it takes."""
    from networks.members import check_together, fitting_members, listed_members

    architecture = args.network and args.network.name
    if args.trained_networks:
        members = listed_members(args.trained_networks)
        for member in members:
            member.check("--network", "architecture", architecture)
            member.check("--receptive-field-size", "receptive_field", args.receptive_field_size)
            member.check("--sample-size", "sample_size", args.sample_size)
            member.check_classes(args.classes)
    else:
        sizes = (architecture, args.receptive_field_size, args.sample_size)
        members = fitting_members(args.save, args.classes, voxel_size_mm, *sizes)
    check_together(members)
    print(f"{len(members)} members:")
    for member in members:
        print(f"  {member.path}")
    return members


def clip_of(args, case, classes):
    """The masks to which foreground is clipped; None for nowhere."""
    from data.clipping import clip_of_prediction, clip_of_reference

    if args.clip_to:
        return clip_of_prediction(arguments.prediction_of(args, case.name), case)
    return clip_of_reference(case, classes) if args.clip else None


if __name__ == "__main__":
    run_stage(build_parser, main)
