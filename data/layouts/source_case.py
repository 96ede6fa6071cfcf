"""A case of a data set, before stage 1."""

from dataclasses import dataclass
from pathlib import Path

from data.case_folder import IMAGE, REFERENCE


@dataclass(frozen=True)
class SourceCase:
    """A case as found in a data set.

    Attributes:
        image, reference: its files; `reference` is None without one.
        split: the split whose folder contains it; None outside of such folders.
        patient: its patient, if patients have several cases; empty if the case is the patient.
        ignore_label: label of voxels that are not annotated in the reference; None if all are, or nobody says so.
        may_be_labels: whether the file could also be a map of labels, so that its values must be checked.
        problem: the reason why it cannot be read, if already known; only this case is refused.
    """

    name: str
    image: Path
    reference: Path | None
    split: str | None = None
    patient: str = ""
    problem: str = ""
    may_be_labels: bool = False
    ignore_label: int | None = None

    @property
    def owner(self) -> str:
        """The patient, or the case itself if no patient is known."""
        return self.patient or self.name

    @property
    def is_case_folder(self) -> bool:
        """True if the files already have the names and folder that later stages expect."""
        folder = self.image.parent
        files = (self.image.name, self.reference)
        return self.name == folder.name and files in ((IMAGE, None), (IMAGE, folder / REFERENCE))
