"""Kinds of trials, by name."""

from tests.campaign.disks import DISK
from tests.campaign.images import IMAGES
from tests.campaign.json_mutants import JSON
from tests.campaign.kills import KILL
from tests.campaign.pairs import PAIRS
from tests.campaign.stored import STORED

KINDS = {kind.name: kind for kind in (KILL, DISK, IMAGES, *STORED, JSON, PAIRS)}
