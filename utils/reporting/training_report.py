"""Report of a finished training: a page to look at, and the same figures for programs.

SAVE/<experiment>/report.html
                  summary.json
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import quote

from base.atomic_file import write_text
from base.json_files import write_json
from base.run_files import REPORT, SUMMARY
from utils.pages.page import page, paragraph, section, table
from utils.pages.plain_text import safe
from utils.reporting.provenance import Provenance
from utils.reporting.words import number
from utils.training.progress_page import curves_html, picture_html
from utils.training.validation_picture import ShownPicture

_OVERFITTED = 1.1  # times the lowest validation loss
_SPLITS = ("val", "test", "train")


@dataclass(frozen=True)
class FinishedTraining:
    """A training whose last step is taken.

    Attributes:
        folder: SAVE/<experiment>.
        rows: of its log, one for each validation.
        dice_columns: names of the columns with the Dice of each class.
        record: description of the network and all options (plain values).
        picture: of a validation slice, or None.
    """

    folder: Path
    rows: Sequence[Mapping[str, float | None]]
    dice_columns: Sequence[str]
    record: Mapping
    picture: ShownPicture | None

    @property
    def warnings(self) -> list[str]:
        """What a reader of the report has to know, as sentences."""
        last, found = self.rows[-1], []
        losses = [row["val_loss"] for row in self.rows if row["val_loss"] is not None]
        if losses and losses[-1] > _OVERFITTED * min(losses) > 0:
            best = min(self.rows, key=lambda row: row["val_loss"] if row["val_loss"] is not None else float("inf"))
            found.append(
                f"The validation loss was lowest ({best['val_loss']:.4g}) at iteration {best['iteration']} and is "
                f"{last['val_loss']:.4g} now: the network may be overfitted."
            )
        found += [f"{column} is 0: the class is never found." for column in self.dice_columns if last[column] == 0]
        return found


def write_training_report(training: FinishedTraining) -> Path:
    """Write the report of a training that has at least one validation, and return the path of its page."""
    made = Provenance.now()
    write_json(training.folder / SUMMARY, _summary(training, made))
    write_text(training.folder / REPORT, _page(training, made))
    return training.folder / REPORT


def _summary(training: FinishedTraining, made: Provenance) -> dict:
    """Return the figures of the page as plain values."""
    known = ("architecture", "parameters", "classes", "voxel_size_mm", "iterations", "seed", "data_fingerprint")
    return {
        "experiment": training.folder.name,
        **{key: training.record.get(key) for key in known},
        "training_cases": len(training.record["training_cases"]),
        "validation_cases": len(training.record.get("validation_cases") or ()),
        "last": dict(training.rows[-1]),
        "log": [dict(row) for row in training.rows],
        "warnings": training.warnings,
        "made": asdict(made),
    }


def _page(training: FinishedTraining, made: Provenance) -> str:
    record, last, name = training.record, training.rows[-1], training.folder.name
    kind = "student, trained on soft labels" if record.get("soft_labels") else "network, trained on references"
    facts = f"{record['architecture']}, {kind} · {record['parameters']:,} parameters · {last['iteration']} iterations"
    warnings = "".join(f"<li>{safe(text)}</li>" for text in training.warnings)
    cases = (
        f"{len(record['training_cases'])} training cases, {len(record.get('validation_cases') or ())} validation cases"
    )
    return page(
        f"Training of {name}",
        [
            f"<h1>{safe(name)}</h1>",
            paragraph(facts),
            paragraph(f"{cases}. Written {made.written}.", "small"),
            section("Please note", f"<ul>{warnings}</ul>" if warnings else "", kind="warnings"),
            section("Results of the last validation", _results(training), _links(training)),
            section("Curves", curves_html(training.rows, training.dice_columns)),
            picture_html(training.picture),
            section("How it was made", _made(training, made)),
        ],
    )


def _results(training: FinishedTraining) -> str:
    last = training.rows[-1]
    columns = ("train_loss", "val_loss", *training.dice_columns)
    best = [
        (min if column.endswith("loss") else max)(
            (row[column] for row in training.rows if row[column] is not None), default=None
        )
        for column in columns
    ]
    rows = [[column.replace("_", " "), number(last[column], 4), number(top, 4)] for column, top in zip(columns, best)]
    note = "Dice is that of fixed patches of the validation cases, to follow a training; test the network to report it."
    return table(["", "last", "best"], rows) + paragraph(note, "small")


def _links(training: FinishedTraining) -> str:
    """Return links to the reports of the experiment's own runs."""
    links = [
        f'<a href="{quote(split)}/{REPORT}">{split}</a>'
        for split in _SPLITS
        if (training.folder / split / REPORT).is_file()
    ]
    return f"<p>Reports of its predictions: {', '.join(links)}</p>" if links else ""


def _made(training: FinishedTraining, made: Provenance) -> str:
    record = training.record
    rows = [("last command", made.command), ("folder", str(training.folder))]
    rows.append(("versions", ", ".join(f"{name} {version}" for name, version in made.versions.items())))
    rows.append(("fingerprint of the data", f"SHA-256 {record.get('data_fingerprint')}"))
    given = ((name, value) for name, value in (record.get("options") or {}).items() if value is not None)
    rows += [(name.replace("_", " "), str(value)) for name, value in given]
    body = "".join(f'<tr><td>{safe(name)}</td><td class="long">{safe(text)}</td></tr>\n' for name, text in rows)
    return f"<table>{body}</table>"
