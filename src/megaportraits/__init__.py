"""MegaPortraits: one-shot megapixel neural head avatars."""

import os
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from megaportraits.animate import Animator

__version__ = "0.1.0"
__all__ = ["Animator", "__version__"]

if sys.platform == "darwin":  # read when torch is imported: what Apple's GPU lacks is computed on the CPU
    os.environ.setdefault("PYTORCH_ENABLE_MPS_FALLBACK", "1")


def __getattr__(name: str) -> Any:
    """`Animator`, imported when it is asked for: the command line must answer without PyTorch."""
    if name != "Animator":
        raise AttributeError(f"module 'megaportraits' has no attribute '{name}'")
    from megaportraits.animate import Animator

    return Animator
