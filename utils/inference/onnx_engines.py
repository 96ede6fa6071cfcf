"""Engines that run ONNX graphs on a CPU: OpenVINO, or ONNX Runtime where OpenVINO is not installed."""

import os
import sys
from collections.abc import Callable
from importlib.util import find_spec

import numpy as np

ENGINES = ("openvino", "onnxruntime")  # the faster first

Run = Callable[[np.ndarray], np.ndarray]


class EngineError(Exception):
    """An engine cannot read or run a graph."""


def installed_engine() -> str | None:
    """Return the package of the fastest engine that is installed; None without any."""
    return next((name for name in ENGINES if find_spec(name)), None)


def without_telemetry() -> None:
    """Keep OpenVINO and NNCF from sending and storing anything about their use; call it before they are imported."""
    if "openvino_telemetry" not in sys.modules:
        sys.modules["openvino_telemetry"] = None  # to import it fails, and both then do without
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")


def open_with(engine: str, content: bytes, least_side: int, threads: int, precision: str) -> Run:
    """Return a function that runs a graph of one input and one output, float32.

    Args:
        engine: one of `ENGINES`.
        content: of an ONNX file that was checked.
        least_side: of images, in voxels.
        precision: ``fp32``, or ``bf16`` to let OpenVINO compute in bfloat16.

    Raises:
        EngineError: the engine cannot read the graph; also when the function is called with an image that does not fit.
    """
    without_telemetry()
    opener = _open_with_openvino if engine == "openvino" else _open_with_onnx_runtime
    try:
        run = opener(content, least_side, threads, precision)
    except Exception as error:  # engines raise almost any exception
        raise EngineError(_reason(error)) from None

    def checked(images: np.ndarray) -> np.ndarray:
        try:
            answers = run(np.ascontiguousarray(images, np.float32))
        except Exception as error:
            raise EngineError(f"images of {images.shape}: {_reason(error)}") from None
        return answers

    return checked


def _open_with_openvino(content: bytes, least_side: int, threads: int, precision: str) -> Run:
    import openvino

    core = openvino.Core()
    model = core.read_model(content)
    # Without a least side, OpenVINO plans for one that is too small for large dilations, and fails.
    batch, channels, *sides = model.input(0).partial_shape
    model.reshape([batch, channels, *[openvino.Dimension(least_side, -1)] * len(sides)])
    settings = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": threads,
        "INFERENCE_PRECISION_HINT": "bf16" if precision == "bf16" else "f32",
        "ENABLE_CPU_PINNING": False,  # other processes may use the same cores
        # Layers that stay prepared for a shape. By default 5000, whose memory grows with every new shape for long.
        "CPU_RUNTIME_CACHE_CAPACITY": "500",
    }
    compiled = core.compile_model(model, "CPU", settings)
    output = compiled.output(0)
    return lambda images: compiled(images)[output]


def _open_with_onnx_runtime(content: bytes, least_side: int, threads: int, precision: str) -> Run:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 3  # errors
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    (name,) = (one.name for one in session.get_inputs())
    return lambda images: session.run(None, {name: images})[0]


def _reason(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
