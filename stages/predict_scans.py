"""Predict scans, one after another, and report their volumes: the story of predict.py."""

import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path

import SimpleITK as sitk
from tqdm import tqdm

from base.errors import InputError, one_line
from base.folder_lock import locked
from base.run_files import UNCERTAINTY, map_path, overlay_path, prediction_path, probability_path
from base.version import VERSION, versions
from data.images.image_geometry import Placement
from data.scan_files import ScanSource, absolute, find_scans
from stages.engines import LoadedNetwork
from stages.network_groups import NetworkGroup
from stages.predictor import Prediction, Predictor
from stages.scan_options import ScanPredictionOptions
from stages.scan_record import ScanEntry, ScanRecord
from stages.scans_ahead import ScansAhead
from utils.cli.options import recorded_options
from utils.ensembling.entropy import entropy
from utils.evaluation.shown_slices import DoubtMap

ReadScan = tuple[dict[str, sitk.Image], Placement | None]  # see `ScanSource.read`
HashedScan = tuple[str, dict[str, sitk.Image], Placement | None]  # its SHA-256 first

_PACKAGES = ("numpy", "SimpleITK")
_NOT_RECORDED = ("input", "output", "weights", "within")  # inputs and networks are known by their content


def predict_scans(options: ScanPredictionOptions) -> None:
    """Predict the scans that are not finished.

    Raises:
        InputError: networks do not suit the options, there is no scan, or some could not be predicted.
    """
    folder = None if options.output_file else options.output
    found = find_scans(options.input, without=folder)
    if options.output_file and len(found.scans) > 1:
        problem = f"names one label map, and there are {len(found.scans)} scans"
        raise InputError(options.output, problem, "name a folder with -o")
    if options.output_file and options.output_file.exists():
        files = {path.resolve() for path in (*found.scans[0].images.values(), *found.scans[0].series)}
        if options.output_file.resolve() in files:
            raise InputError(options.output, "is the scan itself", "name another file with -o")
        if not options.overwrite:
            raise InputError(options.output, "exists already", "name another file with -o, or --overwrite")
    if found.note():
        print(found.note())
    finished = ()
    if folder:
        ScanRecord.refuse_other_folder(folder)
        finished = () if options.overwrite else ScanRecord.read(folder).scans
    with ScansAhead(found.scans, _read_hashed if folder else ScanSource.read, finished) as ahead:
        predictor = Predictor(options.weights, options.within, options)
        for note in predictor.notes:
            print(note)
        if folder is None:
            _predict_one(predictor, ahead, found.scans[0], options.output_file)
            return
        with locked(folder):
            ScanRun(options, predictor, folder).predict(found.scans, ahead)


def _read_hashed(source: ScanSource) -> HashedScan:
    """Read a scan after its SHA-256: if its files change in between, the record does not vouch for the new ones."""
    return source.sha256(), *source.read()


def _predict_one(predictor: Predictor, ahead: ScansAhead[ReadScan], source: ScanSource, path: Path) -> None:
    """Predict one scan, and write its label map alone."""
    images, placement = ahead.read(source)
    prediction = predictor.predict(images, placement, source.path)
    _warn(source, prediction)
    prediction.scan.write(prediction.labels, path)
    dice = {name: asdict(one) for name, one in prediction.predicted_dice.items()}
    print(_volumes(source.name, prediction.volumes_ml, dice))


class ScanRun:
    """Prediction of scans into a folder."""

    def __init__(self, options: ScanPredictionOptions, predictor: Predictor, folder: Path):
        self._options = options
        self._predictor = predictor
        self._folder = folder
        self._record = ScanRecord.read(folder)
        networks, first = predictor.group.networks, predictor.first.networks if predictor.first else []
        recorded = {key: value for key, value in recorded_options(options).items() if key not in _NOT_RECORDED}
        self._made_with = {
            "weights": _hashes(networks),
            "within": _hashes(first),
            "classes": predictor.classes.to_json(),
            "options": {
                **recorded,
                "keep_largest": predictor.kept,
                **({"keep_largest_within": predictor.kept_first} if predictor.kept_first else {}),
                **_unequal(predictor.group),
                **_lines(predictor),
            },
        }
        engines = sorted({network.engine for network in (*networks, *first)})
        self._versions = {"program": VERSION, **versions((*_PACKAGES, *engines))}
        self._gives_uncertainty = len(networks) > 1 or networks[0].description.predicts_uncertainty
        if options.save_uncertainty and not self._gives_uncertainty:
            print(
                "note: no uncertainty is written: a single network gives one only if it is a student that predicts it"
            )
        self._draws = find_spec("matplotlib") is not None
        if not self._draws:
            print("note: no overlays are drawn, as matplotlib is not installed")

    def predict(self, sources: list[ScanSource], ahead: ScansAhead[HashedScan]) -> None:
        """Predict the scans that are not finished, and write tables of all.

        Raises:
            InputError: some could not be predicted.
        """
        print(f"predicting {self._predictor.place}")
        failed, skipped = [], 0
        for source in tqdm(sources, "predicting", unit="scan"):
            try:
                skipped += self._predict(source, ahead)
            except (InputError, OSError) as error:
                failed.append(source.name)
                tqdm.write(f"error: {' '.join(one_line(error).split())}", file=sys.stderr)
        for source in sources:
            if entry := self._record.scans.get(source.name):
                print(_volumes(source.name, entry.volumes_ml, entry.predicted_dice))
        print(f"{len(sources) - skipped - len(failed)} predicted, {skipped} done before, {len(failed)} failed")
        if failed:
            some = ", ".join(failed[:3]) + (f" and {len(failed) - 3} more" if len(failed) > 3 else "")
            raise InputError(self._folder, f"holds no prediction of {some}", "see the lines above")

    def _predict(self, source: ScanSource, ahead: ScansAhead[HashedScan]) -> bool:
        """Predict a scan unless it is finished; return whether it was."""
        if not self._options.overwrite:
            if self._is_done(source):
                return True
            self._refuse_other_scan(source)
        self._withdraw(source.name)
        began = time.perf_counter()
        sha256, images, placement = ahead.read(source)
        prediction = self._predictor.predict(images, placement, source.path)
        _warn(source, prediction)
        self._record.begin()
        prediction.scan.write(prediction.labels, prediction_path(self._folder, source.name))
        seconds = time.perf_counter() - began
        self._write_more(source.name, prediction)
        entry = ScanEntry(
            str(absolute(source.path)),
            sha256,
            self._made_with,
            self._versions,
            round(seconds, 3),
            list(prediction.warnings),
            prediction.volumes_ml,
            {name: asdict(one) for name, one in prediction.predicted_dice.items()},
        )
        self._record.add(source.name, entry)
        return False

    def _is_done(self, source: ScanSource) -> bool:
        entry = self._record.scans.get(source.name)
        same = entry is not None and entry.sha256 == source.sha256() and entry.made_with == self._made_with
        return same and all(path.is_file() for path in self._wanted(source.name))

    def _wanted(self, name: str) -> list[Path]:
        """Return the images that are written of a scan."""
        paths = [prediction_path(self._folder, name)]
        if self._options.save_probabilities:
            paths += [probability_path(self._folder, name, title) for title in self._predictor.classes.shown]
        if self._gives_uncertainty and self._options.save_uncertainty:
            paths.append(map_path(self._folder, name, UNCERTAINTY))
        return paths

    def _refuse_other_scan(self, source: ScanSource) -> None:
        """Raise InputError if the results of another scan have the name of this one: they would be replaced."""
        entry = self._record.scans.get(source.name)
        earlier = Path(entry.input) if entry else absolute(source.path)
        is_other_place = earlier.is_absolute() and earlier != absolute(source.path)  # earlier versions: not absolute
        if is_other_place and entry.sha256 != source.sha256():
            problem = f"is called {source.name}, as is {earlier}, whose results are in {self._folder}"
            raise InputError(source.path, problem, "rename it, name another folder with -o, or --overwrite")

    def _withdraw(self, name: str) -> None:
        """Remove the files of an earlier prediction, recorded or killed: this one might not write all of them.

        The record is last: killed in between, the scan is not finished, and what remains is removed next time.
        """
        entry = self._record.scans.get(name)
        titles = {*self._predictor.classes.shown, *(entry.class_names if entry else ())}
        paths = [prediction_path(self._folder, name), overlay_path(self._folder, name)]
        paths.append(map_path(self._folder, name, UNCERTAINTY))
        for path in [*paths, *(probability_path(self._folder, name, title) for title in titles)]:
            path.unlink(missing_ok=True)
        if entry:
            self._record.remove(name)

    def _write_more(self, name: str, prediction: Prediction) -> None:
        """Write the maps that the options ask for, and the overlay."""
        scan, classes = prediction.scan, prediction.classes
        if self._options.save_probabilities:
            for title, share in zip(classes.shown, prediction.probabilities):
                scan.write_map(share, probability_path(self._folder, name, title))
        if self._options.save_uncertainty and prediction.uncertainty is not None:
            scan.write_map(prediction.uncertainty, map_path(self._folder, name, UNCERTAINTY))
        if self._draws:
            from utils.evaluation.case_measures import Segmentation
            from utils.evaluation.overlay import ShownCase, plot_overlay

            segmentation = Segmentation(scan.array(), prediction.labels, None, scan.spacing_mm, scan.first_slice_mm)
            foreground = list(zip(classes.shown, classes.written_labels))[1:]
            doubt = _doubt(prediction)
            group = self._predictor.group
            run = group.run or ", ".join(network.description.experiment for network in group.networks)
            shown = ShownCase(name, run, segmentation, foreground, (), prediction.window, doubt)
            plot_overlay(overlay_path(self._folder, name), shown)


def _hashes(networks: Sequence[LoadedNetwork]) -> dict[str, str]:
    """Return the SHA-256 of each network by its experiment; of two with one name, the second gets a number."""
    hashes: dict[str, str] = {}
    for number, network in enumerate(networks, start=1):
        name = network.description.experiment
        hashes[f"{name} ({number})" if name in hashes else name] = network.sha256
    return hashes


def _unequal(group: NetworkGroup) -> dict[str, list[float]]:
    """Return the weights of an ensemble's members where they differ."""
    return {} if len(set(group.weights)) == 1 else {"member_weights": group.weights}


def _lines(predictor: Predictor) -> dict[str, dict]:
    """Return what turns estimates of the Dice into predictions of it; nothing if none is predicted."""
    calibration = predictor.calibration
    if calibration is None:
        return {}
    lines = {name: asdict(line) for name, line in calibration.lines.items()}
    return {"predicted_dice": {"estimator": calibration.estimator, "lines": lines}}


def _doubt(prediction: Prediction) -> DoubtMap:
    """Return where a prediction is doubtful, on the scan's grid."""
    nearest = prediction.scan.nearest_voxels
    if prediction.uncertainty is not None:
        return DoubtMap("uncertainty", prediction.uncertainty, nearest)
    return DoubtMap("entropy", entropy(prediction.probabilities), nearest)


def _warn(source: ScanSource, prediction: Prediction) -> None:
    for warning in prediction.warnings:
        tqdm.write(f"warning: {source.name}: {warning}", file=sys.stderr)


def _volumes(name: str, volumes_ml: Mapping[str, float], predicted_dice: Mapping[str, Mapping]) -> str:
    """Return the volumes of a scan as a line, with the predicted Dice of each class where there is one."""
    parts = []
    for title, volume in volumes_ml.items():
        dice = predicted_dice.get(title)
        low = f", 90% lower bound {dice['low']:.2f}" if dice and dice["low"] is not None else ""
        parts.append(f"{title} {volume:.4g} ml" + (f" (predicted Dice {dice['dice']:.2f}{low})" if dice else ""))
    return f"{name}: {', '.join(parts)}"
