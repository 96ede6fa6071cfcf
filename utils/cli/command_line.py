"""Command line of a stage: parser, one-line errors, exit statuses. Nothing heavy is imported here."""

import argparse
import contextlib
import io
import signal
import sys
from collections.abc import Callable
from typing import NoReturn

from base.errors import InputError, one_line
from base.names import is_text
from utils.runtime.processes import Processes

STATUS_OF_ERROR = 2


class _HelpWithDefaults(argparse.ArgumentDefaultsHelpFormatter):
    """Help formatter that adds the default to each help text that does not state it."""

    def _get_help_string(self, action: argparse.Action) -> str:
        has_none = any(action.default is none for none in (None, False, argparse.SUPPRESS))
        if has_none or action.required or "(default:" in action.help:
            return action.help
        if isinstance(action.default, list):
            return f"{action.help} (default: {' '.join(action.default)})"
        return super()._get_help_string(action)


class _ShowVersion(argparse.Action):
    """Action that prints the version and exits, as ``--help`` does."""

    def __call__(self, parser, namespace, values, option_string=None) -> NoReturn:
        from base.version import describe_versions  # slow: looks up packages

        print(parser.prog, describe_versions())
        raise SystemExit(0)


class OneLineParser(argparse.ArgumentParser):
    """Argument parser whose errors are one line, ``error: OPTION: what is wrong``."""

    def __init__(self, **settings):
        super().__init__(**{"formatter_class": _HelpWithDefaults, **settings})
        self.add_argument("--debug", action="store_true", help="show the traceback of an error")
        help_text = "show the version of this program and of what its results depend on"
        self.add_argument("--version", action=_ShowVersion, nargs=0, default=argparse.SUPPRESS, help=help_text)

    def error(self, message: str) -> NoReturn:
        fail(f"{message.removeprefix('argument ')}; see {self.prog} --help")


def fail(message: str) -> NoReturn:
    """Print ``error: message`` as one line on standard error and exit with status 2."""
    print("error: " + " ".join(message.split()), file=sys.stderr, flush=True)
    raise SystemExit(STATUS_OF_ERROR)


def let_all_be_printed() -> None:
    """Print characters that the terminal lacks as escape codes instead of raising an error."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            with contextlib.suppress(OSError):  # a stream that was redirected to a pipe cannot report its position
                stream.reconfigure(errors="backslashreplace")


def run_stage(build_parser: Callable[[], argparse.ArgumentParser], main: Callable[[argparse.Namespace], None]) -> None:
    """Parse the command line, call `main` with it, and report errors that a user can fix in one line and a status.

    Status 0: success. 2: invalid input, or a limitation of the device. 130 and 143: stopped by Ctrl-C or SIGTERM; the
    same command continues. With several processes, only the first prints output; each prints its own errors.
    """
    processes = Processes.of_environment()
    processes.silence_all_but_first()
    let_all_be_printed()
    for word in sys.argv[1:]:
        if not is_text(word):
            fail(f"{word}: its name is not UTF-8; rename it")
    try:
        args = build_parser().parse_args()
    except InputError as error:
        fail(str(error))
    signal.signal(signal.SIGTERM, _terminate)
    try:
        main(args)
    except (InputError, OSError) as error:
        if args.debug:
            raise
        fail(one_line(error))
    except RuntimeError as error:
        problem = problem_of_device(error)
        if args.debug or not problem:
            raise
        fail(problem)
    except MemoryError as error:
        if args.debug:
            raise
        fail(f"the main memory is full ({error}); smaller sizes or batches, or fewer processes, take less")
    except KeyboardInterrupt:
        if processes.is_first:
            print("stopped; the same command goes on from here (a training: with --resume)", file=sys.stderr)
        raise SystemExit(128 + signal.SIGINT) from None


def _terminate(signal_number, frame) -> NoReturn:
    raise SystemExit(128 + signal_number)  # runs every `finally`, so that no partial files stay


def problem_of_device(error: RuntimeError) -> str:
    """Return the problem and remedy for a full GPU memory or a failed compilation; empty for all other errors."""
    if type(error).__name__ == "OutOfMemoryError":
        return (
            "the GPU's memory is full; train with a smaller --batch-size or --sample-size, predict with a smaller "
            "--memory-limit, or choose another --device"
        )
    if type(error).__module__.startswith(("torch._inductor", "torch._dynamo")):
        return f"--compile: PyTorch cannot compile the network here ({str(error).splitlines()[0]}); leave it out"
    return ""
