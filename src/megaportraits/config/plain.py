"""Configurations as plain JSON data, and back, strictly."""

import dataclasses
import json
import types
import typing
from typing import Any

from megaportraits.errors import UserError


def to_dict(config: Any) -> dict[str, Any]:
    """A configuration as plain JSON data: equal to itself after a round trip through a file."""
    return json.loads(json.dumps(dataclasses.asdict(config)))


def from_dict(kind: type, data: dict[str, Any]) -> Any:
    """A frozen configuration of type `kind` from JSON data; unknown keys are refused with the known ones listed.

    Raises:
        UserError: a key is unknown.
    """
    hints = typing.get_type_hints(kind)
    unknown = sorted(set(data) - set(hints))
    if unknown:
        raise UserError(f"{kind.__name__} has no field {', '.join(unknown)}; known fields: {', '.join(sorted(hints))}")
    return kind(**{key: _convert(hints[key], value) for key, value in data.items()})


def _convert(hint: Any, value: Any) -> Any:
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return from_dict(hint, value)
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        inner = [h for h in typing.get_args(hint) if h is not type(None)]
        return None if value is None else _convert(inner[0], value)
    if typing.get_origin(hint) is tuple:
        items = typing.get_args(hint)
        item = items[0]
        return tuple(_convert(item, v) for v in value)
    return value
