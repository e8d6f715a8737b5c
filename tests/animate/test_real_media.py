"""Every option of `animate` on real photos and videos, with the shipped weights, on excerpts of a few frames.

What is asserted holds for any weights of the same preset: nothing is said about mouths and likeness.
"""

import functools
import re
from collections.abc import Callable
from dataclasses import fields
from fractions import Fraction
from itertools import islice, pairwise
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from megaportraits.animate import Animator
from megaportraits.animate.drivers import open_driver
from megaportraits.animate.extract import extract
from megaportraits.animate.motion_track import MotionTrack
from megaportraits.animate.sightings import sighting
from megaportraits.animate.stopwatch import Stopwatch
from megaportraits.batch import batch
from megaportraits.config import AnimateOptions, BatchConfig
from megaportraits.data import watermark
from megaportraits.data.faces import FaceTracker
from megaportraits.data.keypoints import LEFT_EYE, OUTER_LIPS, RIGHT_EYE
from megaportraits.data.pictures import read_picture
from megaportraits.data.track import video_square
from megaportraits.data.video import probe, read_frames, read_timed_frames
from megaportraits.data.video_writer import VideoWriter, write_video
from megaportraits.doctor import doctor
from megaportraits.geometry import mean_head
from megaportraits.metrics import optical_flow, warp_error

SIZE_PX = 256
SOUND_HZ = 16_000
STILL = {"frontalize": True, "scale": "source", "translation": "source", "smooth": 0.0}
"""Only the expression changes."""


@pytest.fixture(scope="session")
def shipped(real_media) -> Animator:
    """The shipped weights; each photo is prepared once."""
    animator = Animator.load()
    assert animator.size_px == SIZE_PX
    name = "prepare" if hasattr(animator, "prepare") else "set_source"
    found, prepare = {}, getattr(animator, name)

    def remembered(image, matting=None):
        if matting is not None or isinstance(image, np.ndarray):
            return prepare(image, matting)
        found[image] = found.get(image) or prepare(image)
        return found[image]

    setattr(animator, name, remembered)
    return animator


@pytest.fixture(scope="session")
def photo(real_media) -> Callable[[str], Path]:
    return lambda name: real_media / "photos" / f"{name}.jpg"


@pytest.fixture(scope="session")
def clip(real_media, tmp_path_factory) -> Callable[..., Path]:
    """Cuts an excerpt: every `step`-th frame from `start` on, at the video's rate; with the sound if asked for."""
    folder = tmp_path_factory.mktemp("clips")

    @functools.cache
    def cut(name: str, start: int = 0, count: int = 8, step: int = 1, sound: bool = False) -> Path:
        video = real_media / "videos" / name
        timed = list(islice(read_timed_frames(video), start, start + count * step, step))
        begin, (height, width) = timed[0][0] if start else Fraction(0), timed[0][1].shape[:2]
        path = folder / f"{video.stem}-{start}-{count}-{step}-{sound}.mp4"
        rate, heard = probe(video).fps, {"removed": [(Fraction(0), begin)] if start else [], "cut_sound": True}
        with VideoWriter(path, rate, width, height, audio_from=video if sound else None, **heard) as writer:
            for time, frame in timed:
                writer.write(frame, time - begin if step == 1 else None)
        return path

    return cut


@pytest.fixture(scope="session")
def motion(shipped, clip) -> Callable[..., Path]:
    """An excerpt's motion file."""

    @functools.cache
    def extracted(*excerpt) -> Path:
        video = clip(*excerpt)
        with open_driver(video) as driver:
            extract(shipped, driver, "largest", Stopwatch())[0].motion.save(video.with_suffix(".mpmotion"))
        return video.with_suffix(".mpmotion")

    return extracted


@pytest.fixture
def made(shipped, tmp_path) -> Callable[..., np.ndarray]:
    """Animates into numbered pictures (nothing is lost) and reads them: T H W C, as signed numbers."""
    numbers = iter(range(100))

    def animate(source: Path, driver: Path, **options) -> np.ndarray:
        folder = tmp_path / f"result{next(numbers)}"
        shipped.animate(source, driver, f"{folder}/", progress=False, **options)
        return np.stack([np.asarray(Image.open(path)) for path in sorted(folder.iterdir())]).astype(int)

    return animate


@pytest.fixture(scope="session")
def judge(real_media):
    """Yaw, pitch and roll of painted heads by MediaPipe, which knows nothing of the weights."""
    with FaceTracker(video=False) as tracker:

        def angles(pictures: np.ndarray) -> np.ndarray:
            large = [cv2.resize(p.astype(np.uint8), (2 * SIZE_PX, 2 * SIZE_PX)) for p in pictures]
            found = [tracker.landmarks(picture) for picture in large]
            assert all(landmarks is not None for landmarks in found), "no face in a result"
            return np.stack([sighting(0, landmarks).angles_deg for landmarks in found])

        yield angles


def difference(a: np.ndarray, b: np.ndarray) -> float:
    assert a.shape == b.shape
    return float(np.abs(a - b).mean())


def roughness(pictures: np.ndarray) -> float:
    """Second difference over time."""
    return float(np.abs(np.diff(pictures, 2, axis=0)).mean())


def movement(pictures: np.ndarray) -> float:
    """Mean distance from the mean picture."""
    return float(np.abs(pictures - pictures.mean(0)).mean())


def sound_of(path: Path) -> np.ndarray:
    """The sound from the file's time 0 on."""
    with av.open(str(path)) as container:
        start = Fraction(container.start_time or 0, av.time_base)
        resampler = av.AudioResampler("flt", "mono", SOUND_HZ)
        frames = list(container.decode(audio=0))
        begin = round((frames[0].time - start) * SOUND_HZ)
        pieces = [piece.to_ndarray()[0] for frame in [*frames, None] for piece in resampler.resample(frame)]
    samples = np.concatenate(pieces)
    return np.concatenate([np.zeros(max(0, begin)), samples[max(0, -begin) :]])


def delay_ms(heard: np.ndarray, wanted: np.ndarray) -> float:
    """How much later `heard` is, by cross-correlation; 0 where both are silent."""
    count = min(len(heard), len(wanted))
    if not wanted[:count].any():
        assert np.abs(heard).max() < 1e-3
        return 0.0
    heard, wanted = heard[:count] - heard[:count].mean(), wanted[:count] - wanted[:count].mean()
    size = 4 * count
    both = np.fft.irfft(np.fft.rfft(heard, size) * np.fft.rfft(wanted, size).conj(), size)
    assert both.max() > 0.7 * np.linalg.norm(heard) * np.linalg.norm(wanted), "another sound, or silence"
    lag = int(np.argmax(both))
    return 1000 * (lag if lag < size // 2 else lag - size) / SOUND_HZ


def test_no_option_is_left_out():
    text = Path(__file__).read_text()
    options = {f.name for f in fields(AnimateOptions)}
    assert {name for name in options if not re.search(rf'\b{name}=|"{name}":', text)} == set()


@pytest.mark.parametrize(
    ("excerpt", "source"),
    [
        (("grid_brbk7n.mpg", 20, 9, 1, True), "painting_s3"),
        (("lp_d10.mp4", 66, 6, 1, True), "official_obama"),
        (("pexels_langer.mp4", 90, 7, 1, True), "painting_s9"),
        (("retalk_1.mp4", 0, 8, 1, True), "cartoon_s7"),
    ],
    ids=lambda v: v if isinstance(v, str) else v[0],
)
def test_a_video_gives_rate_times_size_and_sound(shipped, clip, photo, tmp_path, excerpt, source):
    driver = clip(*excerpt)
    report = shipped.animate(photo(source), driver, tmp_path / "out.mp4", progress=False)
    info, wanted = probe(tmp_path / "out.mp4"), probe(driver)
    assert (report.frames, report.without_face, report.cuts) == (excerpt[2], 0, 0)
    assert (info.frame_count, info.has_audio) == (excerpt[2], True)
    assert float(info.fps) == pytest.approx(float(wanted.fps), rel=0.01)
    assert (info.width, info.height) == (SIZE_PX, SIZE_PX)
    times = [[time for time, _ in read_timed_frames(path)] for path in (tmp_path / "out.mp4", driver)]
    assert times[0] == pytest.approx(times[1], abs=1e-4)
    assert delay_ms(sound_of(tmp_path / "out.mp4"), sound_of(driver)) == pytest.approx(0, abs=1)


def test_another_sound_is_taken_and_ends_with_the_picture(shipped, motion, photo, real_media, tmp_path):
    """MPEG-1 with mp2 sound, which an mp4 does not hold."""
    voice = real_media / "videos" / "grid_sbwe5n.mpg"
    shipped.animate(
        photo("painting_s3"), motion("lp_d3.mp4", 120, 8, 4), tmp_path / "out.mp4", progress=False, audio=voice
    )
    heard = sound_of(tmp_path / "out.mp4")
    assert len(heard) / SOUND_HZ == pytest.approx(8 / 30, abs=0.07)
    assert delay_ms(heard, sound_of(voice)) == pytest.approx(0, abs=1)


def test_all_kinds_of_drivers_do_the_same(shipped, clip, motion, photo, made, tmp_path):
    """A video, its motion file, and a folder of its frames; one picture is a still."""
    video, source = clip("grid_lbax4n.mpg", 30, 5), photo("painting_s0")
    (tmp_path / "frames").mkdir()
    for i, frame in enumerate(read_frames(video)):
        Image.fromarray(frame).save(tmp_path / "frames" / f"{i}.png")
    shown = made(source, video)
    assert shown.shape == (5, SIZE_PX, SIZE_PX, 3)
    assert difference(made(source, motion("grid_lbax4n.mpg", 30, 5)), shown) == 0
    assert difference(made(source, tmp_path / "frames"), shown) < 0.1
    still = made(source, tmp_path / "frames" / "0.png", seconds=0.16)
    assert len(still) == 4
    assert difference(still[1:], still[:-1]) < 0.1
    assert difference(still[0], shown[0]) < 8
    shipped.animate(source, photo("official_biden"), tmp_path / "one.png", progress=False, frontalize=True)
    assert read_picture(tmp_path / "one.png").shape == (SIZE_PX, SIZE_PX, 3)


def test_results_bear_the_mark_unless_it_is_left_out(clip, photo, made):
    video = clip("lp_d10.mp4", 0, 40)
    marked, plain = (made(photo("painting_s9"), video, no_watermark=without) for without in (False, True))
    assert 0.2 < difference(marked, plain) < 3
    scores = [watermark.score(pictures.astype(np.uint8)) for pictures in (marked, plain)]
    assert scores[0] >= watermark.FOUND > scores[1]


def test_side_by_side_shows_source_driver_result(shipped, clip, photo, made):
    video, source = clip("grid_lbbc2a.mpg", 0, 4), photo("painting_s8")
    shown, alone = made(source, video, side_by_side=True), made(source, video)
    assert shown.shape == (4, SIZE_PX, 3 * SIZE_PX, 3)
    assert difference(shown[0, :, :SIZE_PX], shipped.set_source(source).crop.astype(int)) == 0
    square = video_square(video)
    wanted = np.stack([square.cut(frame, SIZE_PX) for frame in read_frames(video)]).astype(int)
    assert difference(shown[:, :, SIZE_PX : 2 * SIZE_PX], wanted) < 6
    assert difference(shown[:, :, 2 * SIZE_PX :], alone) == 0


def test_a_preview_is_a_sheet_of_pictures(shipped, clip, photo, tmp_path):
    for driver, cells in ((clip("retalk_3.mp4", 0, 10), 1), (photo("painting_s4"), 3)):
        report = shipped.animate(
            photo("painting_s10"), driver, tmp_path / "sheet.png", progress=False, preview=True, seconds=1.2
        )
        assert report.frames == cells
        assert read_picture(tmp_path / "sheet.png").shape == (160, cells * 2 * 160, 3)


@pytest.mark.parametrize("reference", [0, 5])
def test_relative_motion_starts_from_the_photo(shipped, motion, photo, made, judge, reference):
    """The girl looks to the picture's left; the driver does not."""
    source, driver = photo("painting_s10"), motion("lp_d3.mp4", 120, 8, 4)
    shown = made(source, driver, motion="relative", reference=reference, smooth=0.0, background="grey")
    own = shipped.paint(shipped.set_source(source).motion, shipped.set_source(source))[0][0]
    away = [difference(picture, 255 * own) for picture in shown]
    assert int(np.argmin(away)) == reference
    assert away[reference] < 5
    absolute = made(source, driver, motion="absolute")
    assert judge(shown[reference : reference + 1])[0, 0] < judge(absolute[reference : reference + 1])[0, 0] - 12


def test_whose_size(shipped, motion, photo, made):
    source, driver = photo("painting_s9"), motion("retalk_1.mp4", 0, 8, 4)
    own, track = float(shipped.set_source(source).motion.pose.scale[0]), MotionTrack.load(driver)
    assert own > track.scale.mean() + 0.08, "choose another photo"
    sizes = [shipped.motion_of(list(made(source, driver, scale=owner).astype(np.uint8))).pose.scale.mean()
             for owner in ("driver", "source")]  # fmt: skip
    assert sizes[1] > sizes[0] + 0.3 * (own - track.scale.mean())


def test_whose_place(shipped, motion, photo, made):
    """She lowers her head into her hand; a video call keeps it in its place."""
    source, driver = photo("painting_s3"), motion("pexels_langer.mp4", 60, 10, 8)
    assert np.ptp(MotionTrack.load(driver).translation[:, 1]) > 0.08, "choose another clip"
    paths = [shipped.motion_of(list(made(source, driver, translation=owner).astype(np.uint8))).pose.translation
             for owner in ("driver", "source")]  # fmt: skip
    moved, stayed = (float(np.ptp(path[:, 1].numpy())) for path in paths)
    assert stayed < 0.6 * moved


def test_frontal_heads_and_turns_to_the_right_side(motion, photo, made, judge):
    source, driver = photo("painting_s3"), motion("lp_d3.mp4", 120, 8, 4)
    ahead = judge(made(source, driver, frontalize=True)[::7])
    turned = judge(made(source, driver)[::7])
    assert np.ptp(ahead[:, 0]) < 0.7 * np.ptp(turned[:, 0]), "the driver turns by 10 degrees"
    assert np.abs(ahead[:, 0]).max() < 9
    for axis, (turn, opposite) in enumerate([("25,0,0", "-25,0,0"), ("0,20,0", "0,-20,0"), ("0,0,20", "0,0,-20")]):
        there, back = (
            judge(made(source, driver, frontalize=True, rotate=angles)[::7]) - ahead for angles in (turn, opposite)
        )
        assert there[:, axis].mean() > 2 > -2 > back[:, axis].mean()
        between = (there - back).mean(0)
        assert between[axis] > 12
        assert between[axis] > 2 * np.abs(np.delete(between, axis)).max()


def test_sweeps_turn_over_the_length(motion, photo, made, judge):
    source, driver = photo("cartoon_s7"), motion("lp_d6.mp4", 600, 7, 2)
    angles = judge(made(source, driver, frontalize=True, sweep=("yaw:-30..30", "roll:0..15..0"))[::3])
    assert angles[0, 0] < angles[1, 0] - 10 < angles[2, 0] - 20
    assert angles[1, 2] > max(angles[0, 2], angles[2, 2]) + 5


def test_gains_of_the_expression(motion, photo, made):
    source, driver = photo("painting_s4"), motion("lp_d18.mp4", 60, 8, 4)
    none, usual, more = (movement(made(source, driver, expression_gain=gain, **STILL)) for gain in (0.0, 1.0, 2.5))
    assert none < 0.02
    assert none < usual < more


def test_a_gain_of_a_region_leaves_the_other_one_alone(shipped, motion, photo, made):
    source, driver = photo("painting_s4"), motion("lp_d10.mp4", 100, 6, 6)
    usual, pose = made(source, driver, **STILL), shipped.set_source(source).motion.pose
    points = (float(pose.scale[0]) * mean_head()[:, :2] + pose.translation[0, :2].numpy() + 1) / 2 * SIZE_PX

    def changes(**options) -> tuple[float, float]:
        """At the eyes and at the mouth."""
        change = np.abs(made(source, driver, **options, **STILL) - usual).mean((0, 3))
        boxes = (points[list(region)] for region in ((*LEFT_EYE, *RIGHT_EYE), OUTER_LIPS))
        corners = ((box.min(0).astype(int), box.max(0).astype(int) + 1) for box in boxes)
        at_eyes, at_mouth = (float(change[low[1] : high[1], low[0] : high[0]].mean()) for low, high in corners)
        return at_eyes, at_mouth

    at_eyes, at_mouth = changes(eyes=3.0)
    assert at_eyes > max(0.02, 2 * at_mouth)
    at_eyes, at_mouth = changes(mouth=3.0)
    assert at_eyes < max(0.1, 0.5 * at_mouth)


def test_smoothing_takes_the_tremble_out(motion, photo, made):
    source, driver = photo("official_obama"), motion("lp_d6.mp4", 600, 10)
    raw, usual, strong = (roughness(made(source, driver, smooth=strength)) for strength in (0.0, 1.0, 8.0))
    assert strong < usual < raw


@pytest.fixture(scope="session")
def with_a_gap(clip, tmp_path_factory) -> Path:
    """Ten frames of a head that turns; 4, 5 and 6 show nothing."""
    path = tmp_path_factory.mktemp("gap") / "gap.mp4"
    frames = list(read_frames(clip("lp_d3.mp4", 140, 10, 2)))
    write_video(path, [np.full_like(f, 90) if 4 <= i <= 6 else f for i, f in enumerate(frames)], Fraction(25))
    return path


def test_frames_without_a_face(shipped, with_a_gap, photo, real_media, made, tmp_path):
    source, track = photo("painting_s9"), tmp_path / "gap.mpmotion"
    with open_driver(with_a_gap) as driver:
        extract(shipped, driver, "largest", Stopwatch())[0].motion.save(track)
    held, between, skipped = (
        made(source, track, no_face=policy, smooth=0.0) for policy in ("hold", "interpolate", "skip")
    )
    assert (len(held), len(between), len(skipped)) == (10, 10, 7)
    seen = [0, 1, 2, 3, 7, 8, 9]
    assert difference(held[seen], skipped) < 0.1
    assert difference(between[seen], skipped) < 0.1
    whole = difference(skipped[3], skipped[4])
    assert whole > 0.5, "the head moves while it is hidden"
    assert [difference(held[3], held[i]) for i in (4, 5, 6)] == pytest.approx([0] * 3, abs=0.1)
    assert max(difference(a, b) for a, b in pairwise(between[3:8])) < 0.75 * whole
    voice = real_media / "videos" / "lp_d10.mp4"
    report = shipped.animate(source, with_a_gap, tmp_path / "out.mp4", progress=False, no_face="skip", audio=voice)
    assert (report.frames, report.without_face) == (7, 3)
    assert [round(25 * time) for time, _ in read_timed_frames(tmp_path / "out.mp4")] == list(range(7))
    heard, whole_sound = sound_of(tmp_path / "out.mp4"), sound_of(voice)
    gap = slice(round(0.16 * SOUND_HZ), round(0.28 * SOUND_HZ))
    assert len(heard) / SOUND_HZ == pytest.approx(0.28, abs=0.07)
    assert delay_ms(heard[: gap.start], whole_sound[: gap.start]) == pytest.approx(0, abs=1)
    assert delay_ms(heard[gap], whole_sound[gap.stop :]) == pytest.approx(0, abs=1)


def test_two_people_drive_two_photos(clip, photo, made, tmp_path):
    pair = [read_frames(clip(name, 0, 4)) for name in ("grid_lbax4n.mpg", "grid_lbbc2a.mpg")]
    write_video(tmp_path / "pair.mp4", [np.hstack(both) for both in zip(*pair, strict=True)], Fraction(25))
    (tmp_path / "photos").mkdir()
    for i, name in enumerate(("painting_s0", "cartoon_s7")):
        (tmp_path / "photos" / f"{i}.jpg").symlink_to(photo(name))
    both = made(tmp_path / "photos", tmp_path / "pair.mp4", face="all")
    assert both.shape == (4, SIZE_PX, 2 * SIZE_PX, 3)
    first, second = (made(photo("painting_s0"), tmp_path / "pair.mp4", face=face) for face in ("0", "1"))
    assert difference(both[:, :, :SIZE_PX], first) < 0.1
    assert difference(made(photo("painting_s0"), tmp_path / "pair.mp4", face="largest"), first) < 0.1
    assert difference(first, second) > 0.5
    third = made(photo("cartoon_s7"), tmp_path / "pair.mp4", face="1")
    assert difference(both[:, :, SIZE_PX:], third) < 0.1


@pytest.mark.parametrize("name", ["official_biden", "official_obama", "painting_s8", "cartoon_s7"])
def test_paste_back_changes_the_heads_square_only(shipped, motion, photo, made, name):
    source = shipped.set_source(photo(name))
    shown = made(photo(name), motion("lp_d10.mp4", 100, 2, 12), paste_back=True, motion="relative")
    assert shown.shape == (2, *source.photo.shape)
    height, width = source.photo.shape[:2]
    square = source.square
    outside = np.ones((height, width), bool)
    left, top = round(square.x), round(square.y)
    outside[max(0, top) : top + round(square.side), max(0, left) : left + round(square.side)] = False
    assert (shown[:, outside] == source.photo[outside]).all()
    face = np.s_[:, int(square.y + 0.4 * square.side) : int(square.y + 0.6 * square.side),
                 int(square.x + 0.4 * square.side) : int(square.x + 0.6 * square.side)]  # fmt: skip
    assert np.abs(shown[face] - source.photo[face[1:]]).mean() > 2
    assert movement(shown[face]) > 1
    rim = ~outside
    rim[max(0, top) + 3 : top + round(square.side) - 3, max(0, left) + 3 : left + round(square.side) - 3] = False
    assert np.abs(shown[:, rim] - source.photo[rim]).mean() < 3, "the square's border is seen"


def corners(pictures: np.ndarray) -> np.ndarray:
    """The upper corners of a result, where no person is."""
    return np.concatenate([pictures[:, :12, :12], pictures[:, :12, -12:]], 2)


def test_backgrounds_of_the_crop(shipped, motion, photo, real_media, made, tmp_path):
    source, driver = photo("painting_s0"), motion("pexels_langer.mp4", 150, 6, 6)
    shown = {word: made(source, driver, background=word) for word in ("source", "blur", "#00ff00", "transparent")}
    middle = np.s_[:, 100:160, 100:150]
    assert difference(corners(shown["source"]), corners(shipped.set_source(source).crop[None].repeat(6, 0))) < 8
    assert (
        np.abs(np.diff(corners(shown["blur"]), axis=1)).mean()
        < np.abs(np.diff(corners(shown["source"]), axis=1)).mean()
    )
    assert difference(corners(shown["blur"]), corners(shown["source"])) < 25
    assert difference(corners(shown["#00ff00"]), np.broadcast_to([0, 255, 0], (6, 12, 24, 3))) < 4
    assert shown["transparent"].shape == (6, SIZE_PX, SIZE_PX, 4)
    assert corners(shown["transparent"])[..., 3].mean() < 4
    assert shown["transparent"][middle][..., 3].mean() > 250
    assert difference(shown["transparent"][middle][..., :3], shown["source"][middle]) < 3
    picture = made(source, driver, background=str(photo("official_obama")))
    video = made(source, driver, background=str(real_media / "videos" / "lp_d10.mp4"))
    assert difference(picture[middle], shown["source"][middle]) < 3
    assert movement(corners(picture)) < 1
    fitted = [cv2.resize(f, (SIZE_PX, SIZE_PX), interpolation=cv2.INTER_AREA)
              for f in islice(read_frames(real_media / "videos" / "lp_d10.mp4"), 8)]  # fmt: skip
    track = MotionTrack.load(driver)
    wanted = np.stack([fitted[int(time * 30)] for time in track.times_s]).astype(int)
    assert difference(corners(video), corners(wanted)) < 6
    shipped.animate(source, driver, tmp_path / "out.mov", progress=False, background="transparent")
    with av.open(str(tmp_path / "out.mov")) as container:
        alpha = np.stack([f.to_ndarray(format="rgba")[..., 3] for f in container.decode(video=0)]).astype(int)
    assert difference(alpha, shown["transparent"][..., 3]) < 4


def test_paste_back_before_other_backgrounds_keeps_the_body(shipped, motion, photo, real_media, made):
    name, driver = photo("official_biden"), motion("lp_d10.mp4", 100, 2, 12)
    original = shipped.set_source(name).photo.astype(int)
    tie, edge = np.s_[700:1000, 400:600], np.s_[:200, :60]
    green = made(name, driver, paste_back=True, background="#00ff00")
    clear = made(name, driver, paste_back=True, background="transparent")
    blurred = made(name, driver, paste_back=True, background="blur")
    video = made(name, driver, paste_back=True, background=str(real_media / "videos" / "grid_lwbsza.mpg"))
    assert clear.shape == (2, *original.shape[:2], 4)
    for result in (green, clear, blurred, video):
        assert np.abs(result[(slice(None), *tie)][..., :3] - original[tie]).mean() < 3
    assert np.abs(green[(slice(None), *edge)] - [0, 255, 0]).mean() < 5
    assert clear[(slice(None), *edge)][..., 3].mean() < 5
    assert clear[(slice(None), *tie)][..., 3].mean() > 250
    fine = [np.abs(np.diff(p[edge], axis=0)).mean() for p in (blurred[0], original)]
    assert fine[0] < 0.5 * fine[1]
    assert difference(video, green) > 5


def test_networks_of_the_user(shipped, motion, photo, made, tmp_path):
    """One finds every pixel to be the person, or none; the other fills what was hidden with red."""
    onnx = pytest.importorskip("onnx", reason="onnx, by which the tiny networks are made, is not installed")
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    make, number = onnx.helper.make_node, onnx.numpy_helper.from_array

    def written(name: str, nodes: list, inputs: dict[str, list], shape: list, constants: dict) -> Path:
        def value(key, sizes):
            return onnx.helper.make_tensor_value_info(key, onnx.TensorProto.FLOAT, sizes)

        graph = onnx.helper.make_graph(
            nodes, name, [value(*pair) for pair in inputs.items()], [value("out", shape)],
            [number(np.array(v, np.float32), key) for key, v in constants.items()],
        )  # fmt: skip
        model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)])
        model.ir_version = 8
        onnx.save(model, tmp_path / f"{name}.onnx")
        return tmp_path / f"{name}.onnx"

    def matting(value: float) -> Path:
        nodes = [make("ReduceMean", ["image"], ["mean"], axes=[1], keepdims=1), make("Mul", ["mean", "zero"], ["none"]),
                 make("Add", ["none", "all"], ["out"])]  # fmt: skip
        sizes = [1, 3, "height", "width"]
        return written(f"matte{value}", nodes, {"image": sizes}, [1, 1, *sizes[2:]], {"zero": 0, "all": value})

    red = np.array([1, 0, 0]).reshape(1, 3, 1, 1)
    nodes = [make("Sub", ["one", "mask"], ["known"]), make("Mul", ["image", "known"], ["kept"]),
             make("Mul", ["red", "mask"], ["fill"]), make("Add", ["kept", "fill"], ["out"])]  # fmt: skip
    sizes = {"image": [1, 3, 512, 512], "mask": [1, 1, 512, 512]}
    plate = written("plate", nodes, sizes, [1, 3, 512, 512], {"one": 1, "red": red})

    name, driver = photo("official_biden"), motion("lp_d10.mp4", 100, 2, 12)
    everyone, nobody = (
        made(name, driver, paste_back=True, background="#00ff00", matte_net=matting(value)) for value in (1.0, 0.0)
    )
    original = shipped.set_source(name).photo.astype(int)
    below = np.s_[:, 900:]
    assert np.abs(everyone[below] - original[900:]).mean() < 2
    assert np.abs(nobody[below] - [0, 255, 0]).mean() < 2
    usual, filled = (made(name, driver, rotate="40,0,0", plate_net=net) for net in (None, plate))
    is_red = (filled[..., 0] > 200) & (filled[..., 1:].max(-1) < 60)
    assert is_red.mean() > 0.01
    assert not ((usual[..., 0] > 200) & (usual[..., 1:].max(-1) < 60)).mean() > 0.002
    assert difference(corners(filled), corners(usual)) < 3


def as_tensor(pictures: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 255


def test_enhanced_pictures_are_sharper_and_steady_ones_calmer(photo, clip, tmp_path):
    """`steady` takes tremble out of what the enhancer adds, not detail."""
    large = Animator.load("live", "cpu", resolution=2 * SIZE_PX)
    driver, shown = clip("lp_d10.mp4", 0, 6), {}
    for steady in (0.0, 0.7):
        folder = tmp_path / f"steady{10 * steady:.0f}"
        large.animate(photo("painting_s9"), driver, folder, progress=False, steady=steady, background="grey")
        shown[steady] = np.stack([read_picture(path) for path in sorted(folder.iterdir())]).astype(int)
    assert shown[0.0].shape == (6, 2 * SIZE_PX, 2 * SIZE_PX, 3)
    small = [cv2.resize(p.astype(np.uint8), (SIZE_PX, SIZE_PX), interpolation=cv2.INTER_AREA) for p in shown[0.0]]
    smooth = np.stack([cv2.resize(p, (2 * SIZE_PX, 2 * SIZE_PX)) for p in small]).astype(int)
    flow = optical_flow(as_tensor(smooth[1:]), as_tensor(smooth[:-1]))
    everywhere = torch.ones(5, 1, 2 * SIZE_PX, 2 * SIZE_PX)
    errors = {
        name: warp_error(as_tensor(pictures[1:]), as_tensor(pictures[:-1]), flow, everywhere).mean()
        for name, pictures in shown.items()
    }
    assert errors[0.7] < 0.95 * errors[0.0]
    detail = {name: np.abs(pictures - smooth)[2:].mean() for name, pictures in shown.items()}
    assert detail[0.7] > 0.95 * detail[0.0]


def test_a_table_of_jobs(shipped, clip, photo, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(Animator, "load", lambda *_, **__: shipped)
    video = clip("retalk_3.mp4", 0, 10)
    (tmp_path / "jobs.csv").write_text(
        "source,driver,rotate,output\n"
        f'{photo("painting_s4")},{video},"20,0,0",turned.mkv\n'
        f"{photo('official_obama')},{video},,whole.webm\n"
    )
    batch(BatchConfig(jobs=tmp_path / "jobs.csv", output=tmp_path / "out", frontalize=True, side_by_side=True))
    assert "2 videos" in capsys.readouterr().out
    for name in ("turned.mkv", "whole.webm"):
        assert [f.shape for f in read_frames(tmp_path / "out" / name)] == [(SIZE_PX, 3 * SIZE_PX, 3)] * 10


def test_the_doctor_looks_at_a_real_driver_and_photo(clip, photo, tmp_path, capsys):
    doctor(str(clip("pexels_langer.mp4", 60, 10, 8)), photo("painting_s10"), tmp_path / "report.html")
    text = capsys.readouterr().out
    assert "10 frames" in text
    assert "640 x 360" in text
    assert (tmp_path / "report.html").stat().st_size > 10_000
