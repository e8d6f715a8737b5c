"""Choice of device and numbers, and what happens when they fail."""

import pytest
import torch
from torch import nn

from megaportraits.animate.devices import Arithmetic, Batches, device_of, leave_a_core, out_of_memory
from megaportraits.animate.painter import open_painter
from megaportraits.config import preset
from megaportraits.errors import UserError
from megaportraits.models.base import BaseModel
from megaportraits.models.blocks import fold_weights
from megaportraits.models.network import shipped_weights
from megaportraits.tensors import Prediction

CPU = torch.device("cpu")


@pytest.fixture
def model() -> BaseModel:
    torch.manual_seed(0)
    return fold_weights(BaseModel(preset("tiny")).eval()).requires_grad_(False)


class Spoiled(nn.Module):
    """A network whose picture is spoiled in some numbers."""

    def __init__(self, net: nn.Module, spoil):
        super().__init__()
        self.net, self.spoil = net, spoil

    def forward(self, x):
        prediction = self.net(x)
        kind = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else torch.float32
        return Prediction(self.spoil(prediction.rgb, kind), prediction.matte)


def seen(monkeypatch, cuda: bool, mps: bool) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)


@pytest.mark.parametrize(("cuda", "mps", "wanted"), [(True, True, "cuda"), (False, True, "mps"), (False, False, "cpu")])
def test_auto_takes_the_fastest_device_there_is(monkeypatch, cuda, mps, wanted):
    seen(monkeypatch, cuda, mps)
    assert device_of("auto").type == wanted
    assert device_of("cpu").type == "cpu"


@pytest.mark.parametrize("name", ["cuda", "mps"])
def test_a_missing_device_is_a_user_error(monkeypatch, name):
    seen(monkeypatch, cuda=False, mps=False)
    with pytest.raises(UserError, match=f"device '{name}' was asked for.*choose --device cpu"):
        device_of(name)


def test_auto_numbers_depend_on_the_device():
    kinds = {kind: Arithmetic(torch.device(kind), "auto").precision for kind in ("cpu", "cuda", "mps")}
    assert kinds == {"cpu": "fp32", "cuda": "fp16", "mps": "fp16"}
    assert Arithmetic(torch.device("cuda"), "fp32").precision == "fp32"


def test_arithmetic_computes_in_the_wanted_numbers():
    weights = torch.ones(4, 4)
    kinds = [Arithmetic(CPU, p).finite(lambda: weights @ weights).dtype for p in ("fp32", "bf16", "fp16")]
    assert kinds == [torch.float32, torch.bfloat16, torch.float16]


def test_an_overflow_is_computed_again_in_safer_numbers_for_good(capsys):
    large = torch.full((4, 4), 300.0)
    arithmetic = Arithmetic(CPU, "fp16")
    assert arithmetic.finite(lambda: large @ large)[0, 0].item() == pytest.approx(360_000, rel=0.01)
    assert arithmetic.precision == "bf16"
    assert capsys.readouterr().err.count("\n") == 1
    assert arithmetic.finite(lambda: (large, large @ large))[1].dtype == torch.bfloat16
    assert capsys.readouterr().err == ""


def test_numbers_that_are_not_finite_in_fp32_either_are_a_user_error(capsys):
    arithmetic = Arithmetic(CPU, "fp16")
    with pytest.raises(UserError, match="not finite on cpu, in fp32 too"):
        arithmetic.finite(lambda: torch.tensor(torch.nan))
    assert capsys.readouterr().err.count("going on with") == 2


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"),
        RuntimeError("MPS backend out of memory"),
        RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory: you tried ..."),
        MemoryError(),
    ],
)
def test_batches_are_halved_when_memory_is_short_and_stay_so(error, capsys):
    asked = []

    def compute(rows: slice) -> list[int]:
        asked.append(rows.stop - rows.start)
        if asked[-1] > 2:
            raise error
        return list(range(rows.start, rows.stop))

    batches = Batches(8)
    assert [n for part in batches.over(7, compute) for n in part] == list(range(7))
    assert asked == [7, 3, 1, 1, 1, 1, 1, 1, 1]
    assert batches.size == 1
    assert capsys.readouterr().err.count("memory is short") == 1
    assert batches.over(0, compute) == []


def test_memory_for_less_than_one_picture_is_a_user_error(capsys):
    def compute(rows: slice) -> None:
        raise torch.OutOfMemoryError("out of memory")

    with pytest.raises(UserError, match="not enough memory for one picture"):
        Batches(4).over(4, compute)
    assert capsys.readouterr().err.count("\n") == 1


def test_other_errors_pass():
    def compute(rows: slice) -> None:
        raise RuntimeError("shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="multiplied"):
        Batches(4).over(4, compute)
    assert not out_of_memory(RuntimeError("shapes cannot be multiplied"))


def test_the_shipped_model_keeps_its_numbers(capsys):
    painter = open_painter(BaseModel.load(shipped_weights()), "cpu", "bf16")
    assert painter.arithmetic.precision == "bf16"
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (lambda rgb, kind: rgb * torch.nan if kind == torch.float16 else rgb, "bf16"),
        (lambda rgb, kind: rgb * 0 if kind == torch.float16 else rgb, "bf16"),
        (lambda rgb, kind: rgb if kind == torch.float32 else rgb.flip(3) * 0.5, "fp32"),
        (lambda rgb, kind: rgb, "fp16"),
    ],
    ids=["not-a-number", "black", "another-picture", "right"],
)
def test_the_probe_falls_back_to_numbers_that_paint_the_same_picture(model, monkeypatch, capsys, spoil, expected):
    monkeypatch.setattr(model, "g2d", Spoiled(model.g2d, spoil))
    painter = open_painter(model, "cpu", "fp16")
    assert painter.arithmetic.precision == expected
    steps = ["fp16", "bf16", "fp32"].index(expected)
    assert capsys.readouterr().err.count("going on with") == steps


def test_numbers_a_device_does_not_have_are_passed_over(model, monkeypatch, capsys):
    def spoil(rgb, kind):
        if kind == torch.float16:
            raise RuntimeError("not implemented for 'Half'")
        return rgb

    monkeypatch.setattr(model, "g2d", Spoiled(model.g2d, spoil))
    assert open_painter(model, "cpu", "fp16").arithmetic.precision == "bf16"


def test_a_gpu_that_cannot_compute_is_left_for_the_cpu_only_where_none_was_asked_for(model, monkeypatch, capsys):
    seen(monkeypatch, cuda=True, mps=False)
    monkeypatch.setattr(model, "to", lambda device: model)
    broken = lambda image: (_ for _ in ()).throw(RuntimeError("no kernel image\nmore"))  # noqa: E731
    with monkeypatch.context() as patched:
        patched.setattr("megaportraits.animate.painter.Painter.images", lambda self, crops: broken(crops))
        painter = open_painter(model, "auto", "auto")
        assert (painter.device.type, painter.arithmetic.precision) == ("cpu", "fp32")
        assert "cuda cannot compute this model; going on with the CPU" in capsys.readouterr().err
        with pytest.raises(UserError, match=r"cannot compute on cuda \(no kernel image\); choose --device cpu"):
            open_painter(model, "cuda", "auto")


def test_a_core_is_left(monkeypatch):
    chosen = []
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    monkeypatch.setattr(torch, "set_num_threads", chosen.append)
    leave_a_core()
    monkeypatch.setattr(torch, "get_num_threads", lambda: 8)
    leave_a_core()
    assert chosen == [1, 7]
