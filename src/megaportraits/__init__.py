"""MegaPortraits: one-shot megapixel neural head avatars."""

import os
import sys

__version__ = "0.1.0"

if sys.platform == "darwin":  # read when torch is imported: what Apple's GPU lacks is computed on the CPU
    os.environ.setdefault("PYTORCH_ENABLE_MPS_FALLBACK", "1")
