"""From files to files, with a random `tiny` model on the package's own sample."""

import shutil
from dataclasses import replace
from fractions import Fraction
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
from clicks import heard_clicks, write_clicks
from PIL import Image

from megaportraits.animate.drivers import open_driver
from megaportraits.animate.extract import extract
from megaportraits.animate.pipeline import AnimationReport
from megaportraits.animate.stopwatch import Stopwatch
from megaportraits.data.pictures import read_picture
from megaportraits.data.provenance import read_statement
from megaportraits.data.track import video_square
from megaportraits.data.video import probe, read_frames, read_timed_frames
from megaportraits.data.video_writer import VideoWriter, write_video
from megaportraits.errors import UserError

DEMO = Path(str(resources.files("megaportraits.demo")))
SOURCE = DEMO / "source.png"


def made(animator, driver, path, source=SOURCE, **options) -> list[np.ndarray]:
    animator.animate(source, driver, path, progress=False, **options)
    return list(read_frames(path))


def difference(a: list[np.ndarray], b: list[np.ndarray]) -> float:
    assert len(a) == len(b)
    return float(np.mean([np.abs(x.astype(int) - y).mean() for x, y in zip(a, b, strict=True)]))


@pytest.fixture(scope="module")
def plain(animator, driver, tmp_path_factory) -> list[np.ndarray]:
    return made(animator, driver, tmp_path_factory.mktemp("plain") / "out.mp4")


@pytest.fixture(scope="module")
def with_a_gap(tmp_path_factory, frames):
    """Twelve frames; the face is hidden in 4, 5 and 6."""
    path = tmp_path_factory.mktemp("gap") / "gap.mp4"
    shown = [np.full_like(f, 90) if 4 <= i <= 6 else f for i, f in enumerate(frames)]
    write_video(path, shown, Fraction(25))
    return path


def test_result_has_the_drivers_count_rate_and_size(animator, driver, tmp_path):
    report = animator.animate(SOURCE, driver, tmp_path / "new" / "out.mp4", progress=False)
    info, wanted = probe(tmp_path / "new" / "out.mp4"), probe(driver)
    assert (info.fps, info.frame_count, info.duration_s) == (wanted.fps, wanted.frame_count, wanted.duration_s)
    assert (info.width, info.height) == (64, 64)
    assert (report.frames, report.without_face, report.cuts) == (9, 0, 0)
    assert set(report.seconds) == {"source", "decode", "track", "motion", "composite", "generate", "encode"}
    assert "9 frames" in str(report)


def test_the_report_names_what_is_odd(tmp_path):
    text = str(AnimationReport(tmp_path / "a.mp4", 20, 3, 1, {"decode": 1.25}))
    assert text.endswith("a.mp4: 20 frames, 3 of the driver without a face, 1 scene cut; seconds: decode 1.2")


def test_side_by_side_shows_source_driver_result(animator, driver, tmp_path):
    shown = made(animator, driver, tmp_path / "out.mp4", read_picture(SOURCE), side_by_side=True)[0]
    assert shown.shape == (64, 192, 3)
    source = animator.set_source(SOURCE)
    assert np.abs(shown[:, :64].astype(int) - source.crop).mean() < 6
    cut = video_square(driver).cut(next(read_frames(driver)), 64)
    assert np.abs(shown[:, 64:128].astype(int) - cut).mean() < 6


def test_a_motion_file_does_what_its_video_does(animator, driver, plain, tmp_path):

    with open_driver(driver) as opened:
        extract(animator, opened, "largest", Stopwatch())[0].motion.save(tmp_path / "driver.mpmotion")
    again = made(animator, tmp_path / "driver.mpmotion", tmp_path / "out.mp4")
    assert difference(again, plain) == 0
    assert probe(tmp_path / "out.mp4").fps == Fraction(30000, 1001)


def test_a_motion_file_of_other_weights_is_refused(animator, driver, tmp_path):

    with open_driver(driver) as opened:
        track = extract(animator, opened, "largest", Stopwatch())[0].motion
    replace(track, model="another").save(tmp_path / "other.mpmotion")
    with pytest.raises(UserError, match="another motion encoder"):
        animator.animate(SOURCE, tmp_path / "other.mpmotion", tmp_path / "out.mp4", progress=False)


@pytest.mark.parametrize(
    "options",
    [
        {"motion": "relative"},
        {"rotate": "20,0,0"},
        {"frontalize": True},
        {"sweep": ("yaw:-30..30",)},
        {"scale": "source", "translation": "source"},
        {"background": "red"},
        {"background": "blur"},
    ],
    ids=str,
)
def test_options_change_the_picture(animator, driver, plain, tmp_path, options):
    assert difference(made(animator, driver, tmp_path / "out.mp4", **options), plain) > 0.2


def test_gains_and_smoothing_reach_the_painter(animator, driver, tmp_path, monkeypatch):
    painted = []
    paint = animator.paint

    def watched(motion, source=None, gains=None):
        painted.append((motion, gains))
        return paint(motion, source, gains)

    monkeypatch.setattr(animator, "paint", watched)

    def motion_for(**options):
        painted.clear()
        animator.animate(SOURCE, driver, tmp_path / "out.png", progress=False, preview=True, seconds=1.0, **options)
        return painted[-1]

    (usual, none), (raw, _), (more, _) = motion_for(), motion_for(smooth=0.0), motion_for(expression_gain=3.0)
    assert none is None
    assert not np.allclose(usual.expression, raw.expression, atol=1e-6)
    assert not np.allclose(usual.expression, more.expression, atol=1e-6)
    gains = motion_for(eyes=0.0, mouth=2.0)[1]
    assert (gains.eyes, gains.mouth, gains.neutral.shape[0]) == (0.0, 2.0, 1)


def test_a_photo_drives_a_photo(animator, tmp_path):
    animator.animate(SOURCE, SOURCE, tmp_path / "out.png", frontalize=True, progress=False)
    assert read_picture(tmp_path / "out.png").shape == (64, 64, 3)


def test_a_photo_drives_a_video_of_wanted_length(animator, tmp_path):
    result = made(animator, SOURCE, tmp_path / "out.mp4", seconds=0.4, sweep=("yaw:-30..30",), side_by_side=True)
    assert len(result) == 10
    assert difference([result[0][:, 128:]], [result[-1][:, 128:]]) > 0.5
    assert difference([result[0][:, :128]], [result[-1][:, :128]]) < 2


def test_a_folder_of_pictures_drives(animator, frames, tmp_path):
    (tmp_path / "frames").mkdir()
    for i in (1, 2, 10):
        Image.fromarray(frames[i]).save(tmp_path / "frames" / f"{i}.png")
    assert len(made(animator, tmp_path / "frames", tmp_path / "out.mp4")) == 3


@pytest.mark.parametrize(("policy", "count"), [("hold", 12), ("interpolate", 12), ("skip", 9)])
def test_frames_without_a_face(animator, with_a_gap, tmp_path, policy, count):
    report = animator.animate(SOURCE, with_a_gap, tmp_path / "out.mp4", progress=False, no_face=policy, smooth=0.0)
    timed = list(read_timed_frames(tmp_path / "out.mp4"))
    assert len(timed) == report.frames == count
    assert [round(float(t) * 25) for t, _ in timed] == list(range(count))
    assert report.without_face >= 3


def test_several_faces_have_a_source_each(animator, frames, tmp_path, capsys):
    pair = [np.hstack([f, f[:, ::-1]]) for f in frames[:6]]
    write_video(tmp_path / "pair.mp4", pair, Fraction(25))
    (tmp_path / "photos").mkdir()
    shutil.copy(SOURCE, tmp_path / "photos" / "a.png")
    with pytest.raises(UserError, match="2 faces, but there are 1 sources"):
        animator.animate(tmp_path / "photos", tmp_path / "pair.mp4", tmp_path / "out.mp4", progress=False, face="all")
    shutil.copy(SOURCE, tmp_path / "photos" / "b.png")
    shutil.copy(SOURCE, tmp_path / "photos" / "c.png")
    (tmp_path / "photos" / "._c.png").write_bytes(b"what another system leaves")
    both = made(animator, tmp_path / "pair.mp4", tmp_path / "out.mp4", tmp_path / "photos", face="all")
    assert both[0].shape == (64, 128, 3)
    assert "1 of 3 photos have no face to follow" in capsys.readouterr().err
    alone = [made(animator, tmp_path / "pair.mp4", tmp_path / f"{n}.mp4", face=str(n)) for n in (0, 1)]
    for part, single in zip((0, 64), alone, strict=True):
        assert difference([f[:, part : part + 64] for f in both], single) < 3


def test_transparent_results_have_alpha(animator, driver, tmp_path):
    animator.animate(SOURCE, driver, tmp_path / "frames", background="transparent", progress=False)
    pictures = sorted((tmp_path / "frames").iterdir())
    assert [p.name for p in pictures] == [f"{i:06d}.png" for i in range(9)]
    assert Image.open(pictures[0]).mode == "RGBA"


def test_paste_back_gives_the_whole_photo(animator, driver, tmp_path):
    photo = np.pad(read_picture(SOURCE), ((60, 40), (80, 30), (0, 0)), mode="edge")
    result = made(animator, driver, tmp_path / "out.mp4", photo, paste_back=True)
    assert result[0].shape == photo.shape
    assert np.abs(result[0][:20].astype(int) - photo[:20]).mean() < 3


def test_the_first_seconds_of_a_driver(animator, tmp_path):
    """Of a video, and of a motion file."""
    with open_driver(DEMO / "driver.mp4", 0.4) as opened:
        assert [time for time, _ in opened.frames()] == [Fraction(i, 25) for i in range(10)]
        assert opened.frame_count == 10
        motion = extract(animator, opened, "largest", Stopwatch())[0].motion
    motion.save(tmp_path / "a.mpmotion")
    report = animator.animate(SOURCE, tmp_path / "a.mpmotion", tmp_path / "b.mp4", progress=False, seconds=0.1)
    assert report.frames == 3


def test_preview_is_one_picture_of_every_tenth_frame(animator, tmp_path):
    animator.animate(SOURCE, DEMO / "driver.mp4", tmp_path / "sheet.png", preview=True, progress=False)
    height, width = read_picture(tmp_path / "sheet.png").shape[:2]
    assert (height, width) == (2 * 160, 6 * 2 * 160)
    assert read_statement(tmp_path / "sheet.png").generated
    with pytest.raises(UserError, match="one picture"):
        animator.animate(SOURCE, DEMO / "driver.mp4", tmp_path / "sheet.mp4", preview=True, progress=False)


def test_an_hour_stays_in_sync(animator, frames, tmp_path):
    """An hour at the ticks of 30000/1001, a frame about each 20 s, with clicks every ten minutes."""
    rate, marks = Fraction(30000, 1001), [600 * i for i in range(7)]
    write_clicks(tmp_path / "sound.mkv", 3601, marks)
    with VideoWriter(tmp_path / "hour.mp4", rate, 128, 128, audio_from=tmp_path / "sound.mkv") as writer:
        for i in range(181):
            writer.write(np.ascontiguousarray(frames[i % 12][::2, ::2]), round(20 * i * rate) / rate)
    result = tmp_path / "out.mp4"
    animator.animate(SOURCE, tmp_path / "hour.mp4", result, progress=False)
    times = [[float(t) for t, _ in read_timed_frames(tmp_path / name)] for name in ("hour.mp4", "out.mp4")]
    assert len(times[1]) == 181
    assert np.abs(np.subtract(*times)).max() < 0.001
    assert heard_clicks(result) == pytest.approx(marks, abs=0.005)


def test_inputs_are_never_overwritten(animator, driver):
    before = driver.read_bytes()
    with pytest.raises(UserError, match="one of the inputs"):
        animator.animate(SOURCE, driver, driver, progress=False)
    assert driver.read_bytes() == before


def test_no_file_that_is_read_is_written(animator, driver, frames, tmp_path):
    shutil.copy(driver, tmp_path / "sea.mp4")
    (tmp_path / "frames").mkdir()
    Image.fromarray(frames[0]).save(tmp_path / "frames" / "0.png")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    for request in (
        {"driver": driver, "output": tmp_path / "sea.mp4", "background": str(tmp_path / "sea.mp4")},
        {"driver": tmp_path / "frames", "output": tmp_path / "frames" / "0.png"},
        {"driver": tmp_path / "frames", "output": tmp_path / "frames"},
    ):
        with pytest.raises(UserError, match=r"input|holds other files"):
            animator.animate(SOURCE, progress=False, **request)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_the_current_source_stays(animator, driver, tmp_path):
    before = animator.set_source(SOURCE)
    animator.animate(np.ascontiguousarray(read_picture(SOURCE)[:, ::-1]), driver, tmp_path / "out.png", progress=False)
    assert animator.source is before


def test_one_picture_of_a_video_is_its_first_frame(animator, driver, tmp_path):
    report = animator.animate(SOURCE, driver, tmp_path / "out.png", progress=False)
    animator.animate(SOURCE, driver, tmp_path / "frames", progress=False)
    assert report.frames == 1
    first = read_picture(tmp_path / "frames" / "000000.png").astype(int)
    assert np.abs(read_picture(tmp_path / "out.png") - first).max() <= 1


def test_sound_ends_with_the_picture_of_a_still_driver(animator, frames, tmp_path):
    write_clicks(tmp_path / "sound.mkv", 3, [0.1, 2.0])
    with VideoWriter(tmp_path / "cover.mp4", Fraction(25), 256, 256, audio_from=tmp_path / "sound.mkv") as writer:
        writer.write(frames[0])
    animator.animate(SOURCE, tmp_path / "cover.mp4", tmp_path / "out.mp4", progress=False, seconds=0.4)
    assert heard_clicks(tmp_path / "out.mp4") == pytest.approx([0.1], abs=0.01)


def test_side_by_side_with_paste_back_shows_the_photo(animator, driver, tmp_path):
    photo = np.pad(read_picture(SOURCE)[::4, ::4], ((0, 0), (40, 0), (0, 0)), mode="edge")
    result = made(animator, driver, tmp_path / "out.mp4", photo, paste_back=True, side_by_side=True)
    assert result[0].shape == (64, 104 + 64 + 104, 3)


def test_no_face_is_a_user_error(animator, tmp_path):
    grey = np.full((96, 96, 3), 128, np.uint8)
    write_video(tmp_path / "grey.mp4", [grey] * 4, 25)
    with pytest.raises(UserError, match="no face was found in the source picture"):
        animator.set_source(grey)
    with pytest.raises(UserError, match=r"no face was found in .*grey\.mp4"):
        animator.animate(SOURCE, tmp_path / "grey.mp4", tmp_path / "out.mp4", progress=False)
    assert not (tmp_path / "out.mp4").exists()


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"background": "transparent", "side_by_side": True}, "transparent"),
        ({"face": "all", "no_face": "skip"}, "several faces"),
        ({"face": "all"}, "folder of photos"),
        ({"face": "7"}, "face"),
        ({"reference": 400}, "reference frame 400"),
        ({"rotate": "left"}, "left"),
        ({"sweep": ("nod:1..2",)}, "nod"),
        ({"background": "no-such-colour"}, "no-such-colour"),
        ({"audio": SOURCE}, "sound"),
        ({"smooth": float("nan")}, "smooth"),
        ({"seconds": float("inf")}, "seconds"),
        ({"face": "smallest"}, "smallest"),
    ],
    ids=str,
)
def test_options_that_cannot_be(animator, driver, tmp_path, options, reason):
    with pytest.raises(UserError, match=reason):
        animator.animate(SOURCE, driver, tmp_path / "out.mp4", progress=False, **options)
    assert list(tmp_path.iterdir()) == []
