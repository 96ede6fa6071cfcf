"""Settings of the study; they are stored with its results, which are valid for these settings only."""

from studies.scripts import Recipe

CLASSES = "0,1,2,3"
FOREGROUND = ("1", "2", "3")  # right ventricle, myocardium, left ventricle
VOXEL_SIZE = (1.5, 1.5, "none")  # every scan keeps its slices

_PATCHES = "--augmentation strong --flip --precision bf16 --validate-every 1000 --checkpoint-every 1000"
KINDS = {
    "UNet2D": Recipe(f"-n UNet2D --features 16 --sample-size 128 -b 4 {_PATCHES}", 6000),
    "ResNet2D": Recipe(f"-n ResNet2D --sample-size 128 -b 4 {_PATCHES}", 6000),
    "dil2D": Recipe(f"-n dil2D --receptive-field-size 67 --sample-size 64 -b 4 {_PATCHES}", 4000),
}
KINDS_TOGETHER = {"all kinds": tuple(KINDS), "without dil2D": ("UNet2D", "ResNet2D")}  # in the ensembles tried
MEMBERS = {"CE+dice": 1, "dice": 2}  # losses of each kind's members, and their seeds
LONG = 12000  # steps of the students, and of the networks alone
SEEDS = (1,)  # of the students, and of the networks alone: five folds are five trainings of each
PREDICTION = ("--precision", "bf16")
VIEWS = 4  # mirrored views of the ensembles
SOFT = "--softloss KL+dice --alpha 0.1"
ANNOTATED = 7  # train patients with references in each fold

SETTINGS = {
    "kinds": {name: [recipe.options, recipe.iterations] for name, recipe in KINDS.items()},
    "kinds_together": KINDS_TOGETHER,
    "members": MEMBERS,
    "views": VIEWS,
    "seeds": SEEDS,
    "long": LONG,
    "soft": SOFT,
    "prediction": PREDICTION,
    "voxel_size": VOXEL_SIZE,
}
VARIED = "fold1"  # part with variants of the predictions: all components, other views
AGAIN = "again"  # part with a second round, in which students of the first fold are the members
# References by part, in the order of execution.
PARTS = {**{f"fold{number}": ANNOTATED for number in range(1, 6)}, "three": 3, "all": 70, AGAIN: ANNOTATED}
