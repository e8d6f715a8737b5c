"""Put a checkpoint's inference weights into the package, without the folders of the machine that trained them.

python training/ship.py RUN/step-N
"""

import argparse
import shutil
from pathlib import Path

from megaportraits.checkpoint import read_json, write_json
from megaportraits.models.base import BaseModel

TARGET = Path(__file__).parents[1] / "src/megaportraits/weights/base"
FOLDERS = ("output", "data", "pose", "start_from", "perceptual_weights")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path)
    checkpoint = parser.parse_args().checkpoint
    BaseModel.load(checkpoint)
    TARGET.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(checkpoint / "model.safetensors", TARGET / "model.safetensors")
    config = read_json(checkpoint / "config.json")
    config["training"] = {k: v for k, v in config["training"].items() if k not in FOLDERS}
    write_json(TARGET / "config.json", config)
    print(f"{TARGET}: {(TARGET / 'model.safetensors').stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
