"""Readers of MakeHuman's public file formats: obj, target, mhclo, mhskel, mhw, pose-unit BVH.

Units are decimetres, y up, +z to the viewer, the person's left at +x. Every text file may be gzipped (`NAME.gz`).
"""

import gzip
import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from megaportraits.errors import UserError

BVH_TO_MAKEHUMAN = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])
"""(x, y, z) of the Z-up BVH -> (x, z, -y)."""


@dataclass(frozen=True)
class Mesh:
    """A Wavefront mesh of quads; a triangle repeats its third corner."""

    vertices: Float[np.ndarray, "V 3"]
    uv: Float[np.ndarray, "U 2"]
    faces: Int[np.ndarray, "F 4"]
    face_uv: Int[np.ndarray, "F 4"]
    groups: tuple[str, ...]
    face_group: Int[np.ndarray, " F"]
    """Index into `groups` for each face."""


@dataclass(frozen=True)
class Binding:
    """How the vertices of a proxy (clothes, hair, eyes ...) follow the base mesh (.mhclo)."""

    reference: Int[np.ndarray, "N 3"]
    weights: Float[np.ndarray, "N 3"]
    offsets: Float[np.ndarray, "N 3"]
    scales: dict[int, tuple[int, int, float]]
    """axis -> (vertex a, vertex b, denominator): offsets are scaled by |a - b| / denominator along the axis."""
    hidden: Int[np.ndarray, " H"]
    """Base vertices that the proxy covers."""
    obj_file: str

    def place(self, base: Float[np.ndarray, "V 3"]) -> Float[np.ndarray, "N 3"]:
        """Positions of the proxy's vertices on a base mesh."""
        scale = np.ones(3)
        for axis, (a, b, denominator) in self.scales.items():
            scale[axis] = abs(base[a, axis] - base[b, axis]) / denominator
        return np.einsum("nk,nkd->nd", self.weights, base[self.reference]) + self.offsets * scale

    def blend(self, bone_weights: Float[np.ndarray, "V J"]) -> Float[np.ndarray, "N J"]:
        """Skinning weights of the proxy: the same blend of the base's weights, clipped at 0, rows summing to 1."""
        blended = np.einsum("nk,nkb->nb", np.clip(self.weights, 0, None), bone_weights[self.reference])
        return blended / np.maximum(blended.sum(1, keepdims=True), 1e-9)


@dataclass(frozen=True)
class Skeleton:
    """Bones in an order where parents come first."""

    names: tuple[str, ...]
    parents: tuple[int, ...]
    """Index of the parent, -1 for the root."""
    head_vertices: tuple[tuple[int, ...], ...]
    """Base vertices whose mean is the joint of the bone."""

    def joints(self, base: Float[np.ndarray, "V 3"]) -> Float[np.ndarray, "J 3"]:
        """Joint positions of one person."""
        return np.array([base[list(vertices)].mean(0) for vertices in self.head_vertices])


def read_text(path: Path) -> str:
    """Text of `path`, or of `path`.gz.

    Raises:
        UserError: neither exists.
    """
    zipped = path.with_name(path.name + ".gz")
    if zipped.exists():
        return gzip.decompress(zipped.read_bytes()).decode("utf-8", "replace")
    if path.exists():
        return path.read_text("utf-8", "replace")
    raise UserError(f"there is no {path} (nor {path.name}.gz); point --assets at a MakeHuman data folder")


def read_obj(path: Path) -> Mesh:
    """A Wavefront OBJ of triangles and quads."""
    vertices, uv, faces, face_uv, face_group = [], [], [], [], []
    groups = {"default": 0}
    group = 0
    for line in read_text(path).splitlines():
        words = line.split()
        if not words:
            continue
        if words[0] == "v":
            vertices.append([float(w) for w in words[1:4]])
        elif words[0] == "vt":
            uv.append([float(w) for w in words[1:3]])
        elif words[0] == "g":
            group = groups.setdefault(words[1] if len(words) > 1 else "default", len(groups))
        elif words[0] == "f":
            corners = [[int(i) if i else 0 for i in w.split("/")] for w in words[1:5]]
            corners += corners[2:3] * (4 - len(corners))
            faces.append([c[0] - 1 for c in corners])
            face_uv.append([c[1] - 1 if len(c) > 1 and c[1] else 0 for c in corners])
            face_group.append(group)
    return Mesh(
        np.array(vertices, np.float64),
        np.array(uv or [[0, 0]], np.float32),
        np.array(faces, np.int32),
        np.array(face_uv, np.int32),
        tuple(groups),
        np.array(face_group, np.int32),
    )


def read_target(path: Path) -> tuple[Int[np.ndarray, " N"], Float[np.ndarray, "N 3"]]:
    """A morph target: vertex numbers and their offsets."""
    rows = [line.split() for line in read_text(path).splitlines() if line[:1] not in ("", "#", '"')]
    rows = [row for row in rows if len(row) == 4]
    table = np.array(rows, np.float64).reshape(-1, 4)
    return table[:, 0].astype(np.int32), table[:, 1:].astype(np.float32)


@dataclass
class _BindingLines:
    reference: list = field(default_factory=list)
    weights: list = field(default_factory=list)
    offsets: list = field(default_factory=list)

    def add(self, words: list[str]) -> None:
        """`v` copies a base vertex; `v0 v1 v2 w0 w1 w2 [dx dy dz]` blends three and adds an offset."""
        if len(words) == 1:
            words = [words[0]] * 3 + ["1", "0", "0"]
        self.reference.append([int(w) for w in words[:3]])
        self.weights.append([float(w) for w in words[3:6]])
        self.offsets.append([float(w) for w in words[6:9]] if len(words) >= 9 else [0.0, 0.0, 0.0])


def read_mhclo(path: Path) -> Binding:
    """The binding of a proxy to the base mesh."""
    lines, scales, hidden, section, obj_file = _BindingLines(), {}, [], "", ""
    for line in read_text(path).splitlines():
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if words[0] in ("verts", "delete_verts"):
            section = words[0]
        elif words[0] in ("x_scale", "y_scale", "z_scale"):
            scales["xyz".index(words[0][0])] = (int(words[1]), int(words[2]), float(words[3]))
        elif words[0] == "obj_file":
            obj_file = words[1]
        elif words[0][0].isalpha():
            continue
        elif section == "verts":
            lines.add(words)
        elif section == "delete_verts":
            hidden += _ranges(words)
    return Binding(
        np.array(lines.reference, np.int32),
        np.array(lines.weights, np.float32),
        np.array(lines.offsets, np.float32),
        scales,
        np.array(sorted(set(hidden)), np.int32),
        obj_file,
    )


def _ranges(words: list[str]) -> list[int]:
    """`3 7 - 9 12` -> [3, 7, 8, 9, 12]."""
    found: list[int] = []
    position = 0
    while position < len(words):
        if words[position + 1 : position + 2] == ["-"]:
            found += range(int(words[position]), int(words[position + 2]) + 1)
            position += 3
        else:
            found.append(int(words[position]))
            position += 1
    return found


def read_skeleton(path: Path) -> Skeleton:
    """Bones, parents and joint vertices of an .mhskel."""
    data = json.loads(read_text(path))
    bones, joints = data["bones"], data["joints"]
    order: list[str] = []

    def add(name: str) -> None:
        if name in order:
            return
        if bones[name]["parent"]:
            add(bones[name]["parent"])
        order.append(name)

    for name in bones:
        add(name)
    parents = tuple(order.index(bones[n]["parent"]) if bones[n]["parent"] else -1 for n in order)
    return Skeleton(tuple(order), parents, tuple(tuple(joints[bones[n]["head"]]) for n in order))


def read_weights(path: Path, skeleton: Skeleton, vertex_count: int) -> Float[np.ndarray, "V J"]:
    """Skinning weights of an .mhw, rows summing to 1; vertices without weights follow the root."""
    weights = np.zeros((vertex_count, len(skeleton.names)), np.float32)
    column = {name: i for i, name in enumerate(skeleton.names)}
    for bone, pairs in json.loads(read_text(path))["weights"].items():
        if bone in column and pairs:
            table = np.array(pairs)
            weights[table[:, 0].astype(int), column[bone]] += table[:, 1]
    weights[weights.sum(1) < 1e-6, skeleton.parents.index(-1)] = 1
    return weights / weights.sum(1, keepdims=True)


def axis_rotation(axis: str, degrees: float) -> Float[np.ndarray, "3 3"]:
    """Right-handed rotation about X, Y or Z."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    rows = {
        "X": [[1, 0, 0], [0, c, -s], [0, s, c]],
        "Y": [[c, 0, s], [0, 1, 0], [-s, 0, c]],
        "Z": [[c, -s, 0], [s, c, 0], [0, 0, 1]],
    }
    return np.array(rows[axis], np.float64)


def read_pose_units(bvh: Path, names: Path) -> dict[str, dict[str, Float[np.ndarray, "3 3"]]]:
    """Face pose units: {unit: {bone: rotation in MakeHuman axes}}; frame k of the BVH is unit `framemapping[k]`."""
    channels, frames, bone, in_motion = [], [], "", False
    for line in read_text(bvh).splitlines():
        words = line.split()
        if not words:
            continue
        if in_motion and words[0] not in ("Frames:", "Frame"):
            frames.append([float(w) for w in words])
        elif words[0] in ("ROOT", "JOINT"):
            bone = words[1]
        elif words[0] == "CHANNELS":
            channels += [(bone, name) for name in words[2:]]
        elif words[0] == "MOTION":
            in_motion = True
    units = {}
    for unit, values in zip(json.loads(read_text(names))["framemapping"], frames, strict=True):
        rotations: dict[str, np.ndarray] = {}
        for (name, channel), degrees in zip(channels, values, strict=True):
            if channel.endswith("rotation") and abs(degrees) > 1e-3:
                rotations[name] = rotations.get(name, np.eye(3)) @ axis_rotation(channel[0], degrees)
        units[unit] = {name: BVH_TO_MAKEHUMAN @ r @ BVH_TO_MAKEHUMAN.T for name, r in rotations.items()}
    return units
