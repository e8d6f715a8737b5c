"""The web application without a browser: its answers, its socket, its recordings, and whom it refuses."""

import io
import json
import struct
import time
from collections.abc import Iterator
from importlib import resources
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from megaportraits.bundle import read_bundle
from megaportraits.config import LiveConfig
from megaportraits.data.provenance import read_statement
from megaportraits.data.video import probe, read_frames
from megaportraits.live.server import Local, make_app
from megaportraits.player import Player

DRIVER = Path(str(resources.files("megaportraits.demo"))) / "driver.mp4"


def jpeg(picture: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=95)
    return file.getvalue()


def stamped(time_ms: float, content: bytes) -> bytes:
    return struct.pack("<d", time_ms) + content


HUGE = jpeg(np.zeros((8, 8, 3), np.uint8)).replace(bytes([8, 0, 8, 0, 8, 3]), bytes([8, 255, 220, 255, 220, 3]))
"""Its header says 65500 x 65500 pixels, more than OpenCV reads."""


@pytest.fixture(scope="module")
def camera() -> list[bytes]:
    """JPEGs of a few frames of a face."""
    return [jpeg(frame) for frame in islice(read_frames(DRIVER), 6)]


@pytest.fixture
def client(made: Path, tmp_path: Path) -> Iterator[TestClient]:
    bundle = read_bundle(made / "a.mpa")
    config = LiveConfig(made / "a.mpa", recordings=tmp_path / "recordings")
    with TestClient(make_app(bundle, config, Player(bundle.model, "cpu")), base_url="http://localhost") as client:
        yield client


def painted(message: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(message[8:])))


def test_the_page_says_who_is_shown_and_why(client):
    page = client.get("/")
    assert "megaportraits live" in page.text
    assert "default-src 'self'" in page.headers["content-security-policy"]
    facts = client.get("/facts.json").json()
    assert facts["where"] == "server"
    assert facts["avatars"][1] == {"name": "person1", "consent": "person 1 agreed on 2026-11-28", "licence": "CC0-1.0"}
    assert Image.open(io.BytesIO(client.get("/preview/1.png").content)).size == (128, 128)
    assert client.get("/preview/2.png").status_code == 404
    for name in ("live.js", "remote.js", "local.js", "square.js", "webm.js", "style.css"):
        assert client.get(f"/page/{name}").status_code == 200


def test_pictures_come_back_with_their_time(client, camera):
    with client.websocket_connect("ws://localhost/socket") as socket:
        for i, picture in enumerate(camera[:3]):
            socket.send_bytes(stamped(100.0 + i, picture))
            answer = socket.receive_bytes()
            assert struct.unpack("<d", answer[:8])[0] == 100.0 + i
            assert painted(answer).shape == (64, 64, 3)


def test_the_avatar_and_the_background_change_what_comes_back(client, camera):
    with client.websocket_connect("ws://localhost/socket") as socket:

        def shown(time_ms: float) -> np.ndarray:
            socket.send_bytes(stamped(time_ms, camera[0]))
            return painted(socket.receive_bytes()).astype(int)

        first, again = shown(0.0), shown(1.0)
        same = np.abs(first - again).mean()  # the tracker settles
        socket.send_text('{"avatar": 1}')
        other = shown(2.0)
        assert np.abs(other - first).mean() > 3 * same
        socket.send_text('{"background": "#ff0000"}')
        assert np.abs(shown(3.0) - other).mean() > 3 * same


def test_a_picture_without_a_face_gets_an_empty_answer(client):
    with client.websocket_connect("ws://localhost/socket") as socket:
        socket.send_bytes(stamped(1.0, jpeg(np.full((120, 160, 3), 90, np.uint8))))
        assert socket.receive_bytes() == stamped(1.0, b"")


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        (b"short", "without a time"),
        (stamped(float("nan"), b"x"), "without a time"),
        (stamped(1.0, b"no picture"), "not a picture"),
        (stamped(1.0, b""), "not a picture"),
        (stamped(1.0, HUGE), "not a picture"),
        ("[" * 100_000, "it may ask for"),
        ("no json", "it may ask for"),
        ('{"avatar": 2}', "it may ask for"),
        ('{"avatar": -1}', "it may ask for"),
        ('{"avatar": "1"}', "it may ask for"),
        ('{"background": "nothing"}', "is no colour"),
        ("[1, 2]", "it may ask for"),
    ],
)
def test_nonsense_is_answered_and_survived(client, camera, sent, said):
    with client.websocket_connect("ws://localhost/socket") as socket:
        socket.send_bytes(sent) if isinstance(sent, bytes) else socket.send_text(sent)
        assert said in json.loads(socket.receive_text())["problem"]
        if isinstance(sent, bytes):
            assert socket.receive_bytes() == sent[:8], "the page counts the pictures that wait for an answer"
        socket.send_bytes(stamped(5.0, camera[0]))
        assert len(socket.receive_bytes()) > 8


def test_a_recording_says_what_it_is(client, camera, tmp_path):
    with client.websocket_connect("ws://localhost/socket") as socket:
        socket.send_text('{"record": true}')
        for i, picture in enumerate(camera):
            socket.send_bytes(stamped(1000 + 40 * i, picture))
            socket.receive_bytes()
        socket.send_text('{"record": false}')
        name = socket.receive_json()["recorded"]
    path = tmp_path / "recordings" / name
    assert probe(path).frame_count == 6
    statement = read_statement(path)
    assert statement is not None
    assert statement.generated
    assert client.get(f"/recordings/{name}").content == path.read_bytes()
    assert client.get("/recordings/live-none.mp4").status_code == 404
    assert client.get("/recordings/..%2Fa.mpa").status_code == 404


def test_a_page_that_goes_leaves_a_whole_recording(client, camera, tmp_path):
    with client.websocket_connect("ws://localhost/socket") as socket:
        socket.send_text('{"record": true}')
        for i, picture in enumerate(camera[:3]):
            socket.send_bytes(stamped(40 * i, picture))
            socket.receive_bytes()
    deadline = time.monotonic() + 20
    while not (found := list((tmp_path / "recordings").glob("live-*.mp4"))) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert [probe(path).frame_count for path in found] == [3]


def test_a_recording_without_pictures_leaves_nothing(client, tmp_path):
    with client.websocket_connect("ws://localhost/socket") as socket:
        socket.send_text('{"record": true}')
        socket.send_text('{"record": false}')
        assert socket.receive_json() == {"recorded": ""}
    assert not (tmp_path / "recordings").exists()


def test_pages_of_others_are_refused(client):
    assert client.get("/", headers={"host": "evil.example"}).status_code == 400
    with (
        pytest.raises(WebSocketDisconnect) as refused,
        client.websocket_connect("ws://localhost/socket", headers={"origin": "http://evil.example"}),
    ):
        pass
    assert refused.value.code == 1008


def test_a_browser_that_computes_gets_everything_and_has_no_socket(made, tmp_path):
    bundle = read_bundle(made / "a.mpa")
    for name in ("ort.webgpu.bundle.min.mjs", "ort-wasm-simd-threaded.jsep.wasm"):
        (tmp_path / name).write_text(name)
    app = make_app(bundle, LiveConfig(made / "a.mpa", where="browser"), Local(b"graph", tmp_path))
    with TestClient(app, base_url="http://localhost") as client:
        assert client.get("/avatars.onnx").content == b"graph"
        mark = np.frombuffer(client.get("/mark.bin").content, "<f4")
        assert mark.size == 64 * 64
        assert 0.5 < mark.std() < 3
        assert client.get("/runtime/ort.webgpu.bundle.min.mjs").headers["content-type"].startswith("text/javascript")
        with pytest.raises(WebSocketDisconnect), client.websocket_connect("ws://localhost/socket"):
            pass


def test_without_a_mark_the_pattern_is_empty(made, tmp_path):
    config = LiveConfig(made / "a.mpa", where="browser", no_watermark=True)
    app = make_app(read_bundle(made / "a.mpa"), config, Local(b"", tmp_path))
    with TestClient(app, base_url="http://localhost") as client:
        assert not np.frombuffer(client.get("/mark.bin").content, "<f4").any()
