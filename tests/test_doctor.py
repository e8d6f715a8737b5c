"""The doctor: each finding on made numbers, what hides a face, and whole reports of the package's sample."""

import itertools
import shutil
from dataclasses import replace
from fractions import Fraction
from html.parser import HTMLParser
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from megaportraits.animate.tracking import DriverTrack, FaceTrack
from megaportraits.data.crop import SquareCrop
from megaportraits.data.faces import FaceTracker
from megaportraits.data.occluders import hand
from megaportraits.data.pictures import read_picture
from megaportraits.data.video import read_frames
from megaportraits.data.video_writer import write_video
from megaportraits.doctor import doctor, driver_findings, photo_findings
from megaportraits.doctor.closer import compared_frames, look, shown_frames, spread
from megaportraits.doctor.findings import Finding, clock, frame_noise, gravest_first, spans
from megaportraits.doctor.occlusion import (
    LIKELY,
    half_lumas,
    hidden_finding,
    hidden_scores,
    reference_finding,
)
from megaportraits.doctor.page import Card, Part, as_text, verdict, write_page
from megaportraits.errors import UserError
from megaportraits.geometry import mean_head
from megaportraits.options import parse

DEMO = Path(str(resources.files("megaportraits.demo")))
REAL = (Path(__file__).parents[1] / "../shared/real").resolve()
FPS = Fraction(25)
COUNT = 60
VOID = {"meta", "img", "br"}


def made_face(count: int = COUNT) -> FaceTrack:
    """A calm face of 200 x 260 px in the middle of 640 x 480."""
    box = np.tile([220.0, 110.0, 200.0, 260.0], (count, 1))
    return FaceTrack(box, np.full(count, 0.01), np.full(count, 0.3), np.zeros((count, 3)))


def made_track(face: FaceTrack | None = None, **changes) -> DriverTrack:
    """A driver without faults."""
    face = face or made_face()
    count = len(face.box)
    times = tuple(i / FPS for i in range(count))
    shot = np.zeros(count, int)
    track = DriverTrack((640, 480), times, shot, (face,), np.full(count, 130.0), np.full(count, 100.0))
    return replace(track, **changes)


def changed(values: np.ndarray, index, value) -> np.ndarray:
    out = values.copy()
    out[index] = value
    return out


def found(track: DriverTrack, fps: Fraction = FPS, crop_px: int = 128) -> dict[str, Finding]:
    """The findings that are not fine, by what they say."""
    return {f.what: f for f in driver_findings(track, fps, crop_px) if f.level != "fine"}


def test_a_good_driver_has_no_complaints():
    findings = driver_findings(made_track(), FPS, 128)
    assert {f.level for f in findings} == {"fine"}
    assert len(findings) == 14
    assert verdict(findings) == "nothing to complain about"


def test_no_face_at_all():
    findings = driver_findings(made_track(faces=()), FPS, 128)
    assert findings[0].level == "problem"
    assert findings[0].what == "No face was found"


@pytest.mark.parametrize(("missing", "level"), [(1, "note"), (6, "warning"), (20, "problem")])
def test_frames_without_a_face(missing: int, level: str):
    face = made_face()
    index = slice(10, 10 + missing)
    gone = FaceTrack(*(changed(v, index, np.nan) for v in (face.box, face.mouth, face.eyes, face.angles_deg)))
    finding = found(made_track(gone))["The face is not seen in some frames"]
    assert finding.level == level
    assert finding.frames == tuple(range(10, 10 + missing))
    assert f"{missing} of 60 frames" in finding.numbers
    assert "0:00.4" in finding.numbers
    assert "--no-face" in finding.advice


def test_cuts_are_told_and_nothing_is_measured_across_them():
    shot = np.repeat([0, 1], COUNT // 2)
    face = made_face()
    box = changed(face.box, slice(COUNT // 2, None), [20.0, 30.0, 160.0, 220.0])
    luma = np.where(shot, 190.0, 80.0)
    told = found(made_track(replace(face, box=box), shot=shot, brightness=luma))
    assert list(told) == ["Scene cuts"]
    assert told["Scene cuts"].frames == (COUNT // 2,)


def test_light_that_changes_inside_a_shot():
    told = found(made_track(brightness=np.linspace(80.0, 190.0, COUNT)))
    assert told["The light changes"].frames == (0, COUNT - 1)


@pytest.mark.parametrize(("luma", "what"), [(30.0, "The face is dark"), (230.0, "The face is too bright")])
def test_dark_and_bright(luma: float, what: str):
    assert list(found(made_track(brightness=np.full(COUNT, luma)))) == [what]


def test_flicker():
    luma = 130 + 6 * np.sin(np.arange(COUNT) * 2.3)
    assert list(found(made_track(brightness=luma))) == ["The light flickers"]


def test_soft_and_blurred_frames():
    assert list(found(made_track(sharpness=np.full(COUNT, 10.0)))) == [
        "The face is out of focus or strongly compressed"
    ]
    told = found(made_track(sharpness=changed(np.full(COUNT, 100.0), slice(3, 5), 20.0)))
    assert told["Blurred frames"].frames == (3, 4)
    assert told["Blurred frames"].level == "note"


@pytest.mark.parametrize(("crop_px", "level"), [(512, None), (1024, "warning"), (2048, "problem")])
def test_a_face_smaller_than_the_models(crop_px: int, level: str | None):
    told = found(made_track(), crop_px=crop_px)
    assert (told["The face is small"].level if told else None) == level
    if told:
        assert f"at least {-(-crop_px * 10 // 22)} px" in told["The face is small"].advice


def test_a_face_that_leaves_the_picture():
    face = made_face()
    box = changed(face.box, slice(0, 5), [-50.0, 110.0, 200.0, 260.0])
    finding = found(made_track(replace(face, box=box)))["The face leaves the picture"]
    assert finding.frames == (0, 1, 2, 3, 4)
    assert "25%" in finding.numbers


def test_far_turns_but_not_a_camera_from_below():
    face = made_face()
    far = replace(face, angles_deg=changed(face.angles_deg, (slice(20, 30), 0), 55.0))
    assert found(made_track(far))["The head turns far"].frames == tuple(range(20, 30))
    assert found(made_track(replace(face, angles_deg=face.angles_deg + np.array([0.0, 35.0, 0.0])))) == {}


def test_several_faces():
    second = made_face()
    second = replace(second, box=changed(second.box, slice(0, 30), np.nan))
    finding = found(made_track(faces=(made_face(), second)))["2 faces"]
    assert "face 1 in 50% of the frames" in finding.numbers


def test_faces_keep_the_numbers_that_the_option_takes():
    glimpse, half = made_face(), made_face()
    glimpse = replace(glimpse, box=changed(glimpse.box, slice(1, None), np.nan))
    half = replace(half, box=changed(half.box, slice(0, 30), np.nan))
    finding = found(made_track(faces=(made_face(), glimpse, half)))["2 faces"]
    assert finding.numbers == "face 0 in 100% of the frames, face 2 in 50% of the frames"


def test_rates():
    assert list(found(made_track(), fps=Fraction(12))) == ["The frame rate is low"]
    assert list(found(made_track(), fps=Fraction(120))) == ["The frame rate is high"]
    uneven = tuple(itertools.accumulate(Fraction(1 + i % 2, 25) for i in range(COUNT)))
    assert list(found(made_track(times_s=uneven))) == ["The frame rate varies"]


def test_trembling_is_told_from_moving():
    face, numbers = made_face(), np.random.default_rng(0)
    shaken = face.box.copy()
    shaken[:, :2] += numbers.normal(0, 2.0, (COUNT, 2))
    assert list(found(made_track(replace(face, box=shaken)))) == ["The followed face trembles"]
    swaying = face.box.copy()
    swaying[:, 0] += 80 * np.sin(2 * np.pi * np.arange(COUNT) / 25)
    assert found(made_track(replace(face, box=swaying))) == {}


def test_frame_noise_measures_noise_and_ignores_movement():
    values, shot = np.random.default_rng(0).normal(0, 2.0, 4000), np.zeros(4000, int)
    assert frame_noise(values, shot) == pytest.approx(2.0, rel=0.06)
    assert frame_noise(100 * np.sin(2 * np.pi * np.arange(4000) / 25), shot) < 0.5
    assert np.isnan(frame_noise(values[:4], shot[:4]))


def test_one_picture_as_driver():
    told = driver_findings(made_track(made_face(1)), FPS, 128)
    assert {f.level for f in told} == {"fine"}
    assert {"frame rate", "cut", "flicker"} & {word for f in told for word in f.what.split()} == set()


def test_reference_is_the_calmest_frame_that_is_not_hidden():
    face = made_face()
    face = replace(face, angles_deg=face.angles_deg + 10, mouth=changed(face.mouth, slice(None), 0.05))
    calm = replace(face, angles_deg=changed(face.angles_deg, (7, 0), 0.0), mouth=changed(face.mouth, 7, 0.0))
    track = made_track(calm)
    assert 7 in compared_frames(track)
    assert reference_finding(track, {7: 0.3, 9: 0.3}).frames == (7,)
    doubtful = reference_finding(track, {7: 1.3, 9: 0.3, 11: 1.2})
    assert doubtful.frames == (7, 9)
    assert "--reference 9" in doubtful.advice
    turned = made_track(replace(made_face(), angles_deg=np.full((COUNT, 3), 60.0)))
    assert reference_finding(turned, {}).level == "note"


def test_turned_and_blurred_frames_are_not_compared():
    face = made_face()
    far = replace(face, angles_deg=changed(face.angles_deg, (slice(20, 30), 0), 55.0))
    compared = compared_frames(made_track(far, sharpness=changed(np.full(COUNT, 100.0), 40, 5.0)))
    assert len(compared) == 48
    assert not {*range(20, 30), 40} & set(compared)


def test_shown_frames_are_spread_over_each_finding():
    told = [Finding("note", "a", frames=tuple(range(100))), Finding("note", "b", frames=(7,))]
    assert shown_frames(told) == [0, 7, 50, 99]
    assert spread([4, 5], 3) == [4, 5]


def test_spans_name_the_longest_times():
    mask = np.zeros(100, bool)
    mask[[0, 10, 11, 20, 21, 30, 31, 40, 41, 50, 51]] = True
    assert spans(mask, tuple(i / FPS for i in range(100))) == (
        "0:00.4 to 0:00.4, 0:00.8 to 0:00.8, 0:01.2 to 0:01.2, 0:01.6 to 0:01.6, and 2 more"
    )
    assert clock(Fraction(1259, 20)) == "1:03.0"


def skin(count: int) -> np.ndarray:
    """Colours of a face over some frames, brighter and darker, with a little noise."""
    numbers = np.random.default_rng(0)
    base = numbers.uniform(90, 170, (1, 468, 3))
    return base * numbers.uniform(0.8, 1.2, (count, 1, 1)) + numbers.normal(0, 4, (count, 468, 3))


def test_a_patch_of_another_colour_is_told_and_light_is_not():
    colours = skin(20)
    cheek = np.argsort(np.linalg.norm(mean_head() - mean_head()[205], axis=1))[:30]
    colours[4, cheek] = 20.0
    scores = hidden_scores(colours)
    assert np.flatnonzero(scores >= LIKELY).tolist() == [4]
    finding = hidden_finding(dict(enumerate(scores.tolist())))
    assert finding.frames == (4,)
    assert hidden_finding(dict(enumerate(hidden_scores(skin(20)).tolist()))).level == "fine"


def test_half_lumas_know_left_from_right():
    colours = np.where(mean_head()[:, :1] < 0, 50.0, 150.0) * np.ones((468, 3))
    assert half_lumas(colours) == pytest.approx((50.0, 150.0))


@pytest.mark.parametrize(("seed", "told"), [(1, [6]), (0, [])], ids=["before the face", "beside the face"])
def test_a_drawn_hand_is_told_on_the_sample(seed: int, told: list[int]):
    frames = list(itertools.islice(read_frames(DEMO / "driver.mp4"), 0, 60, 5))
    square = SquareCrop(0.0, 0.0, float(len(frames[0])))
    with FaceTracker(video=False) as tracker:
        landmarks = tracker.landmarks(frames[0])
        assert landmarks is not None
        mouth = landmarks[13, :2] * 2 / len(frames[0]) - 1
        picture = torch.from_numpy(frames[6]).permute(2, 0, 1)[None] / 255
        covered = hand(picture, torch.tensor(mouth, dtype=torch.float32), 0.8, torch.Generator().manual_seed(seed))
        frames[6] = (covered[0].permute(1, 2, 0).numpy() * 255).astype(np.uint8)
        looks = [look(frame, square, tracker) for frame in frames]
    scores = hidden_scores(np.stack([seen.colours for seen in looks if seen.colours is not None]))
    assert len(scores) == len(frames)
    assert np.flatnonzero(scores >= LIKELY).tolist() == told


@pytest.mark.skipif(not REAL.is_dir(), reason="no folder shared/real with recorded videos beside the checkout")
def test_a_real_hand_is_told():
    frames = list(itertools.islice(read_frames(REAL / "videos" / "pexels_langer.mp4"), 170, 440, 10))
    colours = []
    with FaceTracker(video=False) as tracker:
        for frame in frames:
            square = SquareCrop(140.0, -120.0, 600.0)
            colours.append(look(frame, square, tracker).colours)
    hidden = np.flatnonzero(hidden_scores(np.stack(colours)) >= LIKELY)
    assert set(hidden.tolist()) <= set(range(6)), "the hand is at the mouth up to frame 220"
    assert len(hidden) >= 4


def photo(
    face: FaceTrack | None = None, matte: np.ndarray | None = None, y: float = 20.0, **changes
) -> dict[str, Finding]:
    """What is not fine about a photo with a good face, apart from what is given."""
    track = made_track(face or made_face(1), **changes)
    square = SquareCrop(100.0, y, 572.0)
    matte = np.zeros((64, 64)) if matte is None else matte
    halves = (120.0, 140.0)
    return {f.what: f for f in photo_findings(track, square, matte, halves, 128) if f.level != "fine"}


def test_a_good_photo_has_no_complaints():
    assert photo() == {}


def test_photo_without_a_face():
    told = photo_findings(made_track(faces=()), None, np.zeros((64, 64)), None, 128)
    assert [f.level for f in told] == ["problem"]


def test_faults_of_a_photo():
    face = made_face(1)
    assert list(photo(replace(face, angles_deg=np.array([[30.0, 0.0, 0.0]])))) == ["The face is turned away"]
    assert list(photo(replace(face, mouth=np.array([0.1])))) == ["The mouth is open"]
    assert list(photo(replace(face, eyes=np.array([0.05])))) == ["The eyes are closed"]
    assert list(photo(replace(face, box=np.array([[220.0, 300.0, 200.0, 260.0]])))) == ["A part of the face is cut off"]
    assert list(photo(faces=(face, replace(face, box=face.box * 0.5)))) == ["2 faces"]
    assert photo(faces=(face, replace(face, box=face.box * 0.1))) == {}


def test_hair_at_the_photos_edge():
    matte = np.zeros((64, 64))
    matte[:, 20:44] = 1
    assert list(photo(matte=matte, y=-100.0)) == ["The hair is cut off"]
    assert photo(matte=matte, y=20.0) == {}
    matte[:20] = 0
    assert photo(matte=matte, y=-100.0) == {}


def test_light_from_one_side():
    told = photo_findings(made_track(made_face(1)), SquareCrop(0.0, 0.0, 500.0), np.zeros((64, 64)), (40.0, 160.0), 128)
    assert [f.what for f in told if f.level != "fine"] == ["Light from one side"]


class Page(HTMLParser):
    """Checks that tags are balanced, and collects what a page shows and where its pictures come from."""

    def __init__(self, text: str):
        super().__init__()
        self.open: list[str] = []
        self.sources: list[str] = []
        self.text = ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.sources += [value for name, value in attrs if name in ("src", "href")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def part() -> Part:
    told = [Finding("fine", "Good <b>"), Finding("warning", "Long " * 30, "1 & 2", "Do it."), Finding("problem", "Bad")]
    picture = np.zeros((8, 12, 3), np.uint8)
    return Part("Driver <x>", "3 frames", told, [Card([picture, picture], "frame 0")], {"Turn": "<svg/>"}, [])


def test_text_is_gravest_first_and_narrow():
    lines = as_text([part()]).splitlines()
    assert [line.split()[0] for line in lines[2:] if line[2] != " "] == ["problem", "warning", "fine"]
    assert max(map(len, lines)) <= 100
    assert lines[1].endswith("1 problem, 1 warning")
    assert gravest_first(part().findings)[0].what == "Bad"


def test_page_is_one_file_and_escapes_names(tmp_path):
    write_page(tmp_path / "report.html", [part()])
    page = Page((tmp_path / "report.html").read_text())
    assert len(page.sources) == 3
    assert all(source.startswith("data:image/") for source in page.sources)
    assert "Driver <x>" in page.text
    assert "Good <b>" in page.text


def test_report_of_the_sample(tmp_path, capsys):
    write_video(tmp_path / "short.mp4", itertools.islice(read_frames(DEMO / "driver.mp4"), 20), 25)
    doctor(str(tmp_path / "short.mp4"), DEMO / "source.png", tmp_path / "new" / "report.html")
    printed = capsys.readouterr().out
    assert "20 frames, 0:00.8, 256 x 256 px" in printed
    assert "The face is seen all the time: 20 frames" in printed
    assert "Photo" in printed
    assert "No face" not in printed
    page = Page((tmp_path / "new" / "report.html").read_text())
    assert "How the head is framed" in page.text
    assert sum(source.startswith("data:image/svg") for source in page.sources) == 5


def test_report_of_files_without_faces(tmp_path, capsys):
    Image.new("RGB", (96, 80), "grey").save(tmp_path / "grey.png")
    doctor(str(tmp_path / "grey.png"), tmp_path / "grey.png", tmp_path / "report.html")
    assert capsys.readouterr().out.count("No face was found") == 2
    assert "still, 96 x 80 px" in Page((tmp_path / "report.html").read_text()).text


def test_options_of_the_command():
    values = parse(doctor, "megaportraits doctor", ["a.mp4", "--source", "b.jpg", "--output", "c.html"])
    assert (values["driver"], values["source"], values["output"]) == ("a.mp4", Path("b.jpg"), Path("c.html"))


def test_wrong_files_are_told_before_the_work(tmp_path):
    with pytest.raises(UserError, match="motion only"):
        doctor("nod.mpmotion", output=tmp_path / "report.html")
    with pytest.raises(UserError, match=r"\.html"):
        doctor(str(DEMO / "driver.mp4"), output=tmp_path / "report.pdf")
    with pytest.raises(UserError, match="no file"):
        doctor(str(tmp_path / "none.mp4"), output=tmp_path / "report.html")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"schema_version": 1, "kind": "base"}', "names no model sizes"),
        ("[]", "holds JSON that is no object"),
        ('{"schema_version": 1, "kind": "pose", "model": {}}', "a 'base' model was wanted"),
    ],
)
def test_weights_that_are_no_model_are_told_before_the_work(tiny_weights, tmp_path, text, said):
    weights = shutil.copytree(tiny_weights, tmp_path / "weights")
    (weights / "config.json").write_text(text)
    with pytest.raises(UserError, match=said):
        doctor(str(DEMO / "driver.mp4"), output=tmp_path / "report.html", weights=str(weights))
    assert [path.name for path in tmp_path.iterdir()] == ["weights"]


def test_a_cropped_photo_is_told(tmp_path, capsys):
    picture = read_picture(DEMO / "source.png")
    with FaceTracker(video=False) as tracker:
        landmarks = tracker.landmarks(picture)
    assert landmarks is not None
    Image.fromarray(picture[int(landmarks[10, 1]) :]).save(tmp_path / "cropped.png")
    doctor(str(tmp_path / "cropped.png"), tmp_path / "cropped.png", tmp_path / "report.html")
    assert "The hair is cut off" in capsys.readouterr().out


def test_the_whole_video_is_looked_at_unless_less_is_wanted(tmp_path, capsys):
    frames = list(itertools.islice(read_frames(DEMO / "driver.mp4"), 6))
    write_video(tmp_path / "slow.mp4", frames, Fraction(1))
    for seconds, count in ((None, 6), (2.0, 2)):
        doctor(str(tmp_path / "slow.mp4"), output=tmp_path / "report.html", seconds=seconds)
        assert f"{count} frames" in capsys.readouterr().out
