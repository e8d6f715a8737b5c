"""`megaportraits live`: what is refused before a page is shown."""

import socket

import pytest

from megaportraits.cli import main
from megaportraits.live.runtime import VARIABLE


def test_a_port_that_is_taken(made, capsys):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        assert main(["live", "--bundle", str(made / "a.mpa"), "--port", port, "--no-open"]) == 2
    assert f"cannot listen at 127.0.0.1:{port}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--port", "70000"], "port is 70000"),
        (["--bundle", "nowhere.mpa"], "there is no file nowhere.mpa"),
        (["--where", "moon"], "where"),
        (["--where", "browser", "--onnxruntime-web", "."], "lacks ort.webgpu.bundle.min.mjs"),
    ],
)
def test_wrong_options(made, capsys, monkeypatch, words, said):
    monkeypatch.delenv(VARIABLE, raising=False)
    bundle = [] if "--bundle" in words else ["--bundle", str(made / "a.mpa"), "--port", "0"]
    words = [*bundle, *words] if "--port" not in words else ["--bundle", str(made / "a.mpa"), *words]
    assert main(["live", "--no-open", *words]) == 2
    assert said in capsys.readouterr().err


def test_an_altered_file_is_refused(made, tmp_path, capsys):
    altered = bytearray((made / "a.mpa").read_bytes())
    altered[-1] ^= 1
    (tmp_path / "b.mpa").write_bytes(bytes(altered))
    for more in ([], ["--allow-unsigned"]):
        assert main(["live", "--no-open", "--port", "0", "--bundle", str(tmp_path / "b.mpa"), *more]) == 2
        assert "was altered" in capsys.readouterr().err
