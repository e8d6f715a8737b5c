"""The page in headless Chromium with a fake webcam: what a user sees and does, with the avatars of the package."""

import base64
import io
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from megaportraits.data.faces import FaceTracker
from megaportraits.data.provenance import read_statement
from megaportraits.data.video import probe, read_frames
from megaportraits.data.watermark import FOUND
from megaportraits.data.watermark import score as mark_score
from megaportraits.live.runtime import VARIABLE
from megaportraits.metrics.landmarks import mouth_opening

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
DRIVER = Path(str(resources.files("megaportraits.demo"))) / "driver.mp4"
PATIENCE_MS = 60_000
WHERE = [
    "server",
    pytest.param(
        "browser",
        marks=pytest.mark.skipif(
            not os.environ.get(VARIABLE), reason=f"no onnxruntime-web; name its folder in {VARIABLE}"
        ),
    ),
]
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine; install it to test the page")


@pytest.fixture(scope="module")
def cameras(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Fake webcams: a head that moves, and stills with a closed and an open mouth."""
    folder = tmp_path_factory.mktemp("cameras")
    frames = list(read_frames(DRIVER))
    with FaceTracker(video=True) as tracker:
        openings = [opening(tracker, frame) for frame in frames]
    shown = {"moving": frames, "closed": [frames[np.argmin(openings)]], "open": [frames[np.argmax(openings)]]}
    return {name: webcam(folder / f"{name}.y4m", pictures) for name, pictures in shown.items()}


def opening(tracker: FaceTracker, picture: np.ndarray) -> float:
    """Of the mouth that a picture shows."""
    landmarks = tracker.landmarks(picture)
    assert landmarks is not None
    return float(mouth_opening(torch.from_numpy(landmarks[None, :, :2]).float()))


def webcam(path: Path, frames: list[np.ndarray]) -> Path:
    """A video that Chromium shows as a camera of 640 x 480, again and again."""
    with path.open("wb") as file:
        file.write(b"YUV4MPEG2 W640 H480 F25:1 Ip A1:1 C420jpeg\n")
        for frame in frames:
            wide = np.full((480, 640, 3), 90, np.uint8)
            wide[:, 80:560] = cv2.resize(frame, (480, 480))
            file.write(b"FRAME\n" + cv2.cvtColor(wide, cv2.COLOR_RGB2YUV_I420).tobytes())
    return path


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], str]]:
    """Where `megaportraits live` serves; started once for each place of computing."""
    folder, started = tmp_path_factory.mktemp("recordings"), dict[str, tuple[subprocess.Popen, str]]()

    def start(where: str) -> str:
        if where not in started:
            words = ["live", "--where", where, "--port", "0", "--no-open", "--recordings", str(folder)]
            program = [sys.executable, "-m", "megaportraits", *words]
            process = subprocess.Popen(program, stdout=subprocess.PIPE, text=True)
            assert process.stdout
            found = re.search(r"http://\S+/", process.stdout.readline())
            assert found, "the server did not start"
            started[where] = process, found[0]
        return started[where][1]

    yield start
    for process, _ in started.values():
        process.terminate()
        process.wait(20)


@contextmanager
def opened(address: str, camera: Path | None):
    """The page, with a fake webcam, or with one that is refused."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    arguments = ["--no-sandbox", "--use-fake-device-for-media-stream", "--disable-background-networking"]
    arguments += [f"--use-file-for-fake-video-capture={camera}", "--use-fake-ui-for-media-stream"] if camera else []
    arguments += [] if camera else ["--deny-permission-prompts"]
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=arguments)
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.set_default_timeout(PATIENCE_MS)
        page.goto(address)
        page.wait_for_selector("body[data-ready]")
        yield page
        browser.close()


def start(page) -> None:
    page.click("#start")
    until(page, lambda: "ms" in page.text_content("#latency"))
    time.sleep(2.0)


def until(page, true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_MS / 1000
    while not true():
        assert time.monotonic() < deadline, page.text_content("#message")
        time.sleep(0.1)


def canvas(page) -> np.ndarray:
    text = page.evaluate("document.getElementById('canvas').toDataURL('image/png')")
    picture = Image.open(io.BytesIO(base64.b64decode(text.split(",")[1])))
    return np.asarray(picture.convert("RGB"))


def difference(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.abs(a.astype(int) - b.astype(int)).mean())


@pytest.mark.parametrize("where", WHERE)
def test_an_avatar_follows_is_switched_and_recorded(address, cameras, where, tmp_path):
    with opened(address(where), cameras["moving"]) as page:
        sent = []
        start(page)
        page.on("request", lambda request: sent.append((request.method, request.url)))
        assert re.fullmatch(r"\d+ ms", page.text_content("#latency"))
        assert int(page.text_content("#fps")) > 0
        seen = [canvas(page)]
        for _ in range(5):
            time.sleep(0.4)
            seen.append(canvas(page))
        assert max(difference(seen[0], other) for other in seen) > 1
        name = page.text_content("#name")
        page.click("nav button:nth-child(4)")
        time.sleep(1.0)
        assert page.text_content("#name") != name
        assert page.text_content("#name") in page.text_content("#label")
        assert difference(canvas(page), seen[-1]) > 5
        page.click("#record")
        time.sleep(2.5)
        page.click("#record")
        with page.expect_download() as download:
            page.click("#saved")
        path = tmp_path / download.value.suggested_filename
        download.value.save_as(path)
        if where == "browser":
            assert all(method == "GET" and url.startswith(("blob:", address(where))) for method, url in sent)
    statement = read_statement(path)
    assert statement is not None
    assert statement.generated
    frames = list(read_frames(path))
    assert len(frames) >= 3
    assert frames[0].shape == (probe(path).height, probe(path).width, 3)
    assert mark_score(frames) > FOUND


def settled(page) -> np.ndarray:
    """The canvas once it stands still: the tracked square comes to rest within some pictures, which may come slowly."""
    before = canvas(page)
    for _ in range(20):
        time.sleep(1.0)
        after = canvas(page)
        if difference(before, after) < 0.5:
            return after
        before = after
    raise AssertionError("the canvas never stood still")


@pytest.mark.parametrize("where", WHERE)
def test_a_still_webcam_gives_a_still_canvas_and_an_open_mouth_an_open_one(address, cameras, where):
    openings = {}
    for name in ("closed", "open"):
        with opened(address(where), cameras[name]) as page, FaceTracker(video=False) as tracker:
            page.click("nav button:nth-child(7)")  # nia, whose mouth opens most (docs/model-card-avatars.md)
            start(page)
            if where == "browser":
                page.locator("#side").fill("100")  # the square that a tracked head would get in this picture
                time.sleep(1.0)
            openings[name] = opening(tracker, np.asarray(Image.fromarray(settled(page)).resize((512, 512))))
    assert openings["open"] > openings["closed"] + 0.02


def test_a_refused_camera_is_explained(address):
    with opened(address("server"), None) as page:
        page.click("#start")
        until(
            page, lambda: "camera" in page.text_content("#message") and "Waiting" not in page.text_content("#message")
        )
        assert "The camera was refused. Allow it for this page" in page.text_content("#message")
        assert page.text_content("#start") == "Start"
