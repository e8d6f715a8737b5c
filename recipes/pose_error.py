"""Mean error of the head pose net of a base model on rendered clips with true poses.

    python recipes/pose_error.py DATA [WEIGHTS]

DATA is a folder of clips, for the model card the truth set of `recipes/truth_scoreboard.sh`.
"""

import sys
from pathlib import Path

import torch

from megaportraits.animate import shipped_weights
from megaportraits.data.clips import find_clips, read_clip
from megaportraits.geometry import rotation_error_deg
from megaportraits.models.base import BaseModel


def main() -> None:
    net = BaseModel.load(sys.argv[2] if len(sys.argv) > 2 else shipped_weights()).motion_encoder.pose
    rotation, scale, place = [], [], []
    for path in find_clips([Path(sys.argv[1])]):
        clip = read_clip(path)
        found = net(torch.from_numpy(clip.rgb).permute(0, 3, 1, 2).float() / 255)
        rotation.append(rotation_error_deg(found.rotation, torch.from_numpy(clip.truth.rotation)))
        scale.append((found.scale - torch.from_numpy(clip.truth.scale)).abs())
        place.append((found.translation - torch.from_numpy(clip.truth.translation))[:, :2].abs().mean(-1))
    for name, errors in (("rotation (degrees)", rotation), ("scale", scale), ("place (crop coordinates)", place)):
        print(f"{name}: {torch.cat(errors).mean():.4f}")


if __name__ == "__main__":
    main()
