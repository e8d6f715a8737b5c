"""Photos become clips of one frame, or have a reason."""

import json
from importlib import resources

import numpy as np
import pytest
from moving_faces import FACE
from PIL import Image

from megaportraits.cli import main
from megaportraits.config import FilterConfig, PreparePhotos, RunnerConfig
from megaportraits.data.clips import read_clip
from megaportraits.data.stills import find_stills
from megaportraits.prepare.command import prepare_photos
from megaportraits.prepare.records import read_manifest


def save(path, picture: np.ndarray) -> None:
    Image.fromarray(picture).save(path)


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    save(folder / "good.png", FACE)
    save(folder / "copy.jpg", FACE)
    save(folder / "small.png", np.asarray(Image.fromarray(FACE).resize((96, 96))))
    save(folder / "two.png", np.concatenate([FACE, FACE[:, ::-1]], 1))
    save(folder / "close.png", np.ascontiguousarray(FACE[70:200, 70:190]))
    save(folder / "wall.png", np.full((80, 80, 3), 120, np.uint8))
    save(folder / "child.png", FACE)
    rows = [{"file": name} for name in ("good.png", "copy.jpg", "small.png", "two.png", "close.png", "wall.png")]
    rows.append({"file": "child.png", "adult": "no"})
    (folder / "list.json").write_text(json.dumps(rows))
    limits = FilterConfig(least_scale=0.8)
    config = PreparePhotos(
        (str(folder / "list.json"),), str(folder / "out"), size=256, filters=limits, run=RunnerConfig(workers=0)
    )
    prepare_photos(config)
    return folder / "out"


def test_each_photo_has_its_reason(out):
    reasons = {record.source: record.reason for record in read_manifest(out)}
    assert reasons == {
        "copy.jpg": "",
        "good.png": "the same as copy",
        "small.png": "the head is smaller than 205 px",
        "two.png": "more than one face",
        "close.png": "more than 55% of the square is outside the picture",
        "wall.png": "no face was found",
        "child.png": "not an adult",
    }


def test_a_still_is_a_clip_of_one_frame(out):
    (still,) = find_stills([out])
    clip = read_clip(still)
    assert clip.rgb.shape == (1, 256, 256, 3)
    assert clip.truth.landmarks.shape == (1, 478, 2)
    assert np.abs(clip.rgb[0].astype(int) - np.asarray(FACE, int)).mean() < 60


def test_words_before_options_are_the_photos(tmp_path, capsys):
    photo = str(resources.files("megaportraits.demo") / "source.png")
    words = ["--out", str(tmp_path / "out"), "--size", "64", "--run.workers", "0"]
    assert main(["prepare", "photos", photo, *words]) == 0
    assert "1 clips (1 frames) of 1 files" in capsys.readouterr().out
    assert main(["prepare", "report", str(tmp_path / "out")]) == 0
    page = (tmp_path / "out/report.html").read_text()
    assert "<dt>clips taken</dt><dd>1</dd>" in page
    assert "data:image/jpeg" in page
    assert main(["prepare", "report", str(tmp_path)]) == 2
    assert "holds no readable manifest.jsonl" in capsys.readouterr().err
