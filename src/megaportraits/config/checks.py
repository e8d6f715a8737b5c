"""Checks shared by the settings."""

from typing import Any

from megaportraits.errors import UserError


def at_least(config: Any, least: float | int, *names: str) -> None:
    """Refuse numbers that are too small.

    Raises:
        UserError: a field of `config` is below `least`.
    """
    for name in names:
        if getattr(config, name) < least:
            raise UserError(f"{name} is {getattr(config, name)}; give at least {least:g}")
