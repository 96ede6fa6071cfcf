"""Files of ONNX, which may be malicious: checked before any engine reads them. Standard library only.

Only what an exported network consists of is accepted: arithmetic layers of ONNX itself, with all numbers in the file.
No file beside it is ever opened: tensors that refer to one are refused, and so are control flow, functions, operators
of other domains, and everything unknown. Field numbers are those of onnx.proto (ONNX, IR version 10).
"""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass

from networks.protobuf import Value, field, fields_of, numbers_of, text_of

OPSETS = range(13, 22)  # that the engines know, and in which the accepted operators mean the same
OPERATORS = {
    *("Add", "AveragePool", "BatchNormalization", "Clip", "Concat", "Constant", "Conv", "ConvTranspose"),
    *("DequantizeLinear", "Div", "Identity", "InstanceNormalization", "LeakyRelu", "MaxPool", "Mul", "Pad"),
    *("QuantizeLinear", "ReduceMean", "Relu", "Slice", "Softmax", "Softplus", "Sqrt", "Sub"),
}
_MODEL = {"ir": 1, "graph": 7, "opsets": 8, "metadata": 14}
_HARMLESS = {2, 3, 4, 5, 6}  # of a model: producer, version, domain, model version, documentation
_GRAPH = {"nodes": 1, "name": 2, "tensors": 5, "doc": 10, "inputs": 11, "outputs": 12, "values": 13}
_NODE_ATTRIBUTES, _NODE_OPERATOR, _NODE_DOMAIN = 5, 4, 7
_NODE_FIELDS = {1, 2, 3, 4, 5, 6, 7}
_ATTRIBUTE_FIELDS = {1, 2, 3, 4, 5, 7, 8, 13, 20, 21}  # no graphs, no lists of tensors, no sparse tensors
_ATTRIBUTE_TENSOR = 5
_TENSOR_DIMS, _TENSOR_RAW = 1, 9
_TENSOR_FIELDS = {1, 2, 4, 5, 7, 8, 9, 11, 12}  # 13 and 14: data in another file
_BYTES = {1: 4, 2: 1, 3: 1, 6: 4, 7: 8, 11: 8}  # of a value, by the number of its type
_FLOAT = 1
_MOST_VALUES, _MOST_SIDES = 2**30, 8  # of a tensor
_KEY, _VALUE = 1, 2


@dataclass(frozen=True)
class OnnxModel:
    """What a checked model says.

    Attributes:
        graph_sha256: of the graph's bytes.
        metadata: text by key.
        input_sides, output_sides: name and sides of the only input and output; None for a side of any length.
    """

    graph_sha256: str
    metadata: dict[str, str]
    input_sides: tuple[str, tuple[int | None, ...]]
    output_sides: tuple[str, tuple[int | None, ...]]


def check_model(content: bytes) -> OnnxModel:
    """Check the bytes of a model.

    Raises:
        ValueError: it is truncated, malformed, or holds anything that an exported network has not.
    """
    graphs, metadata, opsets = [], {}, []
    for number, value in fields_of(memoryview(content)):
        if number == _MODEL["graph"]:
            graphs.append(_message(value))
        elif number == _MODEL["opsets"]:
            opsets.append(_opset(_message(value)))
        elif number == _MODEL["metadata"]:
            pair = dict(fields_of(_message(value)))
            metadata[text_of(pair.get(_KEY, b""))] = text_of(pair.get(_VALUE, b""))
        elif number != _MODEL["ir"] and number not in _HARMLESS:
            raise ValueError(f"it holds more than a network (field {number})")
    if len(graphs) != 1:
        raise ValueError(f"it holds {len(graphs)} graphs, not 1")
    for domain, version in opsets:
        if domain not in ("", "ai.onnx") or version not in OPSETS:
            known = f"{OPSETS.start} to {OPSETS.stop - 1}"
            raise ValueError(f"its operators are of set {version} {domain}".strip() + f", not of {known} of ONNX")
    if len(opsets) != 1:
        raise ValueError(f"it names {len(opsets)} sets of operators, not 1")
    (input_sides,), (output_sides,) = _check_graph(graphs[0])
    return OnnxModel(hashlib.sha256(graphs[0]).hexdigest(), metadata, input_sides, output_sides)


def with_metadata(model: bytes, metadata: dict[str, str]) -> bytes:
    """Return the bytes of a model with more metadata."""
    pairs = [field(_KEY, key.encode()) + field(_VALUE, text.encode()) for key, text in metadata.items()]
    return model + b"".join(field(_MODEL["metadata"], pair) for pair in pairs)


def _message(value: Value) -> memoryview:
    if isinstance(value, int):
        raise ValueError("a number is where a message belongs")
    return value


def _opset(message: memoryview) -> tuple[str, int]:
    fields = dict(fields_of(message))
    version = fields.get(2, 0)
    return text_of(fields.get(1, b"")), version if isinstance(version, int) else 0


def _check_graph(graph: memoryview) -> tuple[list, list]:
    """Check all nodes and tensors of a graph; return (name, sides) of its inputs and outputs, one each."""
    inputs, outputs = [], []
    for number, value in fields_of(graph):
        if number == _GRAPH["nodes"]:
            _check_node(_message(value))
        elif number == _GRAPH["tensors"]:
            _check_tensor(_message(value))
        elif number in (_GRAPH["inputs"], _GRAPH["outputs"]):
            (inputs if number == _GRAPH["inputs"] else outputs).append(_sides_of(_message(value)))
        elif number not in _GRAPH.values():
            raise ValueError(f"its graph holds more than layers (field {number})")
    if len(inputs) != 1 or len(outputs) != 1:
        raise ValueError(f"it has {len(inputs)} inputs and {len(outputs)} outputs, not one each")
    return inputs, outputs


def _check_node(node: memoryview) -> None:
    operator, domain = "", ""
    for number, value in fields_of(node):
        if number == _NODE_OPERATOR:
            operator = text_of(value)
        elif number == _NODE_DOMAIN:
            domain = text_of(value)
        elif number == _NODE_ATTRIBUTES:
            for key, part in fields_of(_message(value)):
                if key not in _ATTRIBUTE_FIELDS:
                    raise ValueError(f"a layer holds a graph, or what is unknown (field {key})")
                if key == _ATTRIBUTE_TENSOR:
                    _check_tensor(_message(part))
        elif number not in _NODE_FIELDS:
            raise ValueError(f"a layer holds what is unknown (field {number})")
    if domain not in ("", "ai.onnx") or operator not in OPERATORS:
        raise ValueError(f"it has the operator {f'{domain} {operator}'.strip()[:80]!r}, which no exported network has")


def _check_tensor(tensor: memoryview) -> None:
    sides: list[int] = []
    kind, raw = 0, None
    for number, value in fields_of(tensor):
        if number not in _TENSOR_FIELDS:
            raise ValueError("a tensor refers to another file, or is of an unknown kind")
        if number == _TENSOR_DIMS:
            sides += numbers_of(value)
        elif number == 2:
            kind = value
        elif number == _TENSOR_RAW:
            raw = _message(value)
        if len(sides) > _MOST_SIDES:  # the product of very many takes hours
            raise ValueError(f"a tensor has more than {_MOST_SIDES} sides")
    count = math.prod(sides)
    if kind not in _BYTES or not 0 <= count <= _MOST_VALUES:
        raise ValueError(f"a tensor is of type {kind} and size {sides}"[:80])
    if raw is not None and len(raw) != count * _BYTES[kind]:
        raise ValueError("a tensor holds more or fewer numbers than its size")


def _sides_of(value_info: memoryview) -> tuple[str, tuple[int | None, ...]]:
    """Return name and sides of an input or output; None for a side of any length."""
    fields = dict(fields_of(value_info))
    kind = dict(fields_of(_message(fields.get(2, memoryview(b"")))))
    tensor = dict(fields_of(_message(kind.get(1, memoryview(b"")))))
    name = text_of(fields.get(1, b""))
    if tensor.get(1) != _FLOAT:
        raise ValueError(f"its {name[:40]!r} are not float32")
    shape = fields_of(_message(tensor.get(2, memoryview(b""))))
    sides: Sequence[dict] = [dict(fields_of(_message(side))) for number, side in shape if number == 1]
    return name, tuple(side.get(1) for side in sides)
