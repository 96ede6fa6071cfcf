"""Names of the losses on the command line, and the functions of `utils.training.losses` that they stand for.

Nothing heavy is imported here: parsers take their choices from these tables.
"""

HARD_LOSSES = {
    "CE": "cross_entropy",
    "dice": "dice_loss",
    "CE+dice": "cross_entropy_and_dice",
}
SOFT_LOSSES = {
    "MSE": "soft_mse",
    "CE": "soft_cross_entropy",
    "KL": "soft_kl",
    "KL+dice": "soft_kl_and_dice",
}
