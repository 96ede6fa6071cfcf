"""Damaged, foreign and malicious files are refused in one line before an engine reads them."""

import json
from pathlib import Path

import numpy as np
import pytest

from base.errors import InputError
from networks.exported import KEY, pack, read_exported
from networks.onnx_files import check_model, with_metadata
from networks.protobuf import field, fields_of
from stages.engines import Engines
from stages.scan_options import PredictorOptions

onnx = pytest.importorskip("onnx")
pytest.importorskip("openvino")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402


@pytest.fixture(scope="module")
def exported(tmp_path_factory, call, save) -> Path:
    path = tmp_path_factory.mktemp("exported") / "student.onnx"
    call("export_network", "-w", save / "one" / "FINAL*.pth", "-o", path)
    return path


@pytest.fixture
def model(exported):
    return onnx.load(exported)


def document_in(model) -> dict:
    return json.loads(model.metadata_props[0].value)


def repacked(model, path: Path, **changes) -> Path:
    """Write a model with the checksum that its graph has now, as whoever changes a file would."""
    document, whole = {**document_in(model), **changes}, model
    model = onnx.ModelProto()
    model.CopyFrom(whole)
    del model.metadata_props[:]
    try:
        path.write_bytes(pack(model.SerializeToString(), document))
    except ValueError:  # refused already: the file is written as it is
        path.write_bytes(with_metadata(model.SerializeToString(), {KEY: json.dumps(document)}))
    return path


def refusal_of(path: Path) -> str:
    with pytest.raises(InputError) as error:
        read_exported(path)
    assert error.value.subject == path
    assert "\n" not in str(error.value)
    return str(error.value)


def test_protobuf_is_read_as_it_is_written():
    message = field(1, b"text") + field(14, field(300, b"x" * 300)) + b"\x10\xac\x02"
    first, second, third = fields_of(memoryview(message))
    assert (first[0], bytes(first[1])) == (1, b"text")
    (inner,) = fields_of(second[1])
    assert (inner[0], len(inner[1])) == (300, 300)
    assert third == (2, 300)


def test_an_intact_file_is_accepted(exported, model):
    assert check_model(exported.read_bytes()).metadata.keys() == {KEY}
    assert read_exported(exported).description.architecture == "dil2D"


@pytest.mark.parametrize("share", [0.0, 0.001, 0.3, 0.9, 0.999])
def test_truncated_files_are_refused(exported, tmp_path, share):
    content = exported.read_bytes()
    (tmp_path / "a.onnx").write_bytes(content[: int(share * len(content))])
    assert "damaged" in refusal_of(tmp_path / "a.onnx") or "without the description" in refusal_of(tmp_path / "a.onnx")


def test_no_change_of_a_byte_is_unnoticed_or_raises_anything_else(exported, tmp_path):
    content, rng = bytearray(exported.read_bytes()), np.random.default_rng(0)
    path = tmp_path / "a.onnx"
    for place in rng.integers(0, len(content), 60).tolist() + list(range(0, 40, 3)):
        changed = bytearray(content)
        changed[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(changed)
        try:
            description = read_exported(path).document
        except InputError as error:
            assert "\n" not in str(error)
        else:  # in a text that nothing depends on, such as the producer's name
            assert description["graph_sha256"] == check_model(bytes(content)).graph_sha256


def test_files_of_other_kinds_are_refused(exported, tmp_path, model, save):
    path = tmp_path / "a.onnx"
    for content in (b"PK\3\4 a zip archive", b"\x89PNG\r\n", b"<html></html>" * 9, b"\0" * 1000):
        path.write_bytes(content)
        assert "no exported network" in refusal_of(path)
    path.write_bytes(next((save / "one").glob("FINAL*.pth")).read_bytes())
    assert "no exported network" in refusal_of(path)
    del model.metadata_props[:]
    path.write_bytes(model.SerializeToString())
    assert "without the description" in refusal_of(path)
    assert "no such file" in refusal_of(tmp_path / "none.onnx")
    assert "not a regular file" in refusal_of(tmp_path)


def external(tensor, location: str) -> None:
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", location


@pytest.mark.parametrize("location", ["weights.bin", "/etc/passwd", "../../secret"])
def test_tensors_in_other_files_are_refused_and_not_opened(model, tmp_path, location):
    (tmp_path / "weights.bin").write_bytes(b"\0" * 100_000)
    external(model.graph.initializer[0], location)
    assert "refers to another file" in refusal_of(repacked(model, tmp_path / "a.onnx"))


def test_tensors_of_layers_in_other_files_are_refused(model, tmp_path):
    constant = helper.make_node("Constant", [], ["c"], value=numpy_helper.from_array(np.zeros(3, np.float32)))
    external(constant.attribute[0].t, "weights.bin")
    model.graph.node.append(constant)
    assert "refers to another file" in refusal_of(repacked(model, tmp_path / "a.onnx"))


def test_control_flow_functions_and_unknown_operators_are_refused(model, tmp_path):
    path = tmp_path / "a.onnx"
    body = helper.make_graph([], "body", [], [])
    for node, problem in (
        (helper.make_node("If", ["images"], ["x"], then_branch=body, else_branch=body), "holds a graph"),
        (helper.make_node("Loop", ["images"], ["x"]), "operator 'Loop'"),
        (helper.make_node("PyOp", ["images"], ["x"], domain="ai.onnx.contrib"), "operator 'ai.onnx.contrib PyOp'"),
        (helper.make_node("Relu", ["images"], ["x"], domain="custom"), "operator 'custom Relu'"),
    ):
        changed = onnx.ModelProto()
        changed.CopyFrom(model)
        changed.graph.node.append(node)
        assert problem in refusal_of(repacked(changed, path))
    function = helper.make_function("custom", "f", ["x"], ["y"], [], [helper.make_opsetid("", 17)])
    model.functions.append(function)
    assert "more than a network" in refusal_of(repacked(model, path))


@pytest.mark.parametrize("opset", [[("", 9)], [("", 99)], [("com.microsoft", 1)], [("", 17), ("ai.onnx.ml", 3)], []])
def test_unknown_sets_of_operators_are_refused(model, tmp_path, opset):
    del model.opset_import[:]
    model.opset_import.extend(helper.make_opsetid(*one) for one in opset)
    assert "operators" in refusal_of(repacked(model, tmp_path / "a.onnx"))


def test_tensors_of_another_size_than_they_say_are_refused(model, tmp_path):
    model.graph.initializer[0].dims[0] = 2**20
    assert "more or fewer numbers" in refusal_of(repacked(model, tmp_path / "a.onnx"))
    model.graph.initializer[0].dims[0] = 2**40
    assert "of type 1 and size" in refusal_of(repacked(model, tmp_path / "a.onnx"))


def test_a_tensor_of_very_many_sides_is_refused_at_once(model, tmp_path):
    model.graph.initializer[0].dims.extend([2**62] * 200_000)
    assert "a tensor has more than 8 sides" in refusal_of(repacked(model, tmp_path / "a.onnx"))


def test_sides_that_do_not_fit_are_refused(model, tmp_path):
    path = tmp_path / "a.onnx"
    sides = model.graph.input[0].type.tensor_type.shape.dim
    for number, size, problem in ((1, 4, "side 1 is 4, not 1"), (2, 300, "side 2 is 300, not any length")):
        changed = onnx.ModelProto()
        changed.CopyFrom(model)
        changed.graph.input[0].type.tensor_type.shape.dim[number].dim_value = size
        assert problem in refusal_of(repacked(changed, path))
    del sides[3]
    assert "expected images of 4 sides" in refusal_of(repacked(model, path))


def test_a_graph_whose_answers_have_another_shape_is_refused(model, tmp_path):
    """The graph of another receptive field: its file says otherwise, as only its maker could."""
    weights = [one for one in model.graph.node if one.op_type == "Conv"]
    dilations = next(one for one in weights[2].attribute if one.name == "dilations")
    dilations.ints[:] = [5, 5]
    path = repacked(model, tmp_path / "a.onnx")
    network = Engines(PredictorOptions(threads=1)).load(path)
    with pytest.raises(InputError, match=r"a\.onnx: answers images of|a\.onnx: cannot be run by"):
        network.predict(np.zeros((1, 8, 9, 10), np.float32), [0.0])


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"format": "other"}, "format 'other'"),
        ({"version": 3}, "of the format, and this is 2; use the version of this program that exported it"),
        ({"version": 1}, "was exported in version 1 of the format, and this is 2; export the network again"),
        ({"network": {}}, "is missing"),
        ({"images": {"multiple": 8, "margin": 9, "activation_bytes_per_voxel": 1.0}}, "do not fit the network"),
        ({"images": {"multiple": 1, "margin": 4, "activation_bytes_per_voxel": 1.0}}, "do not fit the network"),
        ({"images": {"multiple": 1, "margin": 9, "activation_bytes_per_voxel": -1}}, "no number of bytes"),
        ({"keep_largest": {"kept": {"1": -1}, "clip_to": None}}, "no number of voxels or components"),
        ({"keep_largest": 3}, "expected"),
    ],
)
def test_descriptions_that_contradict_themselves_are_refused(model, tmp_path, changes, problem):
    assert problem in refusal_of(repacked(model, tmp_path / "a.onnx", **changes))


def test_a_description_of_another_network_is_refused(model, tmp_path):
    network = document_in(model)["network"]
    for key, value in (
        ("receptive_field", 35),
        ("architecture", "dil3D"),
        ("architecture", "UNet2D"),
        ("architecture", "../x"),
        ("classes", {"names": ["0", "1"], "labels": [[0], [1]]}),
        ("predicts_uncertainty", True),
        ("options", ["flip"]),
        ("options", 5),
    ):
        changed = onnx.ModelProto()
        changed.CopyFrom(model)
        assert "description" in refusal_of(repacked(changed, tmp_path / "a.onnx", network={**network, key: value}))


def test_metadata_that_is_no_json_is_refused(model, tmp_path):
    for text in ("{", "[1, 2]", "NaN", '{"format": 1e999}', "[" * 100_000):
        model.metadata_props[0].value = text
        (tmp_path / "a.onnx").write_bytes(model.SerializeToString())
        assert "description" in refusal_of(tmp_path / "a.onnx")
