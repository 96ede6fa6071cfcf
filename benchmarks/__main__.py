"""Run all benchmarks; print one table and write one JSON file at the end.

    python -m benchmarks --data KITS19/ --json benchmark_output/benchmarks.json

A benchmark is a module with `run(data_folder, work_folder)`, which returns rows. A failure is reported in one line, and
the next benchmark runs.
"""

import importlib

from benchmarks.measure import parse_options, report

PROGRAMS = (
    "training_step",
    "patch_drawing",
    "whole_volume",
    "windows",
    "resampling",
    "ensemble_members",
    "many_cases",
    "many_shapes",
    "largest_case",
    "prediction",
    "start",
)


def main() -> None:
    args = parse_options("Run all benchmarks.")
    rows, failures = [], []
    for name in PROGRAMS:
        print(f"\n== {name}", flush=True)
        try:
            measured = importlib.import_module(f"benchmarks.{name}").run(args.data, args.work)
        except Exception as error:  # the other benchmarks must run nevertheless
            failures.append(f"{name} failed: {type(error).__name__}: {' '.join(str(error).split())[:200]}")
            print(failures[-1], flush=True)
        else:
            report(name, measured, None)
            rows += measured
    report("benchmark", rows, args.json or args.work / "benchmarks.json")
    for failure in failures:
        print(failure)
    raise SystemExit(1 if failures else 0)


if __name__ == "__main__":
    main()
