"""Command-line options from a function's signature and docstring, by jsonargparse.

A function with one dataclass parameter takes the dataclass's fields as options. Names are written with hyphens
(`--side-by-side`); words before the first one are the required options in their order (`compare A B`). Switches have no
value (off by `--side-by-side false`), lists are words (`--data one two`), nested fields have dots. `--config FILE`
reads options from YAML or JSON, `--config NAME` takes a recipe that comes with the package; several are read in order,
later ones win. What is wrong becomes a `UserError` of one sentence.
"""

import inspect
import json
import re
from argparse import HelpFormatter
from collections.abc import Callable, Iterator
from dataclasses import is_dataclass
from importlib import resources
from pathlib import Path
from typing import Any, NoReturn, get_origin, get_type_hints

from jsonargparse import ArgumentParser, set_parsing_settings

from megaportraits.errors import UserError

set_parsing_settings(docstring_parse_attribute_docstrings=True)


class _Parser(ArgumentParser):
    """jsonargparse with hyphens in the help text and short names of types."""

    def format_help(self, formatter: HelpFormatter | None = None) -> str:
        return _plain(super().format_help(formatter))

    def format_usage(self) -> str:
        return _plain(super().format_usage())

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        reason = " ".join(_plain(message).split()).rstrip(".")
        raise UserError(f"{reason}; '{self.prog} --help' explains the options") from ex


def _plain(text: str) -> str:
    text = re.sub(r"--[a-z][\w.]*", lambda match: match[0].replace("_", "-"), text)
    text = re.sub(r"(--[\w.-]+) \{true,\s*false\}", r"\1", text)
    return re.sub(r"<class\s+'(?:\w+\.)*(\w+)'>", r"\1", text)


def parse(function: Callable[..., Any], program: str, arguments: list[str]) -> dict[str, Any]:
    """The keyword arguments for `function` that the words in `arguments` stand for.

    Raises:
        UserError: an option is unknown, missing, or has a wrong value.
    """
    parser = _Parser(prog=program, allow_abbrev=False, description=_first_paragraph(function))
    parser.add_argument(
        "--config", action="config", help=f"recipe ({', '.join(recipes())}), or YAML or JSON file with options"
    )
    single = _single_dataclass(function)
    if single:
        parser.add_class_arguments(single[1])
    else:
        parser.add_function_arguments(function)
    described = single[1] if single else function
    hints = dict(_flat_hints(get_type_hints(described)))
    parsed = parser.parse_args(_normal(_named(arguments, described, hints), hints))
    values = dict(vars(parser.instantiate_classes(parsed)))
    del values["config"]
    return {single[0]: single[1](**values)} if single else values


def recipes() -> dict[str, Path]:
    """The recipes that come with the package, by name."""
    folder = Path(str(resources.files("megaportraits.config").joinpath("recipes")))
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def _single_dataclass(function: Callable[..., Any]) -> tuple[str, type] | None:
    """Name and type of the function's only parameter where it is a dataclass."""
    parameters = list(inspect.signature(function).parameters)
    if len(parameters) != 1:
        return None
    hint = get_type_hints(function).get(parameters[0])
    return (parameters[0], hint) if isinstance(hint, type) and is_dataclass(hint) else None


def _flat_hints(hints: dict[str, Any], inside: str = "") -> Iterator[tuple[str, Any]]:
    """Type of every option; fields of nested dataclasses have dotted names."""
    for name, hint in hints.items():
        yield inside + name, hint
        if isinstance(hint, type) and is_dataclass(hint):
            yield from _flat_hints(get_type_hints(hint), f"{inside}{name}.")


def _named(arguments: list[str], described: Callable[..., Any], hints: dict[str, Any]) -> list[str]:
    """The words before the first option under the names of the required options; a list takes all of them."""
    count = next((i for i, word in enumerate(arguments) if word.startswith("-")), len(arguments))
    words, rest = arguments[:count], arguments[count:]
    parameters = inspect.signature(described).parameters.values()
    required = [p.name for p in parameters if p.default is inspect.Parameter.empty]
    if words and required and get_origin(hints[required[0]]) in (tuple, list):
        return [f"--{required[0]}", *words, *rest]
    if len(words) > len(required):
        names = ", ".join(f"--{name.replace('_', '-')}" for name in required) or "no option"
        raise UserError(f"'{words[len(required)]}' is one word too many: {names} can be given without a name")
    return [part for name, word in zip(required, words, strict=False) for part in (f"--{name}", word)] + rest


def _normal(arguments: list[str], hints: dict[str, Any]) -> list[str]:
    """Options as jsonargparse knows them: underscores in names, a value for every switch, lists in brackets."""
    out = []
    words = list(arguments)
    while words:
        name, equals, value = words.pop(0).partition("=")
        if name.startswith("--"):
            if not equals and words and re.match(r"-[\d.]", words[0]):
                equals, value = "=", words.pop(0)
            name = "--" + name[2:].replace("-", "_")
            hint = hints.get(name[2:])
            if name == "--config":
                equals, value = "=", _recipe(value if equals else words.pop(0) if words else "")
            if hint is bool and not equals:
                equals, value = "=", words.pop(0) if words[:1] in (["true"], ["false"]) else "true"
            elif get_origin(hint) in (tuple, list) and equals and not value.startswith("[") and name != "--config":
                value = f"[{_item(value)}]"
            elif get_origin(hint) in (tuple, list) and not equals and words and not words[0].startswith("["):
                items = []
                while words and not words[0].startswith("--"):
                    items.append(_item(words.pop(0)))
                equals, value = "=", f"[{', '.join(items)}]"
        out.append(name + equals + value)
    return out


def _recipe(name: str) -> str:
    """The file of a recipe, or of what may be one."""
    if name in recipes():
        return str(recipes()[name])
    if not Path(name).is_file():
        raise UserError(f"there is no recipe or file '{name}'; recipes: {', '.join(recipes())}")
    return name


def _item(word: str) -> str:
    """A list's item in YAML: numbers as they are, everything else quoted."""
    return word if re.fullmatch(r"[-+]?\d+(\.\d*)?([eE][-+]?\d+)?", word) else json.dumps(word)


def _first_paragraph(function: Callable[..., Any]) -> str:
    return inspect.cleandoc(function.__doc__ or "").split("\n\n")[0]
