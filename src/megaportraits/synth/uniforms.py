"""Values for the shaders' uniforms."""

from collections.abc import Mapping, Sequence

import moderngl
import numpy as np
from jaxtyping import Float

from megaportraits.synth.cloth import KINDS, ClothPattern
from megaportraits.synth.person import Person
from megaportraits.synth.scene import Light
from megaportraits.synth.track import FramePose

LIP_VARIATION = np.array([0.05, 0.08, 0.07])
MAKEUP = np.array([0.05, 0.38, 0.30])


def set_uniforms(program: moderngl.Program, values: Mapping[str, int | float | Sequence[float] | np.ndarray]) -> None:
    """Uniforms by name; those that the compiler dropped are left out. Matrices come row-major."""
    for name, value in values.items():
        uniform = program.get(name, None)
        if not isinstance(uniform, moderngl.Uniform):
            continue
        if isinstance(value, np.ndarray):
            ordered = value.swapaxes(-1, -2) if value.shape[-2:] == (4, 4) else value
            uniform.write(np.ascontiguousarray(ordered, np.float32).tobytes())
        else:
            uniform.value = value


def set_pose(
    program: moderngl.Program,
    view_projection: Float[np.ndarray, "4 4"],
    pose: FramePose,
    light_projection: Float[np.ndarray, "4 4"],
) -> None:
    """World -> clip space of the picture and of the shadow map, and the pose of every vertex."""
    values = {"view_projection": view_projection, "light_projection": light_projection}
    set_uniforms(program, values | {"neck": pose.neck, "torso": pose.torso, "eyes": pose.eyes})


def set_light(program: moderngl.Program, light: Light, camera: Float[np.ndarray, "3"]) -> None:
    """Lights, and the position of the camera."""
    values = {
        "camera": camera,
        "light_direction": light.directions,
        "light_color": light.colors,
        "sky": light.sky,
        "ground": light.ground,
        "shadow_strength": light.shadow,
        "exposure": light.exposure,
    }
    set_uniforms(program, values)


def set_person(program: moderngl.Program, person: Person, mouth_open: float) -> None:
    """What the textures do not say about a person's looks."""
    spec, skin = person.spec, person.spec.skin
    values = {
        "gloss": skin.gloss,
        "lip_tint": np.exp(np.array(skin.lips) * LIP_VARIATION) * (1 - MAKEUP * skin.makeup),
        "stubble": skin.stubble,
        "stubble_color": np.clip(np.array(spec.hair_color) * 0.5, 0.004, 0.08),
        "scalp_color": np.array(spec.hair_color) * 0.6,
        "freckles": skin.freckles,
        "noise_seed": skin.noise_seed,
        "mouth_open": mouth_open,
    }
    set_uniforms(program, values)
    _set_cloth_pattern(program, spec.cloth_pattern)


def _set_cloth_pattern(program: moderngl.Program, pattern: ClothPattern | None) -> None:
    if pattern is None:
        set_uniforms(program, {"pattern_opacity": 0.0})
        return
    values = {
        "pattern": KINDS.index(pattern.kind),
        "pattern_color": np.array(pattern.colors),
        "pattern_axis": np.array(pattern.axes),
        "pattern_duty": pattern.duty,
        "pattern_softness": pattern.softness,
        "pattern_opacity": pattern.opacity,
    }
    set_uniforms(program, values)
