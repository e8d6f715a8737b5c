"""The Python examples of the guides run as they stand."""

import itertools
import re
from importlib import resources
from pathlib import Path

import pytest

import megaportraits
from megaportraits.data.pictures import read_picture, write_picture
from megaportraits.data.track import video_square
from megaportraits.data.video import read_frames
from megaportraits.data.video_writer import write_video

ROOT = Path(__file__).parents[1]
GUIDES = ("README.md", "docs/animate.md", "docs/motion.md")
DEMO = Path(str(resources.files("megaportraits.demo")))


def examples(guide: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", (ROOT / guide).read_text(), re.DOTALL)


@pytest.mark.parametrize("guide", GUIDES)
def test_examples_run_in_their_order(guide, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_picture("photo.jpg", read_picture(DEMO / "source.png"))
    write_video("driver.mp4", itertools.islice(read_frames(DEMO / "driver.mp4"), 4), 25)
    crop = video_square(Path("driver.mp4")).cut(next(read_frames("driver.mp4")), 256)
    known = {"crop": crop, "model_hash": megaportraits.Animator.load().model_hash}
    assert examples(guide)
    for example in examples(guide):
        exec(example, known)
    made = {"README.md": "out.mp4", "docs/animate.md": "photo.safetensors", "docs/motion.md": "still.mpmotion"}
    assert (tmp_path / made[guide]).is_file()


def test_only_what_is_public_is_there():
    assert megaportraits.Animator.__name__ == "Animator"
    with pytest.raises(AttributeError, match="Avatar"):
        _ = megaportraits.Avatar
