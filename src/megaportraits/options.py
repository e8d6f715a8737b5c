"""Command-line options from a function's signature and docstring, by jsonargparse.

A function with one dataclass parameter takes the dataclass's fields as options. Names are written with hyphens
(`--side-by-side`), switches without a value (`--side-by-side`, off by `--side-by-side false`), nested fields with dots;
`--config FILE` reads options from YAML or JSON.
"""

import inspect
import re
from collections.abc import Callable
from dataclasses import is_dataclass
from typing import Any, get_type_hints

from jsonargparse import ArgumentParser


class _Parser(ArgumentParser):
    """jsonargparse with hyphens in the help text and short names of types."""

    def format_help(self) -> str:
        return _plain(super().format_help())

    def format_usage(self) -> str:
        return _plain(super().format_usage())


def _plain(text: str) -> str:
    text = re.sub(r"--[a-z][\w.]*", lambda match: match[0].replace("_", "-"), text)
    text = re.sub(r"(--[\w.-]+) \{true,\s*false\}", r"\1", text)
    return re.sub(r"<class\s+'(?:\w+\.)*(\w+)'>", r"\1", text)


def parse(function: Callable[..., Any], program: str, arguments: list[str]) -> dict[str, Any]:
    """The keyword arguments for `function` that the words in `arguments` stand for; exits with code 2 on wrong ones."""
    parser = _Parser(prog=program, description=_first_paragraph(function))
    parser.add_argument("--config", action="config", help="YAML or JSON file with options")
    single = _single_dataclass(function)
    if single:
        parser.add_class_arguments(single[1])
    else:
        parser.add_function_arguments(function)
    parsed = parser.parse_args(_normal(arguments, _switches(single[1] if single else function)))
    values = parser.instantiate_classes(parsed).as_dict()
    del values["config"]
    return {single[0]: single[1](**values)} if single else values


def _single_dataclass(function: Callable[..., Any]) -> tuple[str, type] | None:
    """Name and type of the function's only parameter where it is a dataclass."""
    parameters = list(inspect.signature(function).parameters)
    if len(parameters) != 1:
        return None
    hint = get_type_hints(function).get(parameters[0])
    return (parameters[0], hint) if isinstance(hint, type) and is_dataclass(hint) else None


def _switches(takes: Callable[..., Any]) -> set[str]:
    return {name for name, hint in get_type_hints(takes).items() if hint is bool}


def _normal(arguments: list[str], switches: set[str]) -> list[str]:
    """Options as jsonargparse knows them: underscores in names, a value for every switch."""
    out = []
    for i, word in enumerate(arguments):
        name, equals, value = word.partition("=")
        if name.startswith("--"):
            name = "--" + name[2:].replace("-", "_")
            following = arguments[i + 1 : i + 2]
            if name[2:] in switches and not equals and (not following or following[0] not in ("true", "false")):
                equals, value = "=", "true"
        out.append(name + equals + value)
    return out


def _first_paragraph(function: Callable[..., Any]) -> str:
    return inspect.cleandoc(function.__doc__ or "").split("\n\n")[0]
