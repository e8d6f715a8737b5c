"""The enhancer in use: sizes, tiles where memory is short, sources, from files to files; random `tiny` models."""

from dataclasses import replace
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
import torch

from megaportraits.animate import Animator
from megaportraits.animate.devices import Arithmetic
from megaportraits.animate.enlarge import Enlarger, doublings
from megaportraits.animate.painter import Painter
from megaportraits.cli import main
from megaportraits.config import enhancer_preset, preset
from megaportraits.data.pictures import read_picture
from megaportraits.data.video import probe
from megaportraits.errors import UserError
from megaportraits.models.base import BaseModel
from megaportraits.models.blocks import fold_weights
from megaportraits.models.enhancer import Enhancer, doubled
from megaportraits.tensors import Prediction

DEMO = Path(str(resources.files("megaportraits.demo")))
SOURCE = DEMO / "source.png"
CPU = torch.device("cpu")


def random_enhancer(norm: bool = True) -> Enhancer:
    """One that adds something everywhere."""
    torch.manual_seed(1)
    enhancer = Enhancer(replace(enhancer_preset("enhancer-tiny"), norm=norm, spectral_norm=False))
    torch.nn.init.normal_(enhancer.decoder.conv.weight, std=0.05)
    return fold_weights(enhancer.eval()).requires_grad_(False)


@pytest.fixture(scope="module")
def enhancer_folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("enhancer")
    random_enhancer().save(folder)
    return folder


@pytest.fixture(scope="module")
def base_folder(tmp_path_factory) -> Path:
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("base")
    BaseModel(preset("tiny")).eval().save(folder)
    return folder


@pytest.fixture(scope="module")
def large(base_folder, enhancer_folder) -> Animator:
    return Animator.load(base_folder, "cpu", resolution=128, enhancer=enhancer_folder)


def low(count: int = 1, side: int = 256) -> Prediction:
    draw = torch.Generator().manual_seed(2)
    return Prediction(*(torch.rand(count, c, side, side, generator=draw) for c in (3, 1)))


def test_resolutions_are_the_models_own_and_its_doubles():
    assert [doublings(128, side) for side in (0, 128, 256, 512, 1024)] == [0, 0, 1, 2, 3]
    with pytest.raises(UserError, match=r"resolution 300 came.*give 128, 256, 512 or 1024"):
        doublings(128, 300)


def test_tiles_make_the_same_picture_where_nothing_sees_the_whole():
    enhancer, prediction = random_enhancer(norm=False), low()
    whole = enhancer.enhance(prediction)
    for tile_px in (64, 100):
        tiled = enhancer.enhance_in_tiles(prediction, tile_px)
        torch.testing.assert_close(tiled.rgb, whole.rgb, rtol=0, atol=1e-5)
        assert torch.equal(tiled.matte, whole.matte)
    assert (whole.rgb - doubled(prediction.rgb)).abs().mean() > 0.01


@pytest.mark.parametrize("name", ["enhancer-small", "enhancer-tiny"])
def test_a_pixel_acts_no_farther_than_the_reach(name):
    torch.manual_seed(1)
    enhancer = Enhancer(replace(enhancer_preset(name), norm=False)).eval()
    torch.nn.init.normal_(enhancer.decoder.conv.weight, std=0.05)
    rgb = low().rgb.double().requires_grad_()
    enhancer.double()(rgb)[..., 256, 256].sum().backward()
    acts = rgb.grad.abs().amax((0, 1)).nonzero()
    farthest = int((acts - 128).abs().max())
    assert 0.7 * enhancer.config.reach_px < farthest <= enhancer.config.reach_px


def test_short_memory_makes_tiles_which_get_smaller_and_stay_so(monkeypatch, capsys):
    enhancer, seen = random_enhancer(norm=False), []
    wanted = enhancer.enhance(low(2)).rgb
    forward = enhancer.forward

    def limited(rgb, matte=None):
        seen.append(tuple(rgb.shape))
        if rgb.shape[-1] > 150:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return forward(rgb, matte)

    monkeypatch.setattr(enhancer, "forward", limited)
    enlarger = Enlarger(enhancer, 1, Arithmetic(CPU, "fp32"))
    torch.testing.assert_close(enlarger(low(2)).rgb, wanted, rtol=0, atol=1e-5)
    assert enlarger.tile_px == 64
    assert all(shape[0] == 1 for shape in seen)
    assert capsys.readouterr().err.count("memory is short") == 2
    monkeypatch.setattr(enhancer, "forward", lambda rgb, matte=None: limited(torch.zeros(1, 3, 999, 999)))
    with pytest.raises(torch.OutOfMemoryError):
        enlarger(low())


def test_other_errors_are_not_taken_for_short_memory(monkeypatch):
    enhancer = random_enhancer()

    def broken(rgb, matte=None):
        raise RuntimeError("a size does not fit")

    monkeypatch.setattr(enhancer, "forward", broken)
    with pytest.raises(RuntimeError, match="does not fit"):
        Enlarger(enhancer, 1, Arithmetic(CPU, "fp32"))(low())


def test_results_are_the_base_models_pictures_enhanced(base_folder, enhancer_folder, large):
    """The base model sees its own size; detail appears inside the matte only."""
    plain = Animator.load(base_folder, "cpu")
    assert (plain.base_px, plain.size_px, large.base_px, large.size_px) == (64, 64, 64, 128)
    small, big = plain.prepare(SOURCE), large.prepare(SOURCE)
    assert big.crop.shape == (128, 128, 3)
    assert big.matte.shape == (128, 128)
    assert torch.equal(small.canonical.volume, big.canonical.volume)
    (rgb, matte), (fine, fine_matte) = plain.paint(small.motion, small), large.paint(big.motion, big)
    picture = Prediction(torch.from_numpy(rgb).permute(0, 3, 1, 2), torch.from_numpy(matte)[:, None])
    wanted = Enhancer.load(enhancer_folder).enhance(picture)
    np.testing.assert_allclose(fine, wanted.rgb.permute(0, 2, 3, 1).numpy(), atol=1e-5)
    np.testing.assert_allclose(fine_matte, wanted.matte[:, 0].numpy(), atol=1e-6)


def test_sources_are_bound_to_the_resolution(base_folder, large, tmp_path):
    source = large.set_source(SOURCE)
    large.save_source(tmp_path / "me.mpsource")
    again = large.load_source(tmp_path / "me.mpsource")
    assert np.array_equal(again.crop, source.crop)
    with pytest.raises(UserError, match=r"made for results of 128 px, but they shall have 64; .* resolution 128"):
        Animator.load(base_folder, "cpu").load_source(tmp_path / "me.mpsource")


def test_videos_have_the_wanted_resolution(base_folder, enhancer_folder, driver, tmp_path, capsys):
    words = ["--weights", str(base_folder), "--enhancer", str(enhancer_folder)]
    out = tmp_path / "out.mp4"
    assert main(["animate", str(SOURCE), str(driver), str(out), *words, "--resolution", "256"]) == 0
    assert (probe(out).width, probe(out).height, probe(out).frame_count) == (256, 256, 9)
    capsys.readouterr()
    assert main(["animate", str(SOURCE), str(driver), str(out), *words, "--resolution", "100"]) == 2
    assert "give 64, 128, 256 or 512" in capsys.readouterr().err


def test_steady_filters_the_frames_after_the_first(large, driver, tmp_path):
    shown = {}
    for strength in (0.0, 0.6):
        large.animate(SOURCE, driver, tmp_path / f"frames{10 * strength:.0f}", progress=False, steady=strength)
        files = sorted((tmp_path / f"frames{10 * strength:.0f}").iterdir())
        shown[strength] = np.stack([read_picture(file) for file in files]).astype(int)
    assert shown[0.0].shape == (9, 128, 128, 3)
    assert np.array_equal(shown[0.0][0], shown[0.6][0])
    assert np.abs(shown[0.0][1:] - shown[0.6][1:]).max() > 3


def test_a_painter_without_doublings_needs_no_enhancer():
    torch.manual_seed(0)
    model = fold_weights(BaseModel(preset("tiny")).eval())
    assert Painter(model, CPU, "fp32", random_enhancer(), 0).size_px == 64
