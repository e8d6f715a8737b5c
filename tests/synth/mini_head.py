"""A tiny procedural head in MakeHuman's file formats: lets tests render without the real assets.

A lathe body with a nose, two eyeballs, a hair cap, brows, a shirt and a jaw; MediaPipe's landmarks are loose vertices
at the mean head's points. Names are those of real assets, so that both splits have something to wear.
"""

import json
from pathlib import Path

import numpy as np
from jaxtyping import Float
from PIL import Image

from megaportraits.geometry import mean_head

SEGMENTS = 24
CENTRE = np.array([0.0, 6.7, 0.8])
DM_PER_HEAD_UNIT = 1.9
PROFILE = (
    (7.95, 0.02), (7.85, 0.40), (7.6, 0.68), (7.3, 0.82), (7.0, 0.86), (6.7, 0.85), (6.4, 0.82), (6.1, 0.76),
    (5.8, 0.66), (5.55, 0.48), (5.3, 0.40), (5.0, 0.42), (4.8, 0.70), (4.6, 1.40), (4.2, 1.75), (3.2, 1.80),
)  # fmt: skip
"""Height and radius of the rings of the body, from the crown down."""
FIRST_HAIR_RING, LAST_HAIR_RING, FIRST_SHIRT_RING = 0, 4, 11
EYE_RADIUS = 0.13
EYE_AT = np.array([0.30, 0.02, 0.52])
"""Left eyeball from the head's centre."""
JOINTS = {
    "root": (None, (0, 3.2, 0.0)),
    "neck01": ("root", (0, 5.0, 0.2)),
    "neck02": ("neck01", (0, 5.2, 0.25)),
    "neck03": ("neck02", (0, 5.4, 0.3)),
    "head": ("neck03", (0, 5.7, 0.4)),
    "jaw": ("head", (0, 6.3, 0.5)),
    "eye.L": ("head", tuple(CENTRE + EYE_AT)),
    "eye.R": ("head", tuple(CENTRE + EYE_AT * [-1, 1, 1])),
    "lid.L": ("head", tuple(CENTRE + EYE_AT - [0, 0, 0.4])),
    "lid.R": ("head", tuple(CENTRE + EYE_AT * [-1, 1, 1] - [0, 0, 0.4])),
}
"""Bone -> parent, joint."""
POSE_UNITS = {
    "Rest": {},
    "JawDrop": {"jaw": 22.0},
    "LeftUpperLidClosed": {"lid.L": 20.0},
    "RightUpperLidClosed": {"lid.R": 20.0},
}
"""Unit -> bone -> degrees about x."""
LIDS = {"Left": (386, 374), "Right": (159, 145)}
"""Landmarks in the middle of the upper and of the lower lid."""
UPPER_LIDS = {"lid.L": (384, 385, 386, 387, 388), "lid.R": (157, 158, 159, 160, 161)}
SKINS = {"young_lightskinned_male_diffuse": (205, 160, 135), "young_lightskinned_male_diffuse3": (170, 120, 95)}
HAIR = {"short01": (90, 60, 40), "short03": (60, 50, 45)}
BROWS = ("eyebrow002", "eyebrow001")
CLOTHES = ("male_casualsuit01", "female_casualsuit01", "male_casualsuit02", "female_casualsuit02")


def write_mini_head(folder: str | Path) -> Path:
    """Write the mini head as a MakeHuman data folder; returns the folder."""
    root = Path(folder)
    landmarks = CENTRE + DM_PER_HEAD_UNIT * mean_head().astype(np.float64) * [1, -1, -1]
    lathe, balls = _lathe(), _eyeballs()
    joints = np.array([position for _, position in JOINTS.values()], float)
    vertices = np.concatenate([landmarks, lathe, balls, joints])
    first = {"lathe": 468, "balls": 468 + len(lathe), "joints": 468 + len(lathe) + len(balls)}
    faces = [[first["lathe"] + v for v in face] for face in _ring_faces(len(PROFILE), SEGMENTS)]
    _write_obj(root / "3dobjs/base.obj", vertices, faces)
    _write_rig(root, vertices, first)
    _write_poses(root / "poseunits")
    _write_targets(root / "targets", landmarks)
    _write_eyes(root / "eyes", first["balls"], balls)
    _write_dress(root, first["lathe"], lathe)
    for name, color in SKINS.items():
        _write_picture(root / f"skins/textures/{name}.png", color)
    topology = {
        "base": "mini", "lid_margins": LIDS, "body_cut_y": 0.0, "body_cut_x": 5.0, "clothes_cut_y": 0.0,
        "uncovered_above_y": 5.1, "landmarks": list(range(468)),
    }  # fmt: skip
    _write(root / "topology.json", json.dumps(topology))
    return root


def _lathe() -> Float[np.ndarray, "N 3"]:
    angle = np.arange(SEGMENTS) * 2 * np.pi / SEGMENTS
    rings = []
    for height, radius in PROFILE:
        depth = 0.75 if height < 4.9 else 1.05
        forward = 0.15 if height < 5.5 else 0.75
        x, z = radius * np.sin(angle), depth * radius * np.cos(angle) + forward
        nose = 0.28 * np.exp(-(((height - 6.45) / 0.22) ** 2) - (x / 0.16) ** 2) * (np.cos(angle) > 0)
        rings.append(np.stack([x, np.full(SEGMENTS, height), z + nose], 1))
    return np.concatenate(rings)


def _eyeballs(rings: int = 7, segments: int = 8) -> Float[np.ndarray, "N 3"]:
    polar, around = np.meshgrid(np.linspace(0.05, np.pi - 0.05, rings), np.arange(segments) * 2 * np.pi / segments)
    polar, around = polar.T.ravel(), around.T.ravel()
    ball = EYE_RADIUS * np.stack([np.sin(polar) * np.sin(around), np.sin(polar) * np.cos(around), np.cos(polar)], 1)
    return np.concatenate([CENTRE + EYE_AT * [side, 1, 1] + ball for side in (1, -1)])


def _ring_faces(rings: int, segments: int) -> list[list[int]]:
    """Quads between neighbouring rings, counter-clockwise from outside for rings that go down (or away)."""
    faces = []
    for ring in range(rings - 1):
        for k in range(segments):
            right = (k + 1) % segments
            low = (ring + 1) * segments
            faces.append([ring * segments + k, low + k, low + right, ring * segments + right])
    return faces


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def _write_picture(path: Path, color: tuple[int, ...], size_px: int = 16) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(0).normal(0, 6, (size_px, size_px, 1))
    picture = np.clip(np.array(color)[None, None, :3] + noise, 0, 255)
    if len(color) == 4:
        picture = np.concatenate([picture, np.full((size_px, size_px, 1), color[3])], 2)
    Image.fromarray(picture.astype(np.uint8)).save(path)


def _write_obj(path: Path, vertices: Float[np.ndarray, "N 3"], faces: list[list[int]]) -> None:
    uv = np.stack([np.arctan2(vertices[:, 0], vertices[:, 2]) / (2 * np.pi) + 0.5, (vertices[:, 1] - 3) / 5], 1)
    lines = [f"v {x:.4f} {y:.4f} {z:.4f}" for x, y, z in vertices]
    lines += [f"vt {u:.4f} {v:.4f}" for u, v in uv]
    lines += ["g body", *("f " + " ".join(f"{v + 1}/{v + 1}" for v in face) for face in faces)]
    _write(path, "\n".join(lines) + "\n")


def _write_rig(root: Path, vertices: Float[np.ndarray, "N 3"], first: dict[str, int]) -> None:
    bones = {n: {"head": n, "tail": n, "parent": parent} for n, (parent, _) in JOINTS.items()}
    joints = {name: [first["joints"] + i] for i, name in enumerate(JOINTS)}
    _write(root / "rigs/default.mhskel", json.dumps({"bones": bones, "joints": joints}))
    weights: dict[str, list] = {name: [] for name in JOINTS}
    chain = ("root", "neck01", "neck02", "neck03", "head")
    for i, (_, height, _) in enumerate(vertices[: first["joints"]]):
        step = np.clip((height - 4.9) / 0.2, 0, 4)
        low = min(int(step), 3)
        lid = next((bone for bone, ids in UPPER_LIDS.items() if i in ids), None)
        if lid:
            weights[lid].append([i, 1.0])
        elif height < 6.2 and i < first["lathe"]:
            weights["jaw"].append([i, 1.0])
        else:
            weights[chain[low]].append([i, 1 - (step - low)])
            weights[chain[low + 1]].append([i, step - low])
    _write(root / "rigs/default_weights.mhw", json.dumps({"weights": weights}))


def _write_poses(folder: Path) -> None:
    bones = [name for name in JOINTS if name != "root"]
    lines = ["HIERARCHY", "ROOT root", "CHANNELS 6 Xposition Yposition Zposition Xrotation Yrotation Zrotation"]
    for name in bones:
        lines += [f"JOINT {name}", "CHANNELS 3 Xrotation Yrotation Zrotation"]
    lines += ["MOTION", f"Frames: {len(POSE_UNITS)}", "Frame Time: 0.04"]
    for turned in POSE_UNITS.values():
        lines.append(" ".join(["0"] * 6 + [f"{turned.get(name, 0.0)} 0 0" for name in bones]))
    _write(folder / "face-poseunits.bvh", "\n".join(lines) + "\n")
    _write(folder / "face-poseunits.json", json.dumps({"framemapping": list(POSE_UNITS)}))


def _write_targets(folder: Path, landmarks: Float[np.ndarray, "468 3"]) -> None:
    for sex, share in (("male", 0.03), ("female", -0.03)):
        wider = [f"{i} {share * x:.4f} 0 0" for i, (x, _, _) in enumerate(landmarks)]
        _write(folder / f"macrodetails/caucasian-{sex}-young.target", "# wider\n" + "\n".join(wider))
    for ending, offset in (("incr", 0.05), ("decr", -0.05)):
        _write(folder / f"nose/nose-hump-{ending}.target", f"# nose\n1 0 0 {offset}\n4 0 0 {offset}\n")


def _write_eyes(folder: Path, first: int, balls: Float[np.ndarray, "N 3"]) -> None:
    half = len(balls) // 2
    faces = [[side * half + v for v in face] for side in (0, 1) for face in _ring_faces(7, 8)]
    _write_obj(folder / "high-poly/high-poly.obj", balls, faces)
    lines = ["obj_file high-poly.obj", "verts 0", *(str(first + i) for i in range(len(balls)))]
    _write(folder / "high-poly/high-poly.mhclo", "\n".join(lines) + "\n")
    _write_picture(folder / "materials/brown_eye.png", (120, 90, 70, 255))


def _write_dress(root: Path, first: int, lathe: Float[np.ndarray, "N 3"]) -> None:
    cap = np.arange(FIRST_HAIR_RING * SEGMENTS, (LAST_HAIR_RING + 1) * SEGMENTS)
    shirt = np.arange(FIRST_SHIRT_RING * SEGMENTS, len(lathe))
    for name, color in HAIR.items():
        _write_proxy(root / "hair", name, lathe, cap, first, 0.08, (*color, 255))
    for name in CLOTHES:
        _write_proxy(root / "clothes", name, lathe, shirt, first, 0.06, (90, 100, 140))
    brows = (np.array([[4], [5]]) * SEGMENTS + np.arange(-3, 4) % SEGMENTS).ravel()
    for name in BROWS:
        _write_proxy(root / "eyebrows", name, lathe, brows, first, 0.03, (0, 0, 0, 120), segments=7)


def _write_proxy(folder, name, lathe, used, first, offset, color, segments=None) -> None:
    """A sheet of the lathe, lifted outwards, bound to its vertices with an offset."""
    points = lathe[used]
    outward = points - [0, 0, 0.4]
    outward[:, 1] = 0
    outward *= offset / np.maximum(np.linalg.norm(outward, axis=1, keepdims=True), 1e-6)
    count = segments or SEGMENTS
    faces = _ring_faces(len(used) // count, count)
    if segments:
        faces = [face for i, face in enumerate(faces) if i % count != count - 1]
    _write_obj(folder / name / f"{name}.obj", points + outward, faces)
    lines = [f"obj_file {name}.obj", f"x_scale {first + 4 * SEGMENTS + 6} {first + 4 * SEGMENTS + 18} 1.72", "verts 0"]
    for vertex, (x, y, z) in zip(first + used, outward, strict=True):
        lines.append(f"{vertex} {vertex} {vertex} 1 0 0 {x:.4f} {y:.4f} {z:.4f}")
    if folder.name == "clothes":
        lines += ["delete_verts", f"{first + used[2 * SEGMENTS]} - {first + used[-1]}"]
    _write(folder / name / f"{name}.mhclo", "\n".join(lines) + "\n")
    _write_picture(folder / name / f"{name}_diffuse.png", color)
