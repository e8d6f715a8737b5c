"""Checks shared by the settings."""

from typing import Any

from megaportraits.errors import UserError


def at_least(config: Any, least: float | int, *names: str) -> None:
    """Refuse numbers that are too small; None is left alone.

    Raises:
        UserError: a field of `config` is below `least`.
    """
    for name in names:
        value = getattr(config, name)
        if value is not None and value < least:
            raise UserError(f"{name} is {value}; give at least {least:g}")
