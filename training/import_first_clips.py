"""Turn a first set of rendered clips (one .mp4, .matte.mp4, .npz and .json each, y-up truth) into clip folders.

    python training/import_first_clips.py FROM TO

Every clip is cut to its one-square crop. Its true rotation is the head bone's, not the face's (geometry.py): for the
base model, which does not need it, not for the head pose net. Clips that use a held-out asset are marked `held_out`, so
that training never reads them. Leg 1 in LEGS.md starts from these.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from tqdm import tqdm

from megaportraits import geometry
from megaportraits.data.clips import Clip, ClipInfo, Truth, is_complete, write_clip
from megaportraits.data.crop import clip_crop
from megaportraits.data.video import read_frames

TO_PROJECT = np.diag([1.0, -1.0, -1.0])
HELD_OUT = json.loads((Path(__file__).parents[1] / "src/megaportraits/synth/splits.json").read_text())


def uses_held_out_asset(spec: dict) -> bool:
    names = {spec["hair"], spec["skin"]["low"], spec["skin"]["high"], spec["clothes"], spec["brows"]["style"]}
    return bool(names & {name for group in HELD_OUT.values() for name in group})


def convert(source: Path, meta: dict, frame_step_s: float, size_px: int) -> Clip:
    facts = json.loads(source.with_suffix(".json").read_text())
    arrays = np.load(source.with_suffix(".npz"))
    rgb = np.stack(list(read_frames(source.with_suffix(".mp4"))))
    matte = np.stack([f[..., 0] for f in read_frames(source.with_suffix(".matte.mp4"))])
    pixels = arrays["landmarks"].astype(np.float64) * rgb.shape[1]
    crop = clip_crop(pixels, meta["landmark_ids"])
    rgb = np.stack([crop.cut(f, size_px) for f in rgb])
    matte = np.stack([crop.cut(f, size_px) for f in matte])
    landmarks = crop.to_crop_coordinates(pixels).astype(np.float32)
    camera = TO_PROJECT @ arrays["rotation"] @ TO_PROJECT
    position = arrays["translation"] @ TO_PROJECT
    rotation = (geometry.rotation_to_ray(position).transpose(0, 2, 1) @ camera).astype(np.float32)
    scale, translation = geometry.fit_similarity_2d(rotation, landmarks, meta["landmark_ids"])
    theta = np.tile(np.eye(4, dtype=np.float32), (len(scale), 1, 1))
    linear = rotation.transpose(0, 2, 1) / scale[:, None, None]
    theta[:, :3, :3] = linear
    theta[:, :3, 3] = -np.einsum("tij,tj->ti", linear, translation)
    controls = arrays["controls"].astype(np.float32)
    blink = controls[:, [meta["controls"].index("blink_l"), meta["controls"].index("blink_r")]]
    gaze = (arrays["gaze"] * [1, -1]).astype(np.float32)
    truth = Truth(rotation, scale, translation, theta, controls, gaze, blink, landmarks)
    info = ClipInfo(
        identity=str(facts["identity"]), motion=str(facts["motion"]), frame_step_s=frame_step_s, fps=25.0,
        size_px=size_px, crop={"x": crop.x, "y": crop.y, "side": crop.side}, source="rendered", licence="CC0-1.0",
        split="held_out" if uses_held_out_asset(facts["spec"]) else "train", landmark_ids=meta["landmark_ids"],
        control_names=meta["controls"], identity_spec=facts["spec"],
    )  # fmt: skip
    return Clip(rgb, matte, truth, info)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, help="folder with meta.json, train/ and truth/")
    parser.add_argument("target", type=Path, help="folder for train/ and truth/ clip folders")
    parser.add_argument("--size", type=int, default=256, help="side of the crops in pixels")
    arguments = parser.parse_args()
    meta = json.loads((arguments.source / "meta.json").read_text())
    for part, step_s in (("train", 4 / 25), ("truth", 14 / 25)):
        for path in tqdm(sorted((arguments.source / part).glob("*.json")), desc=part):
            target = arguments.target / part / path.stem
            if not is_complete(target):
                clip = convert(path, meta, step_s, arguments.size)
                write_clip(target, clip.rgb, clip.matte, clip.truth, clip.info)


if __name__ == "__main__":
    main()
