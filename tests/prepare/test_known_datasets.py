"""The commands of docs/data.md for known datasets run on folders of the same layout."""

import json
import re
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest
from moving_faces import FACE, FPS, moving
from PIL import Image

from megaportraits.cli import main
from megaportraits.data.video_writer import write_video
from megaportraits.prepare.records import read_manifest

DOCUMENT = Path(__file__).parents[2] / "docs/data.md"
COMMANDS = dict(re.findall(r"^\| ([A-Z][\w-]+) \|.*\| `(prepare .*)` \|$", DOCUMENT.read_text(), re.MULTILINE))
SMALL = "--size 64 --filters.least-scale 0.3 --filters.least-s 0.3 --filters.duplicate-bits -1 --run.workers 0"


def voxceleb2(root: Path, video: Path) -> None:
    for person in ("id00012", "id00015"):
        folder = root / f"vox2/dev/mp4/{person}/21Uxsk56VDQ"
        folder.mkdir(parents=True)
        shutil.copy(video, folder / "00001.mp4")


def vfhq(root: Path, video: Path) -> None:
    (root / "VFHQ/meta_info").mkdir(parents=True)
    (root / "VFHQ/videos").mkdir()
    shutil.copy(video, root / "VFHQ/videos/abc.mp4")
    facts = "Video: abc\nH 256\nW 376\nFPS 25\n\nCROP 0 0 376 256\n"
    (root / "VFHQ/meta_info/Clip+abc+P0+C0+F2-22.txt").write_text(facts)


def celebv_hq(root: Path, video: Path) -> None:
    (root / "CelebV-HQ/videos").mkdir(parents=True)
    shutil.copy(video, root / "CelebV-HQ/videos/abc.mp4")
    box = {"top": 0.0, "bottom": 1.0, "left": 0.0, "right": 1.0}
    clip = {"ytb_id": "abc", "duration": {"start_sec": 0.1, "end_sec": 0.9}, "bbox": box}
    (root / "CelebV-HQ/celebvhq_info.json").write_text(json.dumps({"clips": {"abc_0": clip}}))


def talkinghead_1kh(root: Path, video: Path) -> None:
    (root / "TH1KH/videos").mkdir(parents=True)
    shutil.copy(video, root / "TH1KH/videos/abc_0000.mp4")
    (root / "TH1KH/train_video_tubes.txt").write_text("abc_0000,256,376,2,22,0,0,376,256\n")


def ffhq(root: Path, video: Path) -> None:
    folder = root / "FFHQ/images1024x1024/00000"
    folder.mkdir(parents=True)
    for number in range(2):
        Image.fromarray(FACE if number else np.ascontiguousarray(FACE[:, ::-1])).save(folder / f"0000{number}.png")
    (root / "FFHQ/ffhq_aging_labels.csv").write_text("image_number,age_group\n0,3-6\n1,30-39\n")


@pytest.fixture(scope="module")
def video(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("video") / "face.mp4"
    write_video(path, moving(24), FPS)
    return path


@pytest.mark.parametrize(
    ("dataset", "make", "people"),
    [
        ("VoxCeleb2", voxceleb2, {"id00012", "id00015"}),
        ("VFHQ", vfhq, {"abc-P0"}),
        ("CelebV-HQ", celebv_hq, {"abc"}),
        ("TalkingHead-1KH", talkinghead_1kh, {"abc"}),
        ("FFHQ", ffhq, {"00001"}),
    ],
)
def test_the_documented_command_makes_clips(tmp_path, monkeypatch, video, dataset, make, people):
    monkeypatch.chdir(tmp_path)
    make(tmp_path, video)
    words = shlex.split(COMMANDS[dataset])
    assert main([*words, *shlex.split(SMALL)]) == 0
    records = read_manifest(tmp_path / words[words.index("--out") + 1])
    assert {record.identity for record in records if not record.reason} == people
    assert all(record.split in ("train", "val", "test") for record in records if not record.reason)
    assert {record.reason for record in records if record.reason} == ({"not an adult"} if dataset == "FFHQ" else set())
