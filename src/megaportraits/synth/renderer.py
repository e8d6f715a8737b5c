"""Off-screen OpenGL (EGL) renderer of heads: colour and foreground matte. Mesa on a CPU, or a GPU's driver."""

from importlib import resources

import cv2
import moderngl
import numpy as np
from jaxtyping import Float, UInt8

from megaportraits.errors import UserError
from megaportraits.synth.assets import AssetLibrary
from megaportraits.synth.parts import Part
from megaportraits.synth.person import Person
from megaportraits.synth.scene import Light, look_at
from megaportraits.synth.textures import part_texture
from megaportraits.synth.track import FramePose
from megaportraits.synth.uniforms import set_light, set_person, set_pose, set_uniforms

MATERIALS = ("skin", "eye", "teeth", "tongue", "cloth", "brow", "lash", "hair")
"""In the order of the constants of surface.frag."""
CUT_OUT = ("brow", "lash", "hair")
CASTS_SHADOW = ("skin", "cloth", "hair")
SHADOW_PX = 1024
SHADOW_REACH_DM = 2.9
HAIR_SOLID_ALPHA = 0.55
"""Hair more opaque than this writes depth; the rest is blended over it."""
SUPERSAMPLING = 2


def open_context() -> moderngl.Context:
    """A stand-alone EGL context.

    Raises:
        UserError: EGL is missing.
    """
    try:
        # moderngl's stub types each setting as a whole dict of settings.
        return moderngl.create_standalone_context(backend="egl")  # pyright: ignore[reportArgumentType]
    except Exception as error:  # moderngl raises bare Exception
        raise UserError(
            f"no off-screen OpenGL (EGL) context could be made ({error}); on Debian or Ubuntu install it with "
            "'apt install libegl1 libgl1-mesa-dri libgles2', or use a machine with a GPU driver"
        ) from error


def orthographic(reach: float, near: float, far: float) -> Float[np.ndarray, "4 4"]:
    """OpenGL projection of a box of half width `reach`."""
    matrix = np.diag([1 / reach, 1 / reach, -2 / (far - near), 1.0])
    matrix[2, 3] = -(far + near) / (far - near)
    return matrix


class HeadOnGpu:
    """Buffers and textures of one person. Release it when the person is done."""

    def __init__(self, renderer: "Renderer", library: AssetLibrary, person: Person, skin_px: int):
        context = renderer.context
        self.person = person
        self.surface = context.buffer(person.surface.rest.tobytes(), dynamic=True)
        static = context.buffer(person.static.tobytes())
        self.occlusion = context.buffer(np.ones(len(person.static), np.float32).tobytes())
        indices = context.buffer(person.indices.tobytes())
        content = [
            (self.surface, "3f 3f", "in_position", "in_normal"),
            (static, "2f 4f 1f 1f 1f", "in_uv", "in_neck", "in_eye", "in_mask", "in_scalp"),
            (self.occlusion, "1f", "in_occlusion"),
        ]
        self.arrays = {
            program: context.vertex_array(program, content, indices, skip_errors=True)
            for program in (renderer.surface_program, renderer.depth_program)
        }
        self.textures = [renderer.texture(part_texture(library, person.spec, part, skin_px)) for part in person.parts]
        self._buffers = [self.surface, static, self.occlusion, indices]

    def release(self) -> None:
        """Give the GPU memory back."""
        for item in (*self.arrays.values(), *self.textures, *self._buffers):
            item.release()


class Renderer:
    """Draws people at `size_px`, rendered at twice the size and halved."""

    def __init__(self, size_px: int, context: moderngl.Context | None = None):
        self.context = context or open_context()
        self.size_px = size_px
        self.surface_program = self._program("head.vert", "surface.frag")
        self.depth_program = self._program("head.vert", "depth.frag")
        background = self._program("background.vert", "background.frag")
        corners = self.context.buffer(np.array([-1, -1, 1, -1, -1, 1, 1, 1], np.float32).tobytes())
        self._backdrop = self.context.vertex_array(background, [(corners, "2f", "corner")])
        self._shadow_map = self.context.depth_texture((SHADOW_PX, SHADOW_PX))
        self._shadow_map.compare_func = "<="
        self._shadow_map.repeat_x = self._shadow_map.repeat_y = False
        self._shadow_target = self.context.framebuffer(depth_attachment=self._shadow_map)
        side = (SUPERSAMPLING * size_px, SUPERSAMPLING * size_px)
        depth = self.context.depth_renderbuffer(side)
        self._target = self.context.framebuffer([self.context.renderbuffer(side, 4)], depth)

    def texture(self, picture: UInt8[np.ndarray, "H W c"]) -> moderngl.Texture:
        """A mip-mapped texture."""
        height, width, channels = picture.shape
        texture = self.context.texture((width, height), channels, np.ascontiguousarray(picture).tobytes(), alignment=1)
        texture.build_mipmaps()
        texture.filter = (moderngl.LINEAR_MIPMAP_LINEAR, moderngl.LINEAR)
        texture.anisotropy = 2.0 if "llvmpipe" in self.context.info["GL_RENDERER"] else 8.0
        texture.repeat_x = texture.repeat_y = False
        return texture

    def draw(
        self,
        head: HeadOnGpu,
        pose: FramePose,
        view: Float[np.ndarray, "4 4"],
        projection: Float[np.ndarray, "4 4"],
        light: Light,
        background: moderngl.Texture,
    ) -> UInt8[np.ndarray, "S S 4"]:
        """One picture: RGB, and the foreground matte as the fourth channel."""
        head.surface.write(head.person.surface.at(pose.coefficients).tobytes())
        middle = head.person.eye_middle * [0, 1, 0] + [0, -0.6, 0.4]
        towards_light = look_at(middle + 10 * light.directions[0], middle)
        light_projection = orthographic(SHADOW_REACH_DM, 1.0, 20.0) @ towards_light
        self.draw_depth(head, pose, light_projection, self._shadow_target, CASTS_SHADOW)
        program = self.surface_program
        set_pose(program, projection @ view, pose, light_projection)
        set_light(program, light, np.linalg.inv(view)[:3, 3])
        set_person(program, head.person, pose.mouth_open)
        self._target.use()
        self._target.clear(0, 0, 0, 0, depth=1.0)
        self.context.disable(moderngl.DEPTH_TEST)
        background.use(0)
        self._backdrop.render(moderngl.TRIANGLE_STRIP)
        self.context.enable(moderngl.DEPTH_TEST)
        self._draw_parts(head)
        side = SUPERSAMPLING * self.size_px
        pixels = np.frombuffer(self._target.read(components=4, alignment=1), np.uint8).reshape(side, side, 4)[::-1]
        return cv2.resize(pixels, (self.size_px, self.size_px), interpolation=cv2.INTER_AREA)

    def draw_depth(
        self,
        head: HeadOnGpu,
        pose: FramePose,
        projection: Float[np.ndarray, "4 4"],
        target: moderngl.Framebuffer,
        materials: tuple[str, ...],
    ) -> None:
        """Depth of some materials, seen through a world-to-clip matrix."""
        self.context.enable(moderngl.DEPTH_TEST)
        self.context.disable(moderngl.BLEND | moderngl.CULL_FACE)
        set_pose(self.depth_program, projection, pose, projection)
        target.use()
        target.clear(depth=1.0)
        for part, texture in zip(head.person.parts, head.textures, strict=True):
            if part.material in materials:
                texture.use(0)
                self.depth_program["cut_out"] = part.material in CUT_OUT
                _render(head.arrays[self.depth_program], part)

    def _draw_parts(self, head: HeadOnGpu) -> None:
        """Opaque parts, then solid hair, then brows, lashes and loose hair blended over them."""
        self._shadow_map.use(1)
        self.surface_program["shadow_map"] = 1
        opaque = [p for p in MATERIALS if p not in CUT_OUT]
        self.context.disable(moderngl.BLEND)
        self._draw_materials(head, opaque, 0.0, 2.0)
        self._draw_materials(head, ["hair"], HAIR_SOLID_ALPHA, 2.0)
        self.context.enable(moderngl.BLEND)
        # moderngl's stub knows the form with two factors only.
        self.context.blend_func = (  # pyright: ignore[reportAttributeAccessIssue]
            moderngl.SRC_ALPHA, moderngl.ONE_MINUS_SRC_ALPHA, moderngl.ONE, moderngl.ONE_MINUS_SRC_ALPHA,
        )  # fmt: skip
        self._target.depth_mask = False
        self._draw_materials(head, ["brow", "lash"], 0.02, 2.0)
        self._draw_materials(head, ["hair"], 0.02, HAIR_SOLID_ALPHA)
        self._target.depth_mask = True
        self.context.disable(moderngl.BLEND)

    def _draw_materials(self, head: HeadOnGpu, materials: list[str], alpha_above: float, alpha_below: float) -> None:
        color = head.person.spec.clothes_color
        for part, texture in zip(head.person.parts, head.textures, strict=True):
            if part.material in materials:
                texture.use(0)
                values = {
                    "material": MATERIALS.index(part.material),
                    "alpha_above": alpha_above,
                    "alpha_below": alpha_below,
                    "cloth_share": 0.8 if part.recolored else 0.0,
                    "cloth_color": color or (1.0, 1.0, 1.0),
                }
                set_uniforms(self.surface_program, values)
                _render(head.arrays[self.surface_program], part)

    def _program(self, vertex: str, fragment: str) -> moderngl.Program:
        folder = resources.files("megaportraits.synth").joinpath("shaders")
        return self.context.program(
            vertex_shader=folder.joinpath(vertex).read_text(), fragment_shader=folder.joinpath(fragment).read_text()
        )


def _render(array: moderngl.VertexArray, part: Part) -> None:
    array.render(moderngl.TRIANGLES, part.mesh.triangles.size, first=part.first_index)
