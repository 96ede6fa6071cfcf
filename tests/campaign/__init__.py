"""A campaign against the stages: damaged files, kills, full disks and simultaneous commands, in thousands of trials."""
