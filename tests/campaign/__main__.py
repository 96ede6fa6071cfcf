"""Run the robustness campaign and print a table of trials and failures.

python -m tests.campaign --share 0.1
python -m tests.campaign --only kill images --seed 7
python -m tests.campaign --only json --trial 1234 --keep --work FOLDER
"""

import argparse
import os
import signal
import sys
import tempfile
from collections import Counter
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before PyTorch is imported
# Warnings about semaphores of processes that a trial killed.
os.environ.setdefault("PYTHONWARNINGS", "ignore::UserWarning:multiprocessing.resource_tracker")

from tqdm import tqdm

from tests.campaign.kinds import KINDS
from tests.campaign.performing import Performed, numbers_of, perform_all
from tests.campaign.world import make_world

_MOST_PRINTED = 6  # problems of a trial


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.campaign", description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=0, help="seed of all random numbers (default: 0)")
    parser.add_argument("--only", nargs="+", choices=list(KINDS), metavar="KIND", help=f"of {', '.join(KINDS)}")
    parser.add_argument("--share", type=_share, default=1.0, help="fraction of the full number of trials (default: 1)")
    parser.add_argument("--trial", type=int, nargs="+", metavar="N", help="numbers of single trials, of one kind")
    parser.add_argument("--work", type=Path, help="folder for inputs and trials (default: a temporary one)")
    parser.add_argument("--jobs", type=int, default=2, help="number of parallel trials (default: 2)")
    parser.add_argument("--keep", action="store_true", help="keep the folders of the trials in --work")
    return parser


def main() -> int:
    parser = build_parser()
    args = parser.parse_args()
    kinds = args.only or list(KINDS)
    if args.trial and len(kinds) != 1:
        parser.error("--trial needs one kind, named with --only")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # runs every clean-up
    chosen = [(kind, number) for kind in kinds for number in args.trial or numbers_of(kind, args.share)]
    with tempfile.TemporaryDirectory(prefix="campaign-", dir=args.work and _made(args.work)) as folder:
        if args.keep and args.work:
            folder = tempfile.mkdtemp(prefix="kept-", dir=args.work)
            print(f"kept in {folder}")
        print("preparing inputs and clean runs", flush=True)
        world = make_world(Path(folder), [name for kind in kinds for name in KINDS[kind].scenarios])
        performed = []
        with tqdm(total=len(chosen), unit="trial") as bar:
            for one in perform_all(chosen, args.seed, world, args.jobs, args.keep):
                performed.append(one)
                bar.set_postfix(kind=one.kind, failed=sum(bool(other.outcome.problems) for other in performed))
                bar.update()
                if one.outcome.problems:
                    tqdm.write(_line(one, args.seed))
    print_table(performed, kinds)
    return 1 if any(one.outcome.problems for one in performed) else 0


def _share(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not from 0 to 1")
    return value


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _line(one: Performed, seed: int) -> str:
    shown, more = one.outcome.problems[:_MOST_PRINTED], len(one.outcome.problems) - _MOST_PRINTED
    shown = [*shown, f"and {more} more"] if more > 0 else shown
    problems = "".join(f"\n    {problem}" for problem in shown)
    again = f"--only {one.kind} --trial {one.number} --seed {seed}"
    return f"FAILED {again}: {one.outcome.damage}{problems}"


def print_table(performed: list[Performed], kinds: list[str]) -> None:
    """Print one row per kind."""
    print(f"\n{'kind':12} {'trials':>7} {'damages':>8} {'failed':>7} {'seconds':>8}")
    for kind in kinds:
        own = [one for one in performed if one.kind == kind]
        failed = sum(bool(one.outcome.problems) for one in own)
        damages = sum(one.outcome.count for one in own)
        print(f"{kind:12} {len(own):7} {damages:8} {failed:7} {sum(one.seconds for one in own):8.0f}")
    failed = Counter(one.kind for one in performed if one.outcome.problems)
    print(f"\n{len(performed)} trials, {sum(failed.values())} failed")


if __name__ == "__main__":
    sys.exit(main())
