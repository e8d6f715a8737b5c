"""The command line: fast help, one sentence and code 2 for wrong input, nothing left behind."""

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module, resources
from pathlib import Path

import pytest

from megaportraits.cli import COMMANDS, main
from megaportraits.config import BaseTraining
from megaportraits.data.video import probe
from megaportraits.errors import UserError
from megaportraits.files import replacing
from megaportraits.options import parse

DEMO = Path(str(resources.files("megaportraits.demo")))


def test_help_is_fast_and_imports_no_torch():
    code = (
        "import sys; from megaportraits.cli import main; code = main(['--help']);"
        "heavy = {'torch', 'numpy', 'av', 'mediapipe', 'jsonargparse'} & set(sys.modules);"
        "sys.exit(f'imported {heavy}' if heavy else code)"
    )
    start = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert time.perf_counter() - start < 1
    for name, command in COMMANDS.items():
        assert name in done.stdout
        assert command.help in done.stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_exists_and_explains_itself(name, capsys):
    module, function = COMMANDS[name].target.split(":")
    assert callable(getattr(import_module(module), function))
    with pytest.raises(SystemExit) as stop:
        main([*name.split(), "--help"])
    assert stop.value.code == 0
    text = capsys.readouterr().out
    assert "usage: megaportraits" in text
    assert "_" not in "".join(word for word in text.split() if word.startswith("--"))


@pytest.mark.parametrize("words", [[], ["nonsense"], ["train"], ["train", "nonsense"], ["animate", "--sauce", "x"]])
def test_wrong_words_exit_with_2(words, capsys):
    assert main(words) == 2
    assert capsys.readouterr().err.count("\n") == (1 if words else 0)


def test_version_and_groups(capsys):
    assert main(["--version"]) == 0
    with pytest.raises(SystemExit):
        main(["train", "--help"])
    out = capsys.readouterr().out
    assert "train base" in out
    assert "animate" not in out


def test_help_of_a_command(capsys):
    for words, usage in ((["animate"], "animate SOURCE DRIVER OUTPUT"), (["train", "base"], "train base OUTPUT")):
        with pytest.raises(SystemExit):
            main(["help", *words])
        assert capsys.readouterr().out.startswith(f"usage: megaportraits {usage} [OPTIONS]")


@pytest.mark.parametrize("words", [["--help"], ["train", "--help"], ["provenance", "check", str(DEMO / "source.png")]])
def test_nothing_is_said_where_nobody_reads_on(words):
    """As in `megaportraits --help | head -1`."""
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "megaportraits", *words]
    done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, text=True, check=False)
    os.close(write)
    assert (done.returncode, done.stderr) == (141, "")


def test_interruption_exits_with_130(monkeypatch):
    def interrupt(*words):
        raise KeyboardInterrupt

    monkeypatch.setattr("megaportraits.cli._run", interrupt)
    assert main(["animate"]) == 130


def test_sigterm_leaves_no_scratch_files(monkeypatch, tmp_path):
    def terminated(*words):
        with replacing(tmp_path / "out.txt") as temporary:
            temporary.write_text("half")
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.1)

    monkeypatch.setattr("megaportraits.cli._run", terminated)
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        with pytest.raises(SystemExit) as stop:
            main(["animate"])
        assert signal.getsignal(signal.SIGTERM) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGTERM, before)
    assert stop.value.code == 143
    assert list(tmp_path.iterdir()) == []


def test_other_threads_may_run_commands(monkeypatch):
    monkeypatch.setattr("megaportraits.cli._run", lambda *words: 0)
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(main, ["animate"]).result() == 0


def test_demo_makes_a_video_and_says_nothing_on_standard_error(tiny_weights, tmp_path):
    command = [sys.executable, "-m", "megaportraits", "demo", "--weights", str(tiny_weights), "--output", "out.mp4"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert str(tmp_path / "out.mp4") in done.stdout
    info, driver = probe(tmp_path / "out.mp4"), probe(DEMO / "driver.mp4")
    assert (info.fps, info.frame_count) == (driver.fps, driver.frame_count)
    assert info.width == 3 * info.height


def test_nested_switches_and_lists_are_words_too():
    def command(config: BaseTraining) -> None: ...

    words = ["--output", "run", "--loop.compile", "--optimiser.betas", "0.9", "0.99", "--alarms.recorded", "a", "b"]
    config = parse(command, "train base", words)["config"]
    assert config.loop.compile
    assert config.optimiser.betas == (0.9, 0.99)
    assert config.alarms.recorded == ("a", "b")


def test_lists_and_negative_numbers_may_follow_an_equals_sign_or_a_blank():
    def turning(sweep: tuple[str, ...] = (), rotate: str = "") -> None:
        """Some."""

    assert parse(turning, "turning", ["--sweep=yaw:-3..3", "--rotate", "-10,0,0"]) == {
        "sweep": ("yaw:-3..3",),
        "rotate": "-10,0,0",
    }
    assert parse(turning, "turning", ["--sweep", "yaw:0..3", "roll:0..1"])["sweep"] == ("yaw:0..3", "roll:0..1")


def test_words_before_the_options_are_the_required_ones_in_their_order():
    def crossing(a: str, b: str, c: int = 0) -> None:
        """Two, and one more."""

    def gathering(files: tuple[str, ...], out: str) -> None:
        """Many."""

    assert parse(crossing, "crossing", ["one", "two", "--c", "3"]) == {"a": "one", "b": "two", "c": 3}
    assert parse(crossing, "crossing", ["one", "--b", "two"]) == {"a": "one", "b": "two", "c": 0}
    assert parse(gathering, "gathering", ["x", "y", "--out", "z"]) == {"files": ("x", "y"), "out": "z"}
    with pytest.raises(UserError, match="'three' is one word too many: --a, --b can be given"):
        parse(crossing, "crossing", ["one", "two", "three"])
    with pytest.raises(UserError, match="b"):
        parse(crossing, "crossing", ["one"])


def test_a_picture_is_no_configuration(tmp_path, capsys):
    (tmp_path / "grey.png").write_bytes(bytes(range(128, 256)))
    assert main(["animate", "a.png", "b.mp4", "c.mp4", "--config", str(tmp_path / "grey.png")]) == 2
    assert "is not a readable text file" in capsys.readouterr().err
