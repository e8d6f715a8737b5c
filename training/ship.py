"""Put a checkpoint's inference weights into the package, without the folders of the machine that trained them.

python training/ship.py RUN/step-N
"""

import argparse
import shutil
from pathlib import Path
from typing import Any

from megaportraits.checkpoint import read_json, write_json
from megaportraits.models.base import BaseModel
from megaportraits.models.enhancer import Enhancer
from megaportraits.models.gaze import GazeNet
from megaportraits.models.identity import IdentityNet

WEIGHTS = Path(__file__).parents[1] / "src/megaportraits/weights"
KINDS = {kind.kind: kind for kind in (BaseModel, Enhancer, GazeNet, IdentityNet)}
PLACES = (
    "output", "data", "recorded", "stills", "base", "pose", "expression", "start_from", "teacher", "assets", "folder",
    "backgrounds", "held_out", "perceptual_weights", "face_weights", "gaze_weights", "recogniser_weights",
)  # fmt: skip
"""Settings that name files and folders."""


def without_places(settings: Any) -> Any:
    """Settings without those that say where things are."""
    if not isinstance(settings, dict):
        return settings
    return {
        name: without_places(value)
        for name, value in settings.items()
        if not (name in PLACES and isinstance(value, str | list))
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path)
    checkpoint = parser.parse_args().checkpoint
    config = read_json(checkpoint / "config.json")
    KINDS[config["kind"]].load(checkpoint)
    target = WEIGHTS / config["kind"]
    target.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(checkpoint / "model.safetensors", target / "model.safetensors")
    write_json(target / "config.json", config | {"training": without_places(config["training"])})
    print(f"{target}: {(target / 'model.safetensors').stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
