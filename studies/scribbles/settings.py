"""Settings of the study: those of the study of few references, on scribbles; stored with the results."""

from studies.acdc.settings import SETTINGS

LABEL = "scribbles"  # of the groups of runs
DATA = "scribbles"  # name of the prepared data
IGNORE_LABEL = 4  # of voxels that are not annotated
MARKED_IN = "slices"  # every structure has a scribble in each of them
AGAIN = "again"  # part with a second round, in which students are the members
PARTS = {part: {**SETTINGS, "ignore_label": IGNORE_LABEL, "marked_in": MARKED_IN} for part in (DATA, AGAIN)}
