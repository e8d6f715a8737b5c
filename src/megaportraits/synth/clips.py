"""Rendering a dataset of clips: which people, which motions, in parallel, resumable.

The truth of a clip is a function of (assets, split, seed, identity, motion, frames, step); pixels may differ between
graphics drivers.
"""

import contextlib
import dataclasses
import functools
import multiprocessing
import os
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from megaportraits.data.clips import ClipInfo, is_complete, read_info, read_truth, write_clip
from megaportraits.errors import UserError
from megaportraits.synth.assets import AssetLibrary
from megaportraits.synth.cloth import sample_cloth_pattern
from megaportraits.synth.controls import CONTROLS
from megaportraits.synth.identity import sample_identity, with_wide_colors
from megaportraits.synth.motion import FPS, sample_motion
from megaportraits.synth.occlusion import bake_occlusion
from megaportraits.synth.person import Person, build_person
from megaportraits.synth.renderer import HeadOnGpu, Renderer
from megaportraits.synth.scene import Camera, neutral_camera, sample_background, sample_camera, sample_light
from megaportraits.synth.settings import SynthConfig
from megaportraits.synth.track import Track, perform

IDENTITY, MOTION, CAMERA, LIGHT, CLOTH, COLORS = range(6)
"""Independent streams of random numbers."""


def random_stream(config: SynthConfig, stream: int, *numbers: int) -> np.random.Generator:
    """The generator of one thing, e.g. of identity 7."""
    return np.random.default_rng([config.split == "held_out", config.seed, stream, *numbers])


def clip_folder(config: SynthConfig, identity: int, motion: int) -> Path:
    """Where a clip is written."""
    return config.out / f"id{identity:05d}_motion{motion:05d}"


def planned(config: SynthConfig) -> dict[int, list[int]]:
    """identity -> motions."""
    return {identity: list(config.motions) or [identity] for identity in range(config.clips)}


def make_person(config: SynthConfig, library: AssetLibrary, identity: int) -> Person:
    """Identity number `identity` of a configuration."""
    spec = sample_identity(library, random_stream(config, IDENTITY, identity), config.split)
    if config.cloth_patterns:
        pattern = sample_cloth_pattern(random_stream(config, CLOTH, identity))
        spec = dataclasses.replace(spec, cloth_pattern=pattern)
    if config.wide_colors:
        spec = with_wide_colors(spec, random_stream(config, COLORS, identity))
    return build_person(library, spec)


def make_track(config: SynthConfig, library: AssetLibrary, person: Person, identity: int, motion: int) -> Track:
    """A person performing motion number `motion`; the truth, without a picture."""
    frames = (config.frames - 1) * config.step + 1
    track = sample_motion(random_stream(config, MOTION, motion), frames, config.expression_gain).every(config.step)
    return perform(library.rig, person, track, _camera(config, person, identity, motion))


def _camera(config: SynthConfig, person: Person, identity: int, motion: int) -> Camera:
    if config.shared_camera == "neutral":
        return neutral_camera(person)
    numbers = (motion,) if config.shared_camera == "motion" else (identity, motion)
    return sample_camera(random_stream(config, CAMERA, *numbers), person)


class Studio:
    """The assets and the renderer of one process."""

    def __init__(self, config: SynthConfig, library: AssetLibrary):
        self.config = config
        self.library = library
        self.renderer = Renderer(config.size)
        self.seconds: dict[str, float] = {}
        """CPU time so far, by part of the work: identity, motion, shading, encoding."""

    def shoot(self, identity: int, motions: list[int]) -> None:
        """Render and write the clips of one identity."""
        config, renderer = self.config, self.renderer
        with self._clock("identity"):
            person = make_person(config, self.library, identity)
            head = HeadOnGpu(renderer, self.library, person, config.skin)
            bake_occlusion(renderer, head)
        for motion in motions:
            with self._clock("motion"):
                track = make_track(config, self.library, person, identity, motion)
            with self._clock("shading"):
                pictures = np.stack(list(self._pictures(head, track, identity)))
            with self._clock("encoding"):
                info = clip_info(config, person, identity, motion)
                folder = clip_folder(config, identity, motion)
                write_clip(folder, pictures[..., :3], pictures[..., 3], track.truth, info)
        head.release()

    @contextlib.contextmanager
    def _clock(self, part: str) -> Iterator[None]:
        start = time.process_time()
        yield
        self.seconds[part] = self.seconds.get(part, 0.0) + time.process_time() - start

    def _pictures(self, head: HeadOnGpu, track: Track, identity: int) -> Iterator[np.ndarray]:
        rng = random_stream(self.config, LIGHT, identity)
        light, background = sample_light(rng), self.renderer.texture(sample_background(rng))
        for pose in track.poses:
            yield self.renderer.draw(head, pose, track.camera.view, track.projection(), light, background)
        background.release()


def clip_info(config: SynthConfig, person: Person, identity: int, motion: int) -> ClipInfo:
    """The clip's JSON."""
    return ClipInfo(
        identity=_label(config, identity),
        motion=_label(config, motion),
        frame_step_s=config.step / FPS,
        fps=FPS,
        size_px=config.size,
        crop={},
        source=_source(config),
        licence="CC0-1.0",
        split=config.split,
        landmark_ids=list(range(person.landmarks.rest.shape[0])),
        control_names=list(CONTROLS),
        identity_spec=dataclasses.asdict(person.spec),
    )


def _label(config: SynthConfig, number: int) -> str:
    return f"{config.split}-{config.seed}-{number:05d}"


def synthesise(config: SynthConfig) -> list[Path]:
    """Render what is missing of a configuration's clips, with a progress bar; returns the folders of all of them.

    Raises:
        UserError: the assets or EGL are missing, or `out` holds other clips under the same names.
    """
    plan = planned(config)
    wanted = [(identity, motion) for identity, motions in plan.items() for motion in motions]
    kept = {clip for clip in wanted if _is_kept(config, *clip)}
    missing = {i: [m for m in motions if (i, m) not in kept] for i, motions in plan.items()}
    missing = {identity: motions for identity, motions in missing.items() if motions}
    if missing:
        with tqdm(total=len(wanted), initial=len(kept), unit="clip", desc="rendering") as bar:
            for finished in _shoot_all(config, missing):
                bar.update(finished)
    return [clip_folder(config, *clip) for clip in wanted]


def _source(config: SynthConfig) -> str:
    cameras = {"neutral": "a neutral camera", "own": "its own camera", "motion": "a camera of the motion"}
    patterns = ", patterned clothes" if config.cloth_patterns else ""
    colors = ", wide colours of hair and skin" if config.wide_colors else ""
    gain = f", expressions up to {config.expression_gain:g} times" if config.expression_gain > 1 else ""
    return f"rendered from MakeHuman's head assets, {cameras[config.shared_camera]}{patterns}{colors}{gain}"


def _is_kept(config: SynthConfig, identity: int, motion: int) -> bool:
    folder = clip_folder(config, identity, motion)
    if not is_complete(folder):
        return False
    info, frames = read_info(folder), len(read_truth(folder).scale)
    both = {
        "identity": (info.identity, _label(config, identity)),
        "motion": (info.motion, _label(config, motion)),
        "size": (info.size_px, config.size),
        "frame step": (f"{info.frame_step_s:g} s", f"{config.step / FPS:g} s"),
        "frames": (frames, config.frames),
        "source": (info.source, _source(config)),
    }
    if other := [f"{name} {found}, not {asked}" for name, (found, asked) in both.items() if found != asked]:
        raise UserError(f"{folder} holds another clip ({'; '.join(other)}); choose another output folder")
    return True


def _shoot_all(config: SynthConfig, missing: dict[int, list[int]]) -> Iterator[int]:
    """Shoot identity by identity; yields the number of clips that each finished."""
    if config.workers == 1:
        studio = _studio(config)
        for identity, motions in missing.items():
            studio.shoot(identity, motions)
            yield len(motions)
        return
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(config.workers, spawn, _one_thread) as pool:
        jobs = {pool.submit(_shoot, config, *job): len(job[1]) for job in missing.items()}
        try:
            for job in as_completed(jobs):
                job.result()
                yield jobs[job]
        finally:
            pool.shutdown(cancel_futures=True)


def _one_thread() -> None:
    """Prepare a worker process: one thread for each library and for Mesa's rasteriser."""
    os.environ.setdefault("LP_NUM_THREADS", "1")
    torch.set_num_threads(1)


def open_studio(config: SynthConfig) -> Studio:
    """A studio for a process of its own: it renders in one thread.

    Raises:
        UserError: the assets or EGL are missing.
    """
    _one_thread()
    return Studio(config, AssetLibrary(config.assets))


@functools.cache
def _studio(config: SynthConfig) -> Studio:
    return Studio(config, AssetLibrary(config.assets))


def _shoot(config: SynthConfig, identity: int, motions: list[int]) -> None:
    """In a worker: the studio opens with the first job, so that its errors reach the parent."""
    _studio(config).shoot(identity, motions)
