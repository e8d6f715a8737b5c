"""The meshes of a person: body, eyes, teeth, tongue, clothes, brows, lashes, hair, hat, in drawing order."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from megaportraits.synth.assets import AssetLibrary
from megaportraits.synth.identity import IdentitySpec
from megaportraits.synth.meshes import RenderMesh

TEETH_FIT = (np.array([0.90, 0.96, 0.92]), np.array([0.0, -0.05, -0.04]))
TONGUE_FIT = (np.array([0.855, 0.816, 0.874]), np.array([0.0, -0.098, -0.108]))
"""Scale about the dental arch and shift that keep clear of the lips."""

Poser = Callable[[np.ndarray, np.ndarray], np.ndarray]


@dataclass
class Part:
    """One mesh with one material and one texture."""

    material: str
    """skin, eye, teeth, tongue, cloth, brow, lash or hair."""
    mesh: RenderMesh
    positions: Float[np.ndarray, "G 3"]
    """Of the geometric vertices."""
    weights: Float[np.ndarray, "G J"]
    texture: Path | None
    """None: the texture is composed (skin)."""
    recolored: bool = False
    """Wears `spec.clothes_color`."""
    normals: Float[np.ndarray, "G 3"] | None = None
    """Where they are not those of the mesh."""
    first_vertex: int = 0
    first_index: int = 0

    @property
    def vertices(self) -> slice:
        """Its render vertices in the person's buffer."""
        return slice(self.first_vertex, self.first_vertex + len(self.mesh.uv))


def build_parts(library: AssetLibrary, spec: IdentitySpec, rest: Float[np.ndarray, "V 3"], pose: Poser) -> list[Part]:
    """Meshes of a person whose base mesh at rest is `rest`; `pose(points, weights)` lowers the arms."""
    parts = [_body(library, spec, rest, pose)]
    arch = None
    if spec.teeth:
        teeth = _proxy(library, "teeth", spec.teeth, "teeth", rest)
        arch = (teeth.positions.max(0) + teeth.positions.min(0)) / 2
        teeth.positions = _fit(teeth.positions, arch, TEETH_FIT)
        parts.append(teeth)
    for name in sorted(library.proxies["tongue"])[:1]:
        tongue = _proxy(library, "tongue", name, "tongue", rest)
        if arch is not None:
            tongue.positions = _fit(tongue.positions, arch, TONGUE_FIT)
        parts.append(tongue)
    for name in sorted(library.proxies["eyes"])[:1]:
        parts.append(_eyes(library, spec, name, rest))
    if spec.clothes:
        parts.append(_clothes(library, spec.clothes, rest, pose, spec.clothes_color is not None))
    for kind, name, material in (
        ("eyebrows", spec.eyebrows, "brow"), ("eyelashes", spec.eyelashes, "lash"), ("hair", spec.hair, "hair"),
    ):  # fmt: skip
        if name:
            parts.append(_proxy(library, kind, name, material, rest))
    if spec.hat:
        parts.append(_clothes(library, spec.hat, rest, pose, recolored=False))
    vertex = index = 0
    for part in parts:
        part.first_vertex, part.first_index = vertex, index
        vertex += len(part.mesh.uv)
        index += part.mesh.triangles.size
    return parts


def _body(library: AssetLibrary, spec: IdentitySpec, rest, pose: Poser) -> Part:
    faces, face_uv = library.body_faces, library.body_face_uv
    if spec.clothes:
        hidden = np.zeros(len(rest), bool)
        hidden[library.proxy("clothes", spec.clothes).binding.hidden] = True
        hidden[library.base.vertices[:, 1] > library.topology.uncovered_above_y] = False
        keep = ~hidden[faces].all(1)
        faces, face_uv = faces[keep], face_uv[keep]
    mesh = RenderMesh(faces, face_uv, library.base.uv)
    used = mesh.source_vertices
    weights = library.bone_weights[used]
    return Part("skin", mesh, pose(rest[used], weights), weights, None)


def _proxy(library: AssetLibrary, kind: str, name: str, material: str, rest) -> Part:
    proxy = library.proxy(kind, name)
    mesh = RenderMesh(proxy.mesh.faces, proxy.mesh.face_uv, proxy.mesh.uv)
    used = mesh.source_vertices
    return Part(material, mesh, proxy.binding.place(rest)[used], proxy.weights[used], proxy.texture)


def _clothes(library: AssetLibrary, name: str, rest, pose: Poser, recolored: bool) -> Part:
    proxy = library.proxy("clothes", name)
    positions = pose(proxy.binding.place(rest), proxy.weights)
    keep = positions[proxy.mesh.faces][..., 1].min(1) > library.topology.clothes_cut_y
    mesh = RenderMesh(proxy.mesh.faces[keep], proxy.mesh.face_uv[keep], proxy.mesh.uv)
    used = mesh.source_vertices
    return Part("cloth", mesh, positions[used], proxy.weights[used], proxy.texture, recolored)


def _eyes(library: AssetLibrary, spec: IdentitySpec, name: str, rest) -> Part:
    """Eyeballs with the normals of a sphere, since the modelled iris is concave."""
    part = _proxy(library, "eyes", name, "eye", rest)
    part.texture = library.materials("eyes").get(spec.iris, part.texture)
    part.normals = np.zeros_like(part.positions)
    for ball in (part.positions[:, 0] > 0, part.positions[:, 0] <= 0):
        if ball.any():
            points = part.positions[ball]
            outward = points - (points.max(0) + points.min(0)) / 2
            part.normals[ball] = outward / np.linalg.norm(outward, axis=1, keepdims=True)
    return part


def _fit(points, centre, fit) -> Float[np.ndarray, "N 3"]:
    scale, shift = fit
    return (points - centre) * scale + centre + shift
