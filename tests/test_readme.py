"""Every command that the documents show is one that the program takes."""

import importlib
import re
import shlex
from pathlib import Path

import pytest

from megaportraits.cli import COMMANDS
from megaportraits.options import parse

ROOT = Path(__file__).parents[1]
DOCUMENTS = [ROOT / "README.md", ROOT / "training" / "LEGS.md", *sorted((ROOT / "docs").glob("*.md"))]


def shown_commands() -> list[str]:
    found = []
    for document in DOCUMENTS:
        for block in re.findall(r"```bash\n(.*?)```", document.read_text(), re.DOTALL):
            lines = block.replace("\\\n", " ").splitlines()
            found += [line.split("#")[0].strip() for line in lines if line.startswith("megaportraits ")]
    return found


def test_the_readme_shows_the_main_commands():
    words = {shlex.split(command)[1] for command in shown_commands()}
    assert {"animate", "demo", "synth", "train", "evaluate"} <= words


@pytest.mark.parametrize("command", shown_commands())
def test_the_program_takes_the_command(command):
    words = shlex.split(command)[1:]
    name = next(" ".join(words[:n]) for n in (2, 1) if " ".join(words[:n]) in COMMANDS)
    module, function = COMMANDS[name].target.split(":")
    target = getattr(importlib.import_module(module), function)
    assert parse(target, f"megaportraits {name}", words[len(name.split()) :])


def test_make_targets_that_the_readme_names_exist():
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"^make (\w+)", (ROOT / "README.md").read_text(), re.MULTILINE):
        assert f"\n{target}:" in makefile
