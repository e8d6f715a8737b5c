"""Protocol "enhance": the enhancer and other ways to twice the base model's size."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageFilter
from torch import nn

from megaportraits.animate import Animator
from megaportraits.config import EvaluateConfig, enhancer_preset
from megaportraits.config.compare import CompareConfig
from megaportraits.data.clips import read_info
from megaportraits.errors import UserError
from megaportraits.evaluate.command import evaluate
from megaportraits.evaluate.compare import compare
from megaportraits.evaluate.doubling import DoublingMethods
from megaportraits.evaluate.driven import DrivenModel
from megaportraits.evaluate.methods import BICUBIC, ENHANCED, LANCZOS, MODEL, SOURCE, STEADY
from megaportraits.evaluate.protocols import Sample, load_samples, possible_protocols
from megaportraits.evaluate.results import Results, read_results
from megaportraits.files import file_hash
from megaportraits.models.enhancer import Enhancer, doubled

BASE_PX = 64
METHODS = [BICUBIC, LANCZOS, ENHANCED, STEADY, SOURCE]


@pytest.fixture(scope="module")
def enhancers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """An untrained enhancer, which doubles bilinearly, and one that makes everything brighter by about 0.1."""
    folder = tmp_path_factory.mktemp("enhancers")
    torch.manual_seed(0)
    enhancer = Enhancer(enhancer_preset("enhancer-tiny")).eval()
    enhancer.save(folder / "untrained")
    nn.init.constant_(enhancer.decoder.conv.bias, 0.1)
    enhancer.save(folder / "brighter")
    return {name: folder / name for name in ("untrained", "brighter")}


@pytest.fixture
def config(large_clips: Path, random_weights: Path, enhancers: dict[str, Path], tmp_path: Path) -> EvaluateConfig:
    return EvaluateConfig(
        str(large_clips), str(tmp_path / "a"), "enhance", str(random_weights), str(enhancers["untrained"]), frames=2,
        step=1, device="cpu",
    )  # fmt: skip


@pytest.fixture
def sample(config) -> Sample:
    return load_samples(config, "enhance", 2 * BASE_PX).samples[0]


def run(config: EvaluateConfig, **changes: object) -> Results:
    config = replace(config, **changes)
    evaluate(config)
    return read_results(config.output)


def methods_of(config: EvaluateConfig, name: str = "") -> DoublingMethods:
    enhancer = Enhancer.load(Path(config.enhancer).parent / (name or Path(config.enhancer).name))
    return DoublingMethods(Animator.load(config.weights, "cpu"), enhancer)


def test_all_ways_start_from_the_same_base_pictures(config, sample):
    """The base model sees the drawn heads at its own size."""
    ours = methods_of(config)
    low = ours.base(sample).rgb
    small = [nn.functional.avg_pool2d(f.rgb.float(), 2).add(0.5).byte() for f in (sample.source, sample.driver)]
    assert [t.tolist() for t in small] == [f.halved().rgb.tolist() for f in (sample.source, sample.driver)]
    image, matte = sample.source.halved().picture(), sample.source.halved().foreground()
    with torch.inference_mode():
        wanted = ours.model.model(image.expand(2, -1, -1, -1), matte.expand(2, -1, -1, -1), small[1] / 255).rgb
    torch.testing.assert_close(low, wanted, atol=1e-4, rtol=0)
    torch.testing.assert_close(ours.enhanced(sample), doubled(low), msg="an untrained enhancer doubles")
    bicubic = nn.functional.interpolate(low, size=2 * BASE_PX, mode="bicubic", align_corners=False).clamp(0, 1)
    torch.testing.assert_close(ours.bicubic(sample), bicubic)


def test_the_sharpened_way_is_pillows(config, sample):
    ours = methods_of(config)
    picture = Image.fromarray((ours.base(sample).rgb[1] * 255 + 0.5).byte().permute(1, 2, 0).numpy())
    large = picture.resize((2 * BASE_PX, 2 * BASE_PX), Image.Resampling.LANCZOS)
    wanted = np.asarray(large.filter(ImageFilter.UnsharpMask(2, 100, 0)))
    assert (ours.sharpened(sample)[1] * 255).round().byte().permute(1, 2, 0).numpy().tolist() == wanted.tolist()


def test_the_enhancer_stays_inside_the_matte(config, sample):
    """The tiny model paints a matte; what the enhancer adds is weighed by it."""
    ours = methods_of(config, "brighter")
    low = ours.base(sample)
    added = ours.enhanced(sample) - doubled(low.rgb)
    with torch.inference_mode():
        residual = ours.enhancer.residual(low.rgb)
    expected = residual if low.matte is None else doubled(low.matte) * residual
    assert added.abs().max() > 0.01
    torch.testing.assert_close(added, (doubled(low.rgb) + expected).clamp(0, 1) - doubled(low.rgb), atol=1e-5, rtol=0)


def test_protocol_from_data_to_files(config, enhancers, monkeypatch, tmp_path, capsys):
    """Scores of two enhancers, of which the first runs once; the small clip is left out."""
    painted = []
    paint = DrivenModel.painted

    def counting(self, one: Sample, motion):
        painted.append((one.number, one.source.rgb.shape[-1]))
        return paint(self, one, motion)

    monkeypatch.setattr(DrivenModel, "painted", counting)
    first, again = run(config), run(config)
    assert painted == [(0, BASE_PX), (1, BASE_PX)], "once for each sample, at its own size; what is done is read"
    assert again.rows == first.rows
    assert first.size_px == 2 * BASE_PX
    assert "id2_motion0 has pictures of 96 px" in first.left_out[0]
    assert first.columns == ["source", "right answer", *METHODS]
    assert {row.method for row in first.rows} == {*METHODS, "right answer"}
    assert first.enhancer_sha256 == file_hash(enhancers["untrained"] / "model.safetensors")
    assert first.settings["enhancer"] == "untrained"
    scores = first.rows[1].scores
    assert {
        f"{r}_{m}" for r in ("raw", "head", "mouth", "eyes") for m in ("psnr_db", "sharpness", "gradient_error")
    } <= {key for key, value in scores.items() if value is not None}
    assert scores["head_warp_error"] is not None
    text = capsys.readouterr().out
    assert "head gradient error" in text
    assert "head warp error" in text
    with Image.open(tmp_path / "a/pictures/000-0001.jpg") as strip:
        assert strip.size == ((2 + len(METHODS)) * 2 * BASE_PX, 2 * BASE_PX)
    with Image.open(tmp_path / "a/contact_sheet.png") as sheet:
        assert sheet.size == ((2 + len(METHODS)) * 320, 40 + 2 * 320)
    page = (tmp_path / "a/report.html").read_text()
    assert f"By the scores of the method “{ENHANCED}”" in page
    assert first.enhancer_sha256 in page

    second = run(config, enhancer=str(enhancers["brighter"]), output=str(tmp_path / "b"))
    assert [r for r in second.rows if r.method == BICUBIC] == [r for r in first.rows if r.method == BICUBIC]
    capsys.readouterr()
    compare(CompareConfig(str(tmp_path / "a"), str(tmp_path / "b")))
    text = capsys.readouterr().out
    assert f"A: {ENHANCED}" in text
    assert f"enhancer {second.enhancer_sha256[:12]}" in text
    assert "| head gradient error ↓ |" in text


def test_another_enhancer_in_the_same_folder_is_scored_anew(config, enhancers):
    config = replace(config, count=1, frames=1)
    found = [run(config, enhancer=str(enhancers[name])).rows for name in ("untrained", "brighter")]
    values = [{row.scores["raw_l1"] for row in rows if row.method == ENHANCED} for rows in found]
    assert values[0].isdisjoint(values[1])


def test_other_systems_are_given_the_large_pictures(config, tmp_path):
    evaluate(replace(config, count=1, inputs=str(tmp_path / "inputs")))
    with Image.open(tmp_path / "inputs/000/source.png") as source:
        assert source.size == (2 * BASE_PX, 2 * BASE_PX)
    shutil.copytree(tmp_path / "inputs/000/driver", tmp_path / "peer/000")
    rows = run(config, count=1, outputs=(f"peer={tmp_path / 'peer'}",)).rows
    assert all(row.scores["eyes_psnr_db"] > 35 for row in rows if row.method == "peer")
    with pytest.raises(UserError, match="name of its own"):
        run(config, count=1, outputs=(f"{BICUBIC}={tmp_path / 'peer'}",))


def test_reports_are_about_the_enhancer():
    made = Results("enhance", "", "", 128, {}, [], [], {}, {}, {})
    assert (made.evaluated, replace(made, protocol="self").evaluated) == (ENHANCED, MODEL)
    assert made.enhancer_sha256 == ""


def test_clips_below_the_results_size_alone_are_refused(crossed_clips, config):
    assert read_info(crossed_clips / "id0_motion0").size_px < 2 * BASE_PX
    with pytest.raises(UserError, match=r"no right answer of 128 px; give clips of at least that"):
        run(config, data=str(crossed_clips))


def test_an_enhancer_belongs_to_its_protocol(config, large_clips, random_weights, tmp_path):
    for protocol in ("truth", "self", "cross", "all"):
        with pytest.raises(UserError, match="give --protocol enhance"):
            replace(config, protocol=protocol)
    assert "enhance" not in possible_protocols(config)
    with pytest.raises(UserError, match="'enhancer' model was wanted"):
        run(config, enhancer=str(random_weights))
