"""Robustness campaign: thousands of trials of the stages with damaged files, kills, full disks, parallel commands."""
