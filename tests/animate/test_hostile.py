"""Wrong input: one sentence, exit code 2, and nothing left behind."""

import json
import shutil
import struct
import zlib
from collections.abc import Callable
from importlib import resources
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import save_file

from megaportraits.cli import main
from megaportraits.data.video_writer import write_video

DEMO = Path(str(resources.files("megaportraits.demo")))
Make = Callable[[Path], str]


def named(name: str) -> Make:
    return lambda folder: str(folder / name)


def words(text: str) -> Make:
    return lambda folder: text


def file(name: str, content: bytes = b"not what it says\n") -> Make:
    def make(folder: Path) -> str:
        (folder / name).write_bytes(content)
        return str(folder / name)

    return make


def noise(name: str) -> Make:
    return file(name, np.random.default_rng(0).integers(0, 256, 4000, np.uint8).tobytes())


def half_of(original: Path, share: float = 0.5) -> Make:
    content = original.read_bytes()
    return file(original.name, content[: int(share * len(content))])


def half_jpeg(folder: Path) -> str:
    Image.open(DEMO / "source.png").convert("RGB").save(folder / "whole.jpg")
    return half_of(folder / "whole.jpg", 0.3)(folder)


def grey_picture(folder: Path) -> str:
    Image.fromarray(np.full((80, 80, 3), 120, np.uint8)).save(folder / "grey.png")
    return str(folder / "grey.png")


def enormous_picture(folder: Path) -> str:
    """A header that promises 60,000 x 60,000 pixels."""
    head = b"IHDR" + struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + head + struct.pack(">I", zlib.crc32(head))
    return file("bomb.png", b"\x89PNG\r\n\x1a\n" + chunk)(folder)


def grey_video(folder: Path) -> str:
    write_video(folder / "grey.mp4", [np.full((80, 80, 3), 120, np.uint8)] * 3, 25)
    return str(folder / "grey.mp4")


def sound_only(folder: Path) -> str:
    with av.open(str(folder / "sound.m4a"), "w") as container:
        stream = container.add_stream("aac", rate=16_000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        frame.rate = 16_000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return str(folder / "sound.m4a")


def empty_folder(name: str) -> Make:
    def make(folder: Path) -> str:
        (folder / name).mkdir()
        return str(folder / name)

    return make


def folder_with_a_broken_picture(folder: Path) -> str:
    shutil.copy(DEMO / "source.png", folder / "1.png")
    file("2.png")(folder)
    return str(folder)


def motion_file(**changes) -> Make:
    def make(folder: Path) -> str:
        tensors = {
            "rotation": np.tile(np.eye(3, dtype=np.float32), (2, 1, 1)),
            "scale": np.ones(2, np.float32),
            "translation": np.zeros((2, 3), np.float32),
            "expression": np.zeros((2, 16), np.float32),
            "timestamps": np.array([[0, 25], [1, 25]], np.int64),
        }
        facts = {"format": "mpmotion", "version": "1", "fps": "25/1", "model": "of another encoder"}
        for name, value in changes.items():
            (facts if isinstance(value, str) else tensors)[name] = value
        save_file(tensors, folder / "driver.mpmotion", facts)
        return str(folder / "driver.mpmotion")

    return make


def broken_weights(folder: Path) -> str:
    (folder / "model.safetensors").write_bytes(b"broken")
    (folder / "config.json").write_text(json.dumps({"schema_version": 1, "kind": "base", "model": {}}))
    return str(folder)


def inside_a_file(folder: Path) -> str:
    return file("file")(folder) + "/out.mp4"


BAD: dict[str, tuple[str, Make, str]] = {
    "no source file": ("--source", named("missing.jpg"), "no file"),
    "source is a text": ("--source", file("photo.jpg"), "not a readable picture"),
    "source is empty": ("--source", file("photo.jpg", b""), "not a readable picture"),
    "source is noise": ("--source", noise("photo.png"), "not a readable picture"),
    "source is a folder": ("--source", str, "is a folder; give the path of a picture"),
    "source is cut off": ("--source", half_jpeg, "not a readable picture"),
    "source promises billions of pixels": ("--source", enormous_picture, "not a readable picture"),
    "source is a video": ("--source", words(str(DEMO / "driver.mp4")), "not a readable picture"),
    "no face in the source": ("--source", grey_picture, "no face"),
    "no driver file": ("--driver", named("missing.mp4"), "no file"),
    "driver is a text": ("--driver", file("driver.mp4"), "not a video"),
    "driver is empty": ("--driver", file("driver.mp4", b""), "not a video"),
    "driver is noise": ("--driver", noise("driver.mkv"), "not a video"),
    "driver is cut off": ("--driver", half_of(DEMO / "driver.mp4"), "driver.mp4"),
    "driver is sound only": ("--driver", sound_only, "no picture"),
    "driver is an empty folder": ("--driver", empty_folder("frames"), "holds no picture"),
    "driver folder has a broken picture": ("--driver", folder_with_a_broken_picture, "not a readable picture"),
    "driver is no camera": ("--driver", words("97"), "camera 97"),
    "no face in the driver": ("--driver", grey_video, "no face"),
    "motion file is a text": ("--driver", file("driver.mpmotion"), "driver.mpmotion"),
    "motion file is missing": ("--driver", named("missing.mpmotion"), "missing.mpmotion"),
    "motion file of another version": ("--driver", motion_file(version="9"), "version"),
    "motion file of another model": ("--driver", motion_file(), "another motion encoder"),
    "motion file with a number missing": ("--driver", motion_file(scale=np.full(2, np.nan, np.float32)), "scale"),
    "motion file of other lengths": ("--driver", motion_file(scale=np.ones(3, np.float32)), "scale"),
    "motion file that runs backwards": (
        "--driver", motion_file(timestamps=np.array([[1, 25], [0, 25]], np.int64)), "ascend",
    ),
    "no such weights": ("--weights", named("nowhere"), "no weights"),
    "broken weights": ("--weights", broken_weights, "safetensors"),
    "weights that do not come along": ("--weights", words("paper-512"), "holds no weights of preset"),
    "output under a file": ("--output", inside_a_file, "cannot write"),
    "output of another kind": ("--output", named("out.gif"), "no kind of output"),
    "output is a folder with other files": ("--output", lambda f: str(Path(broken_weights(f))), "other files"),
    "unknown device": ("--device", words("abacus"), "abacus"),
    "unknown precision": ("--precision", words("fp1"), "fp1"),
    "angles that are none": ("--rotate", words("left"), "left"),
    "too large an angle": ("--rotate", words("0,200,0"), "200"),
    "sweep of nothing": ("--sweep", words("nose:0..3"), "nose"),
    "no such face": ("--face", words("5"), "face"),
    "face of another word": ("--face", words("smallest"), "smallest"),
    "no such reference frame": ("--reference", words("1000"), "reference frame 1000"),
    "negative reference frame": ("--reference", words("-1"), "reference"),
    "negative smoothing": ("--smooth", words("-1"), "smooth"),
    "no length": ("--seconds", words("0"), "seconds"),
    "unknown policy": ("--no-face", words("panic"), "panic"),
    "background that is nothing": ("--background", words("bluish"), "bluish"),
    "background file is missing": ("--background", named("beach.jpg"), "beach.jpg"),
    "background file is a text": ("--background", file("beach.mp4"), "beach.mp4"),
    "transparent mp4": ("--background", words("transparent"), "transparent"),
    "sound file is missing": ("--audio", named("missing.wav"), "missing.wav"),
    "sound file is a text": ("--audio", file("sound.wav"), "sound.wav"),
    "sound file has no sound": ("--audio", words(str(DEMO / "driver.mp4")), "no sound"),
    "matting network is a text": ("--matte-net", file("net.onnx"), "net.onnx"),
    "inpainting network is a text": ("--plate-net", file("net.onnx"), "net.onnx"),
    "preview into a video": ("--preview", words("true"), "preview"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_sentence_and_code_2(case, tiny_weights, driver, tmp_path, capsys):
    option, make, reason = BAD[case]
    (tmp_path / "in").mkdir()
    options = {
        "--source": str(DEMO / "source.png"),
        "--driver": str(driver),
        "--output": str(tmp_path / "results" / "out.mp4"),
        "--weights": str(tiny_weights),
    }
    options[option] = make(tmp_path / "in")
    before = {path: path.read_bytes() for path in [*tmp_path.rglob("*"), *DEMO.iterdir()] if path.is_file()}
    assert main(["animate", *(word for pair in options.items() for word in pair)]) == 2
    said = capsys.readouterr().err
    assert reason in said
    assert said.count("\n") == 1
    assert "Traceback" not in said
    after = {path: path.read_bytes() for path in [*tmp_path.rglob("*"), *DEMO.iterdir()] if path.is_file()}
    assert after == before
