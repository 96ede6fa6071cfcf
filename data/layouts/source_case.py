"""A case of a data set, before stage 1."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from base.channels import UNNAMED
from data.case_folder import REFERENCE, image_name


@dataclass(frozen=True)
class ImageFile:
    """The image of a channel: a file, or one 3D `component` (from 0) of a file that holds `components` of them."""

    path: Path
    component: int | None = None
    components: int = 1


@dataclass(frozen=True)
class SourceCase:
    """A case as found in a data set.

    Attributes:
        image, reference: its files; `reference` is None without one. Of several channels, `image` is the first.
        split: the split whose folder contains it; None outside of such folders.
        patient: its patient, if patients have several cases; empty if the case is the patient.
        ignore_label: label of voxels that are not annotated in the reference; None if all are, or nobody says so.
        scribbles: where scribbles mark every structure, one of `base.label_classes.MARKED_IN`; None if nobody says so.
        may_be_labels: whether the file could also be a map of labels, so that its values must be checked.
        problem: the reason why it cannot be read, if already known; only this case is refused.
        channels: the image of each channel by name, in order; empty for a scan of one image, which needs no name.
    """

    name: str
    image: Path
    reference: Path | None
    split: str | None = None
    patient: str = ""
    problem: str = ""
    may_be_labels: bool = False
    ignore_label: int | None = None
    scribbles: str | None = None
    channels: Mapping[str, ImageFile] = field(default_factory=dict)

    @property
    def images(self) -> dict[str, ImageFile]:
        """The image of each channel by name, in order."""
        return dict(self.channels) or {UNNAMED: ImageFile(self.image)}

    @property
    def owner(self) -> str:
        """The patient, or the case itself if no patient is known."""
        return self.patient or self.name

    @property
    def is_case_folder(self) -> bool:
        """True if the files already have the names and folder that later stages expect."""
        folder = self.image.parent
        images = (image == ImageFile(folder / image_name(channel)) for channel, image in self.images.items())
        return self.name == folder.name and all(images) and self.reference in (None, folder / REFERENCE)
