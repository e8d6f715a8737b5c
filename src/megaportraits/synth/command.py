"""Entry of `megaportraits synth`: checks that the optional packages are there, then renders."""

import importlib.util

from megaportraits.errors import UserError
from megaportraits.synth.settings import SynthConfig

PACKAGES = {"moderngl": "moderngl", "scipy": "scipy", "cv2": "mediapipe"}
"""Module -> package that brings it."""


def run(config: SynthConfig) -> None:
    """Render the clips of a configuration and say where they are.

    Raises:
        UserError: a package, EGL or an asset is missing, or `out` holds clips of another configuration.
    """
    missing = sorted({package for module, package in PACKAGES.items() if importlib.util.find_spec(module) is None})
    if missing:
        raise UserError(f"rendering needs {', '.join(missing)}; install megaportraits with its extra 'synth'")
    from megaportraits.synth.clips import synthesise

    folders = synthesise(config)
    print(f"{len(folders)} clips in {config.out}")
