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

import yaml
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
        reason = " ".join(_spoken(_plain(message)).split()).rstrip(".")
        raise UserError(f"{reason}; '{self.prog} --help' explains the options") from ex


def _plain(text: str) -> str:
    text = re.sub(r"--[a-z][\w.]*", lambda match: match[0].replace("_", "-"), text)
    text = re.sub(r"(--[\w.-]+) \{true,\s*false\}", r"\1", text)
    return re.sub(r"<class\s+'(?:\w+\.)*(\w+)'>", r"\1", text)


def _spoken(message: str) -> str:
    """jsonargparse's complaints about a value, in the words of the command line."""
    message = re.sub(r'Parser key "([\w.]+)"', lambda match: "--" + match[1].replace("_", "-"), message)
    message = re.sub(r"Expected an? typing\.Literal\[([^\]]*)\]", r"expected one of \1", message)
    return re.sub(r"\. Got value: (.*)", r", but '\1' came", message.replace("Expected", "expected"))


def parse(function: Callable[..., Any], program: str, arguments: list[str]) -> dict[str, Any]:
    """The keyword arguments for `function` that the words in `arguments` stand for.

    Raises:
        UserError: an option is unknown, missing, or has a wrong value.
    """
    single = _single_dataclass(function)
    described = single[1] if single else function
    hints = dict(_flat_hints(get_type_hints(described)))
    required = _required(described)
    usage = " ".join([program, *_usage(required, hints), "[OPTIONS]"])
    parser = _Parser(prog=program, usage=usage, allow_abbrev=False, description=_first_paragraph(function))
    fitting = _fitting(hints)
    kinds = f"recipe ({', '.join(fitting)}), or " if fitting else ""
    parser.add_argument("--config", action="config", help=f"{kinds}YAML or JSON file with options")
    if single:
        parser.add_class_arguments(single[1])
    else:
        parser.add_function_arguments(function)
    for group in parser._action_groups:
        group._group_actions.sort(key=lambda action: action.dest not in required)
    parsed = parser.parse_args(_normal(_named(arguments, required, hints), hints, fitting))
    values = dict(vars(parser.instantiate_classes(parsed)))
    del values["config"]
    return {single[0]: single[1](**values)} if single else values


def recipes() -> dict[str, Path]:
    """The recipes that come with the package, by name."""
    folder = Path(str(resources.files("megaportraits.config").joinpath("recipes")))
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def _fitting(hints: dict[str, Any]) -> dict[str, Path]:
    """The recipes whose options a command has."""
    told = {name: set(_leaves(yaml.safe_load(path.read_text()))) for name, path in recipes().items()}
    return {name: path for name, path in recipes().items() if told[name] <= hints.keys()}


def _leaves(settings: dict[str, Any], inside: str = "") -> Iterator[str]:
    """Dotted names of the values in a recipe."""
    for name, value in settings.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{inside}{name}.")
        else:
            yield inside + name


def _required(described: Callable[..., Any]) -> list[str]:
    parameters = inspect.signature(described).parameters.values()
    return [p.name for p in parameters if p.default is inspect.Parameter.empty]


def _usage(required: list[str], hints: dict[str, Any]) -> list[str]:
    """The required options as they are given without names; after a list, by name."""
    names = [name.upper().replace("_", "-") for name in required]
    if required and _is_list(hints[required[0]]):
        return [f"{names[0]}...", *(f"--{name.lower()} {name}" for name in names[1:])]
    return names


def _is_list(hint: Any) -> bool:
    return get_origin(hint) in (tuple, list)


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


def _named(arguments: list[str], required: list[str], hints: dict[str, Any]) -> list[str]:
    """The words before the first option under the names of the required options; a list takes all of them."""
    count = next((i for i, word in enumerate(arguments) if word.startswith("-")), len(arguments))
    words, rest = arguments[:count], arguments[count:]
    if words and required and _is_list(hints[required[0]]):
        return [f"--{required[0]}", *words, *rest]
    if len(words) > len(required):
        names = ", ".join(f"--{name.replace('_', '-')}" for name in required) or "no option"
        raise UserError(f"'{words[len(required)]}' is one word too many: {names} can be given without a name")
    return [part for name, word in zip(required, words, strict=False) for part in (f"--{name}", word)] + rest


def _normal(arguments: list[str], hints: dict[str, Any], fitting: dict[str, Path]) -> list[str]:
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
                equals, value = "=", _recipe(value if equals else words.pop(0) if words else "", fitting)
            if hint is bool and not equals:
                equals, value = "=", words.pop(0) if words[:1] in (["true"], ["false"]) else "true"
            elif _is_list(hint) and equals and not value.startswith("[") and name != "--config":
                value = f"[{_item(value)}]"
            elif _is_list(hint) and not equals and words and not words[0].startswith("["):
                items = []
                while words and not words[0].startswith("--"):
                    items.append(_item(words.pop(0)))
                equals, value = "=", f"[{', '.join(items)}]"
        out.append(name + equals + value)
    return out


def _recipe(name: str, fitting: dict[str, Path]) -> str:
    """The file of a recipe, or of what may be one."""
    if name in fitting:
        return str(fitting[name])
    if not Path(name).is_file():
        known = f"recipes for it: {', '.join(fitting)}" if fitting else "there are no recipes for it"
        raise UserError(f"'{name}' is no file and no recipe for this command; {known}")
    try:
        Path(name).read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"'{name}' is not a readable text file ({error}); give a YAML or JSON file") from error
    return name


def _item(word: str) -> str:
    """A list's item in YAML: numbers as they are, everything else quoted."""
    return word if re.fullmatch(r"[-+]?\d+(\.\d*)?([eE][-+]?\d+)?", word) else json.dumps(word)


def _first_paragraph(function: Callable[..., Any]) -> str:
    return inspect.cleandoc(function.__doc__ or "").split("\n\n")[0]
