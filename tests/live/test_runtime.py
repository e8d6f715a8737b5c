"""onnxruntime-web: a named folder, an environment variable, or fetched once and checked."""

import hashlib
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from megaportraits.errors import UserError
from megaportraits.live import runtime
from megaportraits.live.runtime import FILES, VARIABLE, runtime_folder


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The address of a server with two files, whose hashes are the expected ones."""
    folder = tmp_path / "dist"
    folder.mkdir()
    for name in FILES:
        (folder / name).write_text(f"content of {name}")
    monkeypatch.setattr(
        runtime, "FILES", {name: hashlib.sha256(f"content of {name}".encode()).hexdigest() for name in FILES}
    )
    monkeypatch.delenv(VARIABLE, raising=False)
    handler = partial(SimpleHTTPRequestHandler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", folder
        server.shutdown()


def test_files_are_fetched_once(source, tmp_path):
    address, folder = source
    cache = tmp_path / "cache"
    assert runtime_folder(None, address, cache) == cache
    assert {p.name for p in cache.iterdir()} == set(FILES)
    for path in folder.iterdir():
        path.unlink()
    assert runtime_folder(None, address, cache) == cache


def test_another_content_is_refused_and_not_kept(source, tmp_path):
    address, folder = source
    (folder / next(iter(FILES))).write_text("something else")
    with pytest.raises(UserError, match="is not the file that was expected"):
        runtime_folder(None, address, tmp_path / "cache")
    assert not any((tmp_path / "cache").glob("*"))


def test_without_a_network_it_says_what_to_do(source, tmp_path):
    with pytest.raises(UserError, match="--onnxruntime-web or MEGAPORTRAITS_ONNXRUNTIME_WEB"):
        runtime_folder(None, "http://127.0.0.1:9", tmp_path / "cache")


def test_named_folders_come_first(source, monkeypatch, tmp_path):
    _, folder = source
    assert runtime_folder(folder, "http://127.0.0.1:9", tmp_path) == folder
    monkeypatch.setenv(VARIABLE, str(folder))
    assert runtime_folder(None, "http://127.0.0.1:9", tmp_path) == folder
    with pytest.raises(UserError, match=r"lacks ort\.webgpu"):
        runtime_folder(tmp_path, "http://127.0.0.1:9", tmp_path)
