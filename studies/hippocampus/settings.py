"""Settings of each part of the study; they are stored with its results, which are valid for these settings only."""

from dataclasses import replace

from stages.training_options import SOFT_DEFAULTS
from studies.scripts import Recipe

DIL2D = Recipe(
    "-n dil2D --receptive-field-size 35 --sample-size 16 -b 24 --learning-rate 0.006 --precision bf16", 12000
)
DIL2D_MEMBER = replace(DIL2D, iterations=8000)  # of the diverse ensemble
# For a CPU without bfloat16 arithmetic; this is why most of these dil2D are trained for fewer iterations.
DIL2D_FP32 = replace(DIL2D, options=DIL2D.options.replace("bf16", "fp32"))
DIL2D_SHORT = replace(DIL2D_FP32, iterations=4000)
DIL2D_TRIAL = replace(DIL2D, iterations=3000)  # of the students by which options are chosen
_UNET3D = "-n UNet3D --features {} --sample-size 40 -b 2 --deep-supervision --augmentation strong --precision bf16"
UNET3D = Recipe(_UNET3D.format(16), 1500)
KINDS = {"UNet3D": UNET3D, "dil2D": DIL2D_MEMBER}  # of the members of diverse ensembles
SMALL_UNET3D = Recipe(_UNET3D.format(8), 3000)
SMALL_UNET3D_FP32 = replace(SMALL_UNET3D, options=SMALL_UNET3D.options.replace("bf16", "fp32"))

CLASSES = "0,1,2"
SEEDS = (1, 2, 3)
MEMBERS = 5  # of the uniform ensemble
FOLDS = 3  # of the diverse ensemble: each fold is left out by one network of each kind
WIDTHS = {"half": 16, "quarter": 8}  # features of narrower students
DIL2D_SHORT_BF16 = replace(DIL2D, iterations=DIL2D_SHORT.iterations)
ANNOTATED = 30  # train cases with a reference in the parts with few references

FIRST_CHOICE = {"labels": "cross-fitted", "alpha": 1, "softloss": "KL", "temperature": 1}
QUESTIONS = {
    "labels": ("cross-fitted", "all"),
    "alpha": (0, 0.1, 0.5, 1),
    "softloss": ("KL", "CE", "MSE"),
    "temperature": (1, 2, 4),
}
SMALL_FIRST_CHOICE = FIRST_CHOICE | {"alpha": 0.1}
SMALL_QUESTIONS = {"labels": ("cross-fitted", "all"), "alpha": (0.1, 1)}
DICE_CHOICE = {"softloss": "KL+dice"}  # of the students of "dice", otherwise as in "small" and "few"

TEN = 10  # train cases with a reference in the part "ten"
MIRRORINGS = {"none": "", "all axes": "--flip"}  # of training patches, tried in the part "ten"
VIEWS = {"none": 1, "all axes": 8}  # of the ensemble of the part "ten"
TEN_DIVERSE = "ten_diverse"  # the ensemble of the part "ten", the teacher of the parts "planes" and "next"
MORE = 20  # references that the part "next" adds to the ten

_NETWORKS = {"dil2D": DIL2D.options, "UNet3D": UNET3D.options, "seeds": SEEDS}
_LENGTHS = {"iterations": {"dil2D": DIL2D.iterations, "UNet3D": UNET3D.iterations}}
_MEMBER_LENGTHS = {"dil2D": DIL2D_MEMBER.iterations, "UNet3D": UNET3D.iterations}
_DIVERSE = {**_NETWORKS, "member_iterations": _MEMBER_LENGTHS, "folds": FOLDS}
_SMALL = {"small_UNet3D": SMALL_UNET3D.options, "small_iterations": SMALL_UNET3D.iterations, "seeds": SEEDS}
_UNIFORM = {"dil2D": DIL2D_SHORT.options, "iterations": DIL2D_SHORT.iterations, "members": MEMBERS}
_SMALL_CHOICES = {"first_choice": SMALL_FIRST_CHOICE, "questions": SMALL_QUESTIONS}
_TEN = {
    "dil2D": DIL2D_SHORT_BF16.options,
    "iterations": DIL2D_SHORT_BF16.iterations,
    **_SMALL,
    "annotated": TEN,
    "mirrorings": MIRRORINGS,
    "views": VIEWS,
}
# By part, in the order of execution: parts that choose options come first.
SETTINGS: dict[str, dict] = {
    "choices": {**_DIVERSE, "trial_iterations": DIL2D_TRIAL.iterations},
    "small": {**_DIVERSE, **_SMALL, **_SMALL_CHOICES},
    "diverse": {**_DIVERSE, **_LENGTHS, "widths": WIDTHS},
    "few": {**_SMALL, "annotated": ANNOTATED},
    "dice": {**_DIVERSE, **_SMALL, "annotated": ANNOTATED, **DICE_CHOICE},
    "few-diverse": {
        "dil2D": DIL2D_SHORT.options,
        "iterations": DIL2D_SHORT.iterations,
        "small_UNet3D": SMALL_UNET3D_FP32.options,
        "small_iterations": SMALL_UNET3D_FP32.iterations,
        "seeds": SEEDS,
        "annotated": ANNOTATED,
        **DICE_CHOICE,
    },
    "uniform": {**_UNIFORM, "width": WIDTHS["half"], "seeds": SEEDS},
    "alone": {"dil2D": DIL2D_FP32.options, "iterations": DIL2D_FP32.iterations, "seeds": SEEDS},
    "ten": {**_TEN, **SOFT_DEFAULTS},
    "planes": {**_TEN, **SOFT_DEFAULTS},
    "next": {**_TEN, "more": MORE},
    "narrow": {"dil2D": DIL2D.options, "iterations": DIL2D.iterations, "widths": WIDTHS, "seeds": SEEDS},
    "defaults": {**_UNIFORM, **SOFT_DEFAULTS, "seeds": SEEDS[:1]},
}
