"""Networks that a user brings, with tiny graphs of the same shapes."""

from pathlib import Path

import numpy as np
import pytest

from megaportraits.animate.onnx_nets import OnnxInpainting, OnnxMatting
from megaportraits.errors import UserError

onnx = pytest.importorskip("onnx", reason="onnx, by which the tiny networks are made, is not installed")
pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")


def graph(path: Path, nodes: list, inputs: dict[str, list], output: list, constants: dict | None = None) -> Path:
    make = onnx.helper
    tensors = [onnx.numpy_helper.from_array(np.array(v), name) for name, v in (constants or {}).items()]
    values = [make.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape) for name, shape in inputs.items()]
    result = make.make_tensor_value_info("out", onnx.TensorProto.FLOAT, output)
    model = make.make_model(
        make.make_graph(nodes, "tiny", values, [result], tensors), opset_imports=[make.make_opsetid("", 17)]
    )
    model.ir_version = 8
    onnx.save(model, path)
    return path


@pytest.fixture
def matting(tmp_path) -> Path:
    """The mean of the channels, from [-1, 1] to [0, 1]: bright is person. Free sizes."""
    make = onnx.helper.make_node
    nodes = [
        make("ReduceMean", ["image"], ["mean"], axes=[1], keepdims=1),
        make("Mul", ["mean", "half"], ["scaled"]),
        make("Add", ["scaled", "half"], ["out"]),
    ]
    shape = [1, 3, "height", "width"]
    return graph(tmp_path / "matte.onnx", nodes, {"image": shape}, [1, 1, "height", "width"], {"half": np.float32(0.5)})


def inpainting(path: Path, white: float) -> Path:
    """Red where the mask is, in pictures of 512 px; `white` is the value of full brightness."""
    make = onnx.helper.make_node
    red = np.array([white, 0, 0], np.float32).reshape(1, 3, 1, 1)
    nodes = [
        make("Sub", ["one", "mask"], ["known"]),
        make("Mul", ["image", "known"], ["kept"]),
        make("Mul", ["kept", "white"], ["bright"]),
        make("Mul", ["red", "mask"], ["fill"]),
        make("Add", ["bright", "fill"], ["out"]),
    ]
    inputs = {"image": [1, 3, 512, 512], "mask": [1, 1, 512, 512]}
    return graph(path, nodes, inputs, [1, 3, 512, 512], {"one": np.float32(1), "white": np.float32(white), "red": red})


def test_the_matte_is_where_the_network_says(matting):
    picture = np.zeros((50, 70, 3), np.uint8)
    picture[:, 35:] = 255
    matte = OnnxMatting(matting).matte(picture)
    assert matte.shape == (50, 70)
    assert matte[:, :30].max() < 0.02
    assert matte[:, 40:].min() > 0.98


@pytest.mark.parametrize("white", [1.0, 255.0])
def test_inpainting_changes_the_hole_only(white, tmp_path):
    picture = np.full((60, 80, 3), 0.4, np.float32)
    hole = np.zeros((60, 80), np.float32)
    hole[20:40, 30:50] = 1
    filled = OnnxInpainting(inpainting(tmp_path / "lama.onnx", white)).fill(picture, hole)
    assert filled[24:36, 34:46] == pytest.approx(np.broadcast_to([1, 0, 0], (12, 12, 3)), abs=0.01)
    assert (filled[hole == 0] == picture[hole == 0]).all()


def test_wrong_files_are_user_errors(matting, tmp_path):
    with pytest.raises(UserError, match="there is no file"):
        OnnxMatting(tmp_path / "missing.onnx")
    (tmp_path / "text.onnx").write_text("not a network")
    with pytest.raises(UserError, match="not a readable ONNX network"):
        OnnxMatting(tmp_path / "text.onnx")
    with pytest.raises(UserError, match="inpainting network"):
        OnnxInpainting(matting)


def test_an_answer_of_another_shape_is_a_user_error(tmp_path):
    identity = [onnx.helper.make_node("Identity", ["image"], ["out"])]
    shape = [1, 3, "height", "width"]
    net = OnnxMatting(graph(tmp_path / "same.onnx", identity, {"image": shape}, shape))
    with pytest.raises(UserError, match="answers shape"):
        net.matte(np.zeros((32, 32, 3), np.uint8))


def test_numbers_that_are_not_finite_are_a_user_error(tmp_path):
    make = onnx.helper.make_node
    nodes = [make("ReduceMean", ["image"], ["mean"], axes=[1], keepdims=1), make("Mul", ["mean", "bad"], ["out"])]
    path = graph(tmp_path / "nan.onnx", nodes, {"image": [1, 3, 64, 64]}, [1, 1, 64, 64], {"bad": np.float32(np.nan)})
    with pytest.raises(UserError, match="not finite"):
        OnnxMatting(path).matte(np.zeros((32, 32, 3), np.uint8))
