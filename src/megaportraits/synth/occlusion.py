"""Ambient occlusion of each vertex, baked once for a person from orthographic depth maps of the face at rest."""

import numpy as np
from jaxtyping import Float

from megaportraits.synth.person import Person
from megaportraits.synth.renderer import HeadOnGpu, Renderer, orthographic
from megaportraits.synth.scene import look_at
from megaportraits.synth.track import FramePose

DIRECTIONS = 40
MAP_PX = 320
LIFT_DM = 0.03
SOFT_DEPTH = 0.004
FLOOR = {
    "skin": 0.0, "eye": 1.0, "hair": 0.25, "brow": 0.5, "lash": 0.3, "cloth": 0.1, "teeth": 0.3, "tongue": 0.2,
}  # fmt: skip
"""Openness of a fully enclosed vertex of each material."""
OCCLUDERS = ("skin", "teeth", "tongue", "cloth", "hair")


def bake_occlusion(renderer: Renderer, head: HeadOnGpu) -> None:
    """Measure how open each vertex is to the sky and store it in the head's buffer (0 closed to 1 open)."""
    openness = _visibility(renderer, head)
    for part in head.person.parts:
        smooth = part.mesh.smooth(openness[part.vertices], rounds=4 if part.material == "hair" else 2)
        floor = FLOOR[part.material]
        openness[part.vertices] = floor + (1 - floor) * smooth
    head.occlusion.write(np.clip(openness, 0, 1).astype(np.float32).tobytes())


def _visibility(renderer: Renderer, head: HeadOnGpu) -> Float[np.ndarray, " N"]:
    person, rest = head.person, _rest_pose(head.person)
    depth_map = renderer.context.depth_texture((MAP_PX, MAP_PX))
    target = renderer.context.framebuffer(depth_attachment=depth_map)
    head.surface.write(person.surface.rest.tobytes())
    points, normals = person.surface.rest[:, :3], person.surface.rest[:, 3:]
    lifted = np.concatenate([points + normals * LIFT_DM, np.ones((len(points), 1))], 1)
    middle = person.eye_middle * [0, 1, 0] + [0, -0.6, 0.4]
    seen, total = np.zeros(len(points)), np.full(len(points), 1e-6)
    for direction in _sphere(DIRECTIONS):
        projection = orthographic(3.4, 1.0, 20.0) @ look_at(middle + 10 * direction, middle)
        renderer.draw_depth(head, rest, projection, target, OCCLUDERS)
        depth = np.frombuffer(depth_map.read(), np.float32).reshape(MAP_PX, MAP_PX)
        window = (lifted @ projection.T)[:, :3] * 0.5 + 0.5
        column, row = np.clip((window[:, :2] * MAP_PX).astype(int), 0, MAP_PX - 1).T
        weight = np.maximum(normals @ direction, 0) * (1 + 0.6 * direction[1])
        seen += weight * np.clip((depth[row, column] - window[:, 2]) / SOFT_DEPTH + 1, 0, 1)
        total += weight
    target.release()
    depth_map.release()
    return np.clip(seen / total, 0, 1)


def _sphere(count: int) -> Float[np.ndarray, "K 3"]:
    """Evenly spread directions (a Fibonacci spiral) without those from below."""
    k = np.arange(count) + 0.5
    y = 1 - 2 * k / count
    angle = np.pi * (1 + 5**0.5) * k
    around = np.sqrt(1 - y * y)
    directions = np.stack([np.cos(angle) * around, y, np.sin(angle) * around], 1)
    return directions[y > -0.75]


def _rest_pose(person: Person) -> FramePose:
    still = np.tile(np.eye(4), (4, 1, 1))
    return FramePose(np.zeros(len(person.surface.offsets), np.float32), still, still[:2], np.eye(4), 0.0)
