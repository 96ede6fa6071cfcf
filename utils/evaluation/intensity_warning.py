"""One line on standard error for a scan whose intensities are not like those that a network was trained on."""

import sys

from tqdm import tqdm


def warn_of_intensities(case_name: str, message: str) -> None:
    """Print what is to be said of a case, above a progress bar that there may be; nothing for an empty message."""
    if message:
        tqdm.write(f"warning: {case_name}: {message}", file=sys.stderr)
