"""Checks shared by the settings."""

import math
from typing import Any

from megaportraits.errors import UserError


def at_least(config: Any, least: float | int, *names: str) -> None:
    """Refuse numbers that are too small or not finite; None is left alone.

    Raises:
        UserError: a field of `config` is below `least`, infinite or no number.
    """
    for name in names:
        value = getattr(config, name)
        if value is not None and not least <= value < math.inf:
            raise UserError(f"{name} is {value}; give at least {least:g}")
