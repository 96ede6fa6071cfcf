"""Training loop: steps, validation, checkpoints, and a stop that loses nothing."""

import sys
import time
from collections.abc import Callable, Iterator

from tqdm import tqdm

from utils.runtime.stop_signals import StopRequest
from utils.training.trainer import Trainer


def take_steps(
    training: Trainer,
    batches: Callable[[int, int], Iterator],
    iterations: int,
    validate_every: int,
    checkpoint_every: int,
    validate: Callable[[float], None],
    save_checkpoint: Callable[[], None],
) -> None:
    """Take the remaining steps of `iterations`; a stop signal to one process stops all after the same step.

    Args:
        batches: called with (first, end), yields the batches of these numbers in order.
        validate: called with the iterations per second since its last call.
        save_checkpoint: called last in a step.

    Raises:
        SystemExit: status 130 or 143, after Ctrl-C or SIGTERM and a checkpoint.
    """
    hidden = not training.processes.is_first
    with StopRequest() as stop, tqdm(total=iterations, initial=training.iteration, unit="it", disable=hidden) as bar:
        began, first = time.perf_counter(), training.iteration
        for batch in batches(training.iteration, iterations):
            asked = training.processes.largest(stop.signal_number)  # compared while the step is taken
            training.step(batch)
            bar.update()
            last = training.iteration == iterations
            signal_number = asked()
            stopped = signal_number > 0 and not last
            if training.iteration % validate_every == 0 or last:
                validate((training.iteration - first) / (time.perf_counter() - began))
                began, first = time.perf_counter(), training.iteration
            if stopped or last or training.iteration % checkpoint_every == 0:
                save_checkpoint()
            if stopped:
                training.processes.wait()  # torchrun ends the others when one has ended
                bar.close()
                if training.processes.is_first:
                    print(
                        f"stopped at iteration {training.iteration}; go on with the same command and --resume",
                        file=sys.stderr,
                    )
                raise SystemExit(128 + signal_number)  # as shells have it: 130 or 143
