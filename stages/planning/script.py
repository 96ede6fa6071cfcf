"""run.sh of a plan: the commands of all stages, to be read, changed and run."""

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from stages.planning.settings import PlannedNetwork, Settings
from stages.resampling_options import ResamplingOptions

_TOOLKIT = Path(__file__).resolve().parents[2]

_TEMPLATE = """\
#!/usr/bin/env bash
# Commands of the plan of {origin}, written by resample_data.py --plan.
# plan.md gives the reason for each setting. Read it, change it, and run it: bash {place}
# A run that was stopped goes on with the same command; finished steps are skipped.
set -euo pipefail
export LC_ALL=C
cd "$(dirname "$0")"

PYTHON={python}
TOOLKIT={toolkit}
DATA=DATA  # case folders, on one voxel grid
SAVE=SAVE  # networks, predictions, tables

# 1. Resample the cases, distributed by patient as in split.json.
"$PYTHON" "$TOOLKIT"/resample_data.py {source} \\
    -o "$DATA" --split-file split.json --voxel-size {voxel_size} -j {jobs}{after_resampling}

# 2. Train the members of the ensemble: three kinds of networks, with two losses each. Each kind has a function, so that
# the student can be of any of them.
train() {{
  "$PYTHON" "$TOOLKIT"/training_network.py -d "$DATA" -s "$SAVE" --classes {classes} --normalization {normalization} \\
      --augmentation strong{flip} --visdom-port 0 --resume "$@"
}}
{functions}
for kind in {kinds}; do
  seed=0
  for loss in {losses}; do
    seed=$((seed + 1))
    "$kind" -r "${{kind}}_$loss" --loss "$loss" -x "$seed"
  done
done

# 3. Predict the validation cases with each member. --keep-largest auto keeps the largest component of a class where
# that is better. The network alone, and the student, are of the kind with the best mean Dice.
predict() {{  # a network, a split, more options
  "$PYTHON" "$TOOLKIT"/testing_network.py -d "$DATA" -s "$SAVE" -e "$2" \\
      --network-weights "$SAVE/$1/FINAL_$1_*.pth" "${{@:3}}"
}}
mean_dice() {{  # of a network on the validation cases, over cases and classes
  # Columns are counted from the last, because the name of a case, the first, may hold commas.
  awk -F, 'NR == 1 {{ for (i = 1; i <= NF; i++) if ($i == "dice") after = NF - i; next }}
           $(NF - after) != "" {{ sum += $(NF - after); count++ }}
           END {{ print count ? sum / count : 0 }}' "$SAVE/$1/val/metrics.csv"
}}
for kind in {kinds}; do
  for loss in {losses}; do
    predict "${{kind}}_$loss" val --keep-largest auto
  done
done
best=$(for kind in {kinds}; do echo "$(mean_dice "${{kind}}_{first_loss}") $kind"; done | sort -g | tail -n 1)
best=${{best##* }}
echo "best kind on the validation cases: $best"

# 4. Average the members: predictions of the validation cases, and soft labels of the training cases, those without
# references too.{about_views}
average() {{
  "$PYTHON" "$TOOLKIT"/ensemble.py -d "$DATA" -s "$SAVE" --classes {classes} -r ensemble{views} "$@"
}}
average -e val --keep-largest auto
average -e train

# 5. Train the student on the soft labels.
"$best" -r student -x 1 --soft
predict student val --keep-largest auto

# 6. {last_title}
{last}
echo "results: $PWD/$SAVE/student/{last_split}"
"""

_ABOUT_VIEWS = " {0} mirrored views make the labels better, and take {0} times as long."
_TEST_TITLE = (
    "Predict the test cases, once everything is decided, and compare the student with network alone and ensemble."
)
_VAL_TITLE = (
    "Compare the student with network alone and ensemble. No test case has a reference: this flatters all three."
)


def script_of(
    options: ResamplingOptions, layout: str, settings: Settings, jobs: int, is_tested: bool, has_mistakes: bool
) -> str:
    """Return the text of run.sh.

    Args:
        is_tested: whether test cases have references.
        has_mistakes: whether stage 1 ends with status 2, because files seem to be left out by mistake.
    """
    alone = f'"${{best}}_{settings.losses[0]}"'
    compared = f"--compare {alone} ensemble"
    if is_tested:
        split, title = "test", _TEST_TITLE
        last = ["average -e test", f"predict {alone} test", f"predict student test {compared}"]
    else:
        split, title, last = "val", _VAL_TITLE, [f"predict student val {compared}"]
        last += ["predict student test"] if settings.split["test"] else []
    return _TEMPLATE.format(
        origin=options.origin.resolve(),
        place=shlex.quote(str(options.plan / "run.sh")),
        python=shlex.quote(sys.executable),
        toolkit=shlex.quote(str(_TOOLKIT)),
        source=" ".join(map(shlex.quote, source_words(options, layout, settings))),
        voxel_size=" ".join(settings.voxel_size),
        jobs=jobs,
        after_resampling=" ||\n    echo 'note: files were not taken, see above' # as plan.md lists them" * has_mistakes,
        classes=settings.classes,
        normalization=settings.normalization,
        functions="\n".join(_function(one, settings) for one in settings.networks),
        kinds=" ".join(one.name for one in settings.networks),
        losses=" ".join(settings.losses),
        first_loss=settings.losses[0],
        flip=" --flip" if settings.flip else "",
        about_views=_ABOUT_VIEWS.format(settings.views) if settings.flip else "",
        views=f" --views {settings.views}" if settings.flip else "",
        last_title=title,
        last="\n".join(last),
        last_split=split,
    )


def source_words(options: ResamplingOptions, layout: str, settings: Settings) -> list[str]:
    """Return the options of stage 1 that name the data set, with absolute paths."""
    words = ["-d", options.data.resolve()] if options.data else ["--images"]
    words += [f"{name}={path.resolve()}" if name else path.resolve() for name, path in options.image_folders.items()]
    words += ["--references", options.references.resolve()] if options.references else []
    words += ["--layout", layout] if options.data else []
    words += ["--frames", options.frames] if options.frames else []
    words += ["--channels", ",".join(options.channels)] if options.channels else []
    words += ["--patients", options.patients.resolve()] if options.patients else []
    words += ["--ignore-label", settings.ignore_label] if settings.ignore_label is not None else []
    words += ["--scribbles", options.scribbles] if options.scribbles else []
    return [str(word) for word in words]


def network_words(network: PlannedNetwork, planes: str) -> list[str]:
    """Return the options of stage 2 for a kind of network."""
    words: list[object] = ["-n", network.name]
    words += ["--receptive-field-size", network.receptive_field] if network.receptive_field else []
    words += ["--sample-size", network.sample_size, "-b", network.batch_size, "-i", network.iterations]
    words += ["--features", network.features] if network.features else []
    words += ["--deep-supervision"] if network.deep_supervision else []
    words += ["--planes", planes] if network.architecture.dimensions == 2 else []
    return [str(word) for word in words]


def _function(network: PlannedNetwork, settings: Settings) -> str:
    return f'{network.name}() {{ train {_joined(network_words(network, settings.planes))} "$@"; }}'


def _joined(words: Sequence[str]) -> str:
    return " ".join(map(shlex.quote, words))
