"""A case as a data set holds it."""

from dataclasses import dataclass
from pathlib import Path

from data.case_folder import IMAGE, REFERENCE


@dataclass(frozen=True)
class SourceCase:
    """A case as it was found.

    Attributes:
        image, reference: its files; `reference` None without one.
        split: the split in whose folder it lies; None where it lies in none.
        patient: whose it is, where a patient has several cases; empty where the case is the patient.
        may_be_labels: whether nothing but its place tells that the image is a scan: its values must look like one's.
        problem: why it cannot be read, if that is known already: it is refused, and the others go on.
    """

    name: str
    image: Path
    reference: Path | None
    split: str | None = None
    patient: str = ""
    problem: str = ""
    may_be_labels: bool = False

    @property
    def owner(self) -> str:
        """The patient; the case itself where nothing tells of another."""
        return self.patient or self.name

    @property
    def is_case_folder(self) -> bool:
        """Whether the files lie as later stages expect them."""
        folder = self.image.parent
        files = (self.image.name, self.reference)
        return self.name == folder.name and files in ((IMAGE, None), (IMAGE, folder / REFERENCE))
