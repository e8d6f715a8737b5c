"""Errors of the gaze and blink net: in degrees on rendered clips, as correlation with MediaPipe on real videos.

    python recipes/gaze_error.py DATA [--weights FOLDER] [--videos FOLDER] [--sheet PNG]

DATA is a folder of clips that training has not seen, for docs/gaze.md the truth set of `recipes/scoreboard.sh`.
Gaze is scored where at least one eye is more open than closed; "constant" predicts the mean of DATA itself.

On real videos nobody knows the answer. MediaPipe's iris centre between the corners of its eye stands in for gaze, the
height of the opening over the width of the eye, with its sign turned, for blink; both eyes are averaged.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw

from megaportraits.data.clips import find_clips, read_clip
from megaportraits.data.crop import clip_crop
from megaportraits.data.eyes import EyeState, eye_crops
from megaportraits.data.faces import FaceTracker
from megaportraits.data.keypoints import LEFT_EYE, RIGHT_EYE, select
from megaportraits.data.video import read_frames
from megaportraits.models.gaze import GazeNet, gaze_error_deg
from megaportraits.models.network import shipped_weights
from megaportraits.tensors import stack

SIZE_PX = 256
MOST_FRAMES = 60
IRIS = {RIGHT_EYE: 468, LEFT_EYE: 473}
LIDS = {RIGHT_EYE: (159, 145), LEFT_EYE: (386, 374)}
VIDEOS = (".mp4", ".mpg", ".mov", ".avi")
NAMES = ("yaw", "pitch", "blink")


def rendered(net: GazeNet, data: Path) -> tuple[EyeState, EyeState, torch.Tensor]:
    """(found, truth, eye pictures) of all frames of all clips."""
    found, truth, eyes = [], [], []
    for path in find_clips([data]):
        clip = read_clip(path)
        rgb = torch.from_numpy(clip.rgb).permute(0, 3, 1, 2).float() / 255
        points = torch.from_numpy(select(clip.truth.landmarks, clip.info.landmark_ids))
        eyes.append(eye_crops(rgb, points, net.config.eye_px))
        found.append(net(eyes[-1], points))
        truth.append(EyeState(torch.from_numpy(clip.truth.gaze), torch.from_numpy(clip.truth.blink)))
    return stack(found), stack(truth), torch.cat(eyes)


def report_rendered(found: EyeState, truth: EyeState) -> None:
    opened = truth.blink.amin(1) < 0.5
    wanted, seen = truth.gaze_deg[opened], found.gaze_deg[opened]
    constant = wanted.mean(0, keepdim=True).expand_as(wanted)
    middle = truth.blink.mean(0, keepdim=True).expand_as(truth.blink)
    print(f"frames: {len(truth.blink)}, with an open eye {int(opened.sum())}")
    for name, gaze, blink in (("net", seen, found.blink), ("constant", constant, middle)):
        error, axes = gaze_error_deg(gaze, wanted), (gaze - wanted).abs().mean(0)
        print(
            f"{name}: gaze {error.mean():.2f} degrees (median {error.median():.2f}, yaw {axes[0]:.2f}, "
            f"pitch {axes[1]:.2f}); blink MAE {(blink - truth.blink).abs().mean():.4f}"
        )
    slopes = ((seen - seen.mean(0)) * (wanted - wanted.mean(0))).sum(0) / (wanted - wanted.mean(0)).square().sum(0)
    print(f"slope of found on true: yaw {slopes[0]:.2f}, pitch {slopes[1]:.2f}")
    for k, name in enumerate(("yaw", "pitch")):
        print(f"correlation with the truth, {name}: {correlation(seen[:, k].numpy(), wanted[:, k].numpy()):.3f}")
    print(f"correlation with the truth, blink: {correlation(found.blink.numpy(), truth.blink.numpy()):.3f}")


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Pearson's; NaN where one does not change."""
    if np.std(a) == 0 or np.std(b) == 0:
        return float("nan")
    return float(np.corrcoef(a.ravel(), b.ravel())[0, 1])


def measured(points: np.ndarray) -> list[float]:
    """(right, up, closed) of both eyes from MediaPipe's 478 landmarks, in widths of the eye."""
    upright = points[LEFT_EYE[0]] - points[RIGHT_EYE[0]]
    along = upright / np.linalg.norm(upright)
    down = np.array([-along[1], along[0]])
    rows = []
    for eye in (LEFT_EYE, RIGHT_EYE):
        corners = points[[eye[0], eye[8]]]
        width = np.linalg.norm(corners[0] - corners[1])
        iris = (points[IRIS[eye]] - corners.mean(0)) / width
        upper, lower = points[list(LIDS[eye])]
        rows.append([iris @ along, -iris @ down, -np.linalg.norm(upper - lower) / width])
    return np.mean(rows, 0).tolist()


def frames_with_faces(path: Path) -> list[tuple[np.ndarray, np.ndarray]]:
    """(crop, 478 landmarks in crop coordinates) of evenly spread frames, all cut by the same square."""
    step = max(1, sum(1 for _ in read_frames(path)) // MOST_FRAMES)
    with FaceTracker(video=True) as tracker:
        seen = [(f, tracker.landmarks(f)) for i, f in enumerate(read_frames(path)) if i % step == 0]
    faces = [(frame, landmarks[:, :2]) for frame, landmarks in seen if landmarks is not None]
    square = clip_crop(np.stack([landmarks for _, landmarks in faces]))
    return [(square.cut(frame, SIZE_PX), square.to_crop_coordinates(landmarks)) for frame, landmarks in faces]


def real(net: GazeNet, path: Path) -> tuple[np.ndarray, np.ndarray, torch.Tensor]:
    """(found, measured, eye pictures) of a video: yaw or right, pitch or up, blink or closed."""
    found, seen, eyes = [], [], []
    for crop, landmarks in frames_with_faces(path):
        rgb = torch.from_numpy(crop.copy()).permute(2, 0, 1)[None].float() / 255
        points = torch.from_numpy(select(landmarks[None], list(range(len(landmarks)))))
        eyes.append(eye_crops(rgb, points, net.config.eye_px))
        state = net(eyes[-1], points)
        found.append([*state.gaze_deg[0].tolist(), float(state.blink.mean())])
        seen.append(measured(landmarks))
    return np.array(found), np.array(seen), torch.cat(eyes)


def report_real(net: GazeNet, folder: Path) -> list[tuple[np.ndarray, torch.Tensor]]:
    pairs, shown = [], []
    print(f"{'video':<18}" + "".join(f"{name:>8}" for name in NAMES) + "  frames  deviation found (degrees, -)")
    for path in sorted(p for p in folder.iterdir() if p.suffix in VIDEOS):
        found, seen, eyes = real(net, path)
        pairs.append((found, seen))
        shown.append((found, eyes))
        row = [correlation(found[:, k], seen[:, k]) for k in range(3)]
        spread = " ".join(f"{v:.2f}" for v in found.std(0))
        print(f"{path.stem:<18}" + "".join(f"{v:8.2f}" for v in row) + f"  {len(found):6d}  {spread}", flush=True)
    for name, centred in (("pooled", False), ("pooled, centred", True)):
        a, b = (np.concatenate([p[i] - p[i].mean(0) * centred for p in pairs]) for i in (0, 1))
        print(f"{name:<18}" + "".join(f"{correlation(a[:, k], b[:, k]):8.2f}" for k in range(3)))
    return shown


def sheet(rows: list[tuple[torch.Tensor, list[float]]], path: Path) -> None:
    """Eye pictures (right eye on the left) with the found gaze as a line and the numbers beside them."""
    zoom, cells = 3, []
    for eyes, (yaw, pitch, blink) in rows:
        both = torch.cat([eyes[1], eyes[0]], -1).clamp(0, 1)
        picture = Image.fromarray((both.permute(1, 2, 0) * 255).byte().numpy())
        size = eyes.shape[-1] * zoom
        cell = Image.new("RGB", (2 * size, size + 14), "white")
        cell.paste(picture.resize((2 * size, size), Image.Resampling.BICUBIC))
        pen = ImageDraw.Draw(cell)
        for x in (size / 2, 1.5 * size):
            pen.line((x, size / 2, x + 2 * yaw, size / 2 - 2 * pitch), fill=(0, 255, 0), width=2)
        pen.text((2, size + 1), f"yaw {yaw:.0f} pitch {pitch:.0f} blink {blink:.2f}", fill="black")
        cells.append(np.asarray(cell))
    lines = [np.concatenate(cells[i : i + 4], 1) for i in range(0, len(cells) - 3, 4)]
    Image.fromarray(np.concatenate(lines)).save(path)


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--weights", type=Path, default=Path(shipped_weights()).parent / "gaze")
    parser.add_argument("--videos", type=Path)
    parser.add_argument("--sheet", type=Path)
    arguments = parser.parse_args()
    net = GazeNet.load(arguments.weights)
    found, truth, eyes = rendered(net, arguments.data)
    report_rendered(found, truth)
    numbers = torch.cat([found.gaze_deg, found.blink.mean(1, keepdim=True)], 1)
    picked = torch.linspace(0, len(eyes) - 1, 16).long()
    rows = [(eyes[i], numbers[i].tolist()) for i in picked]
    for found_real, eyes_real in report_real(net, arguments.videos) if arguments.videos else []:
        rows += [(eyes_real[i], found_real[i].tolist()) for i in (0, len(eyes_real) // 2)]
    if arguments.sheet:
        sheet(rows, arguments.sheet)


if __name__ == "__main__":
    main()
