"""Camera, lights and background of a take, sampled from a seed."""

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from megaportraits.synth.person import Person

TARGET_BELOW_EYES_DM = 0.4
TARGET_DEPTH_DM = 0.35
NEUTRAL_DISTANCE_DM = 12.0
BACKGROUND_PX = 256


@dataclass(frozen=True)
class Camera:
    """A pinhole camera; the crop sets its zoom and shift."""

    position: Float[np.ndarray, "3"]
    """In the world, decimetres."""
    view: Float[np.ndarray, "4 4"]
    """World -> OpenGL camera (x right, y up, looking along -z)."""
    distance_dm: float

    def perspective(self) -> Float[np.ndarray, "4 4"]:
        """OpenGL projection with focal length 1."""
        near, far = max(0.5, self.distance_dm - 8.0), self.distance_dm + 12.0
        matrix = np.zeros((4, 4))
        matrix[0, 0] = matrix[1, 1] = 1.0
        matrix[2, 2:] = (far + near) / (near - far), 2 * far * near / (near - far)
        matrix[3, 2] = -1.0
        return matrix


@dataclass(frozen=True)
class Light:
    """Three directional lights (the first casts shadows) and an ambient sky; linear RGB."""

    directions: Float[np.ndarray, "3 3"]
    """Unit vectors towards the lights, in the world."""
    colors: Float[np.ndarray, "3 3"]
    sky: Float[np.ndarray, "3"]
    ground: Float[np.ndarray, "3"]
    shadow: float
    """0 no shadows to 1."""
    exposure: float


def look_at(position: Float[np.ndarray, "3"], target: Float[np.ndarray, "3"]) -> Float[np.ndarray, "4 4"]:
    """World -> OpenGL camera at `position` that looks at `target`, y up."""
    back = (position - target) / np.linalg.norm(position - target)
    up = (0.0, 1.0, 0.0) if abs(back[1]) < 0.95 else (0.0, 0.0, 1.0)
    right = np.cross(up, back)
    right /= np.linalg.norm(right)
    matrix = np.eye(4)
    matrix[:3, :3] = right, np.cross(back, right), back
    matrix[:3, 3] = -matrix[:3, :3] @ position
    return matrix


def place_camera(person: Person, distance_dm: float, azimuth_deg: float = 0.0, elevation_deg: float = 0.0) -> Camera:
    """A camera that looks at the face from the front, turned about it to the picture's right and upwards."""
    target = np.array([0.0, person.eye_middle[1] - TARGET_BELOW_EYES_DM, TARGET_DEPTH_DM])
    position = target + distance_dm * _direction(azimuth_deg, elevation_deg)
    return Camera(position, look_at(position, target), distance_dm)


def neutral_camera(person: Person) -> Camera:
    """The same view for every identity: straight from the front, 1.2 m away."""
    return place_camera(person, NEUTRAL_DISTANCE_DM)


def sample_camera(rng: np.random.Generator, person: Person) -> Camera:
    """From a selfie to a portrait lens, roughly from the front."""
    distance = float(np.exp(rng.uniform(np.log(6.0), np.log(20.0))))
    return place_camera(person, distance, float(rng.normal(0, 5)), float(rng.normal(0, 5)))


def _direction(azimuth_deg: float, elevation_deg: float) -> Float[np.ndarray, "3"]:
    a, e = np.radians([azimuth_deg, elevation_deg])
    return np.array([np.sin(a) * np.cos(e), np.sin(e), np.cos(a) * np.cos(e)])


def sample_light(rng: np.random.Generator) -> Light:
    """A key light from the front half, a fill from the other side, sometimes a rim light."""
    azimuth, elevation = rng.uniform(-65, 65), rng.uniform(5, 55)
    warmth = rng.normal(0, [0.12, 0.15, 0.12])
    key, ambient = rng.uniform(0.55, 1.35), rng.uniform(0.22, 0.75)
    fill = rng.uniform(0.05, 0.5) * key
    rim = rng.uniform(0.1, 0.9) * (rng.random() < 0.5)
    side = -1.0 if azimuth > 0 else 1.0
    sky = ambient * np.array([1 - warmth[2] * 0.5, 1, 1 + warmth[2]])
    directions = [
        _direction(azimuth, elevation),
        _direction(side * rng.uniform(30, 85), rng.uniform(-5, 30)),
        _direction(rng.uniform(110, 250), rng.uniform(5, 45)),
    ]
    colors = [key * _warm(warmth[0]), fill * _warm(warmth[1]), rim * np.ones(3)]
    return Light(
        directions=np.stack(directions),
        colors=np.stack(colors),
        sky=sky,
        ground=sky * rng.uniform(0.4, 0.8) * np.array([1.06, 1.0, 0.94]),
        shadow=float(rng.uniform(0.35, 0.9)),
        exposure=float(rng.uniform(0.62, 0.98) / (0.55 * key + 0.8 * ambient + 0.3 * fill)),
    )


def _warm(amount: float) -> Float[np.ndarray, "3"]:
    return np.array([1 + amount, 1.0, 1 - amount])


def sample_background(rng: np.random.Generator) -> UInt8[np.ndarray, "H W 3"]:
    """A wall, a lit wall, or a room out of focus, in muted colours that belong together."""
    size = BACKGROUND_PX
    hue, kind = rng.uniform(0, 180), rng.choice(3, p=[0.25, 0.3, 0.45])
    picture = np.broadcast_to(_muted(rng, hue), (size, size, 3)).astype(np.float32)
    if kind == 1:
        y, x = np.mgrid[0:size, 0:size] / size - 0.5
        angle = rng.uniform(0, 2 * np.pi)
        share = np.clip(x * np.cos(angle) + y * np.sin(angle) + 0.5, 0, 1)[..., None]
        picture = picture * share + _muted(rng, hue) * (1 - share)
    if kind == 2:
        picture = _room(rng, hue, np.ascontiguousarray(picture))
    clouds = cv2.resize(rng.normal(0, 1, (5, 5)).astype(np.float32), (size, size), interpolation=cv2.INTER_CUBIC)
    picture = picture * (1 + 0.06 * clouds[..., None]) + rng.normal(0, 1.5, picture.shape)
    return np.clip(picture, 0, 255).astype(np.uint8)


def _muted(rng: np.random.Generator, hue: float) -> Float[np.ndarray, "3"]:
    saturation = 255 * rng.beta(1.2, 6)
    pixel = np.array([[[(hue + rng.normal(0, 14)) % 180, saturation, rng.uniform(35, 235)]]]).astype(np.uint8)
    return cv2.cvtColor(pixel, cv2.COLOR_HSV2RGB)[0, 0].astype(np.float32)


def _room(rng: np.random.Generator, hue: float, picture: Float[np.ndarray, "H W 3"]) -> Float[np.ndarray, "H W 3"]:
    """Upright and lying boxes (shelves, windows, doors), a few lamps, out of focus."""
    size = len(picture)
    for _ in range(rng.integers(8, 40)):
        color = _muted(rng, hue if rng.random() < 0.7 else rng.uniform(0, 180)).tolist()
        x, y = rng.integers(-40, size, 2)
        width, height = rng.integers(6, 110, 2) if rng.random() < 0.6 else rng.integers(4, 40, 2)
        cv2.rectangle(picture, (int(x), int(y)), (int(x + width), int(y + height)), color, -1)
    for _ in range(rng.integers(0, 5)):
        x, y = rng.integers(0, size, 2)
        cv2.circle(picture, (int(x), int(y)), int(rng.integers(3, 14)), (250, 240, 215), -1)
    return cv2.GaussianBlur(picture, (0, 0), float(rng.uniform(4.0, 12.0)))
