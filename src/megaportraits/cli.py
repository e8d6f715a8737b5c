"""The command line: one table from words to functions, imported only when their word is used."""

import contextlib
import importlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from megaportraits import __version__
from megaportraits.errors import UserError


@dataclass(frozen=True)
class Command:
    """Where a command's function is, and what it does."""

    target: str
    """module:function; the options are the function's parameters, or the fields of its one dataclass parameter."""
    help: str
    """One line."""


COMMANDS = {
    "animate": Command("megaportraits.animate.command:animate", "animate a photo by a video"),
    "batch": Command("megaportraits.batch:batch", "animate many photos by many videos, from a table"),
    "motion extract": Command("megaportraits.animate.command:extract_motion", "write a driver's motion into a file"),
    "doctor": Command("megaportraits.doctor:doctor", "say how well a video will drive, and what to mend"),
    "demo": Command("megaportraits.demo:demo", "make a short sample video from what came with the package"),
    "synth": Command("megaportraits.synth.command:run", "render heads with ground truth for training and tests"),
    "prepare photos": Command("megaportraits.prepare.command:prepare_photos", "make training stills of photos"),
    "prepare videos": Command("megaportraits.prepare.command:prepare_videos", "make training clips of videos"),
    "prepare shards": Command("megaportraits.prepare.shards:prepare_shards", "pack prepared clips into tar files"),
    "prepare verify": Command("megaportraits.prepare.verify:verify", "check that prepared clips are whole"),
    "prepare report": Command("megaportraits.prepare.report:report", "show what was prepared, and what left out"),
    "train pose": Command("megaportraits.training.pose:train_pose", "train the head pose net on rendered heads"),
    "train expression": Command(
        "megaportraits.training.expression:train_expression", "give the expression net a start, from face landmarks"
    ),
    "train identity": Command("megaportraits.training.identity:train_identity", "train the recognition net"),
    "train gaze": Command("megaportraits.training.gaze:train_gaze", "train the gaze and blink net"),
    "train base": Command("megaportraits.training.base:train_base", "train the base model"),
    "train enhance": Command(
        "megaportraits.training.enhance:train_enhance", "train the enhancer behind a frozen base model"
    ),
    "train distill": Command(
        "megaportraits.training.distill:train_distill", "train a real-time student, locked to chosen people"
    ),
    "avatar make": Command("megaportraits.avatar:make", "bake a student's avatars into one signed file"),
    "avatar verify": Command("megaportraits.avatar:verify", "check that a file of avatars is as it was signed"),
    "avatar list": Command("megaportraits.avatar:show", "list the avatars of a signed file"),
    "avatar remove": Command("megaportraits.avatar:remove", "write a signed file without one avatar"),
    "avatar key": Command("megaportraits.avatar:key", "make a key that signs avatars"),
    "avatar animate": Command("megaportraits.avatar_video:animate", "animate an avatar by a video"),
    "avatar score": Command("megaportraits.avatar_score:score", "compare avatars with their teacher"),
    "live": Command("megaportraits.live.command:live", "show avatars that follow a webcam, on a web page"),
    "export": Command("megaportraits.export:export", "write the avatars of a signed file as an ONNX graph"),
    "provenance check": Command("megaportraits.provenance:check", "tell whether a file says that it was generated"),
    "evaluate": Command("megaportraits.evaluate.command:evaluate", "score a model, baselines and other systems"),
    "compare": Command("megaportraits.evaluate.compare:compare", "show what changed between two evaluations"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; return the exit code: 0 done, 2 wrong input, 130 interrupted, 141 nobody reads what is printed.

    Raises:
        SystemExit: SIGTERM came (143), or help was asked for (0).
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        try:
            return _answer(words)
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the interpreter flushes once more at its end
        return 128 + signal.SIGPIPE
    except UserError as error:
        print(f"megaportraits: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("megaportraits: interrupted", file=sys.stderr)
        return 130


def _answer(words: list[str]) -> int:
    if words[:1] == ["help"] and len(words) > 1:
        words = [*words[1:], "--help"]
    if not words or words[0] in ("-h", "--help", "help"):
        print(overview())
        return 0 if words else 2
    if words[0] == "--version":
        print(f"megaportraits {__version__}")
        return 0
    name, rest = _split(words)
    with _ended_by_sigterm():
        return _run(name, _resolve(COMMANDS[name].target), rest)


@contextlib.contextmanager
def _ended_by_sigterm() -> Iterator[None]:
    """SIGTERM ends the block as Ctrl-C does, so that scratch files are deleted; only the main thread can say so."""

    def end(number: int, frame: object) -> None:
        raise SystemExit(128 + number)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before or signal.SIG_DFL)


def overview(group: str = "") -> str:
    """The list of commands, or of those that begin with the word `group`."""
    rows = {name: command.help for name, command in COMMANDS.items() if f"{name} ".startswith(group)}
    width = max(map(len, rows))
    lines = [f"  {name:<{width}}  {text}" for name, text in rows.items()]
    return "\n".join(
        [
            "usage: megaportraits COMMAND [OPTIONS]",
            "",
            "One-shot neural head avatars: data, training, evaluation, animation.",
            "",
            "commands:",
            *lines,
            "",
            "'megaportraits COMMAND --help' explains the options of a command.",
        ]
    )


def _split(words: list[str]) -> tuple[str, list[str]]:
    """The command's name (one word, or two for groups such as 'train base') and what follows it."""
    for length in (2, 1):
        name = " ".join(words[:length])
        if name in COMMANDS:
            return name, words[length:]
    grouped = [name for name in COMMANDS if name.startswith(f"{words[0]} ")]
    if grouped:
        if words[1:] in (["-h"], ["--help"]):
            print(overview(f"{words[0]} "))
            raise SystemExit(0)
        raise UserError(f"'{words[0]}' needs one more word; known commands: {', '.join(grouped)}")
    raise UserError(f"there is no command '{words[0]}'; known commands: {', '.join(COMMANDS)}")


def _resolve(target: str) -> Callable[..., Any]:
    module, function = target.split(":")
    return getattr(importlib.import_module(module), function)


def _run(name: str, function: Callable[..., Any], arguments: list[str]) -> int:
    from megaportraits.options import parse

    function(**parse(function, f"megaportraits {name}", arguments))
    return 0
