"""The whole path: rendering clips, reading them back, resuming."""

import dataclasses
import re

import numpy as np
import pytest
from mini_head import write_mini_head

from megaportraits.data.clips import find_clips, read_clip
from megaportraits.errors import UserError
from megaportraits.synth import renderer
from megaportraits.synth.clips import Studio, make_person, make_track, synthesise
from megaportraits.synth.command import run
from megaportraits.synth.scene import neutral_camera

NOSE_TIP = 1


@pytest.mark.usefixtures("egl")
def test_clips_are_written_resumed_and_read(mini_config):
    first, second = synthesise(mini_config)
    assert find_clips([mini_config.out], "train") == [first, second]
    clip = read_clip(first)
    assert clip.rgb.shape == (3, 64, 64, 3)
    assert clip.info.frame_step_s == pytest.approx(4 / 25)
    assert 0.2 < (clip.matte > 127).mean() < 0.8
    column, row = ((clip.truth.landmarks[0, NOSE_TIP] + 1) * 32).astype(int)
    assert clip.matte[0, row, column] > 200
    stamp = (first / "clip.json").stat().st_mtime_ns
    (second / "clip.json").unlink()
    run(mini_config)
    assert (first / "clip.json").stat().st_mtime_ns == stamp
    assert (second / "clip.json").exists()
    with pytest.raises(UserError, match="choose another output folder"):
        synthesise(dataclasses.replace(mini_config, seed=3))


@pytest.mark.usefixtures("egl")
def test_cross_driving_clips_are_named_after_identity_and_motion(mini_config):
    config = dataclasses.replace(mini_config, motion_of="4,7", workers=2, frames=2, step=14, split="held_out")
    names = [folder.name for folder in synthesise(config)]
    assert names == [f"id0000{i}_motion0000{m}" for i in (0, 1) for m in (4, 7)]
    a, b = (read_clip(config.out / f"id0000{i}_motion00004") for i in (0, 1))
    assert a.info.identity != b.info.identity
    assert a.info.motion == b.info.motion
    assert a.info.split == "held_out"
    assert a.info.frame_step_s == pytest.approx(14 / 25)
    np.testing.assert_array_equal(a.truth.controls, b.truth.controls)


@pytest.mark.usefixtures("egl")
def test_places_far_outside_of_a_texture_show_its_edge(mini_config, tmp_path):
    """With an anisotropic filter a software renderer needed minutes for each such pixel."""
    config = dataclasses.replace(mini_config, clips=1, frames=1, skin=2048)
    pictures = []
    for name, u in (("edge", "1.0"), ("far", r"\1e7")):
        body = write_mini_head(tmp_path / name) / "3dobjs/base.obj"
        body.write_text(re.sub(r"(?m)^vt (\S+)", f"vt {u}", body.read_text()))
        out = tmp_path / f"of-{name}"
        pictures.append(read_clip(synthesise(dataclasses.replace(config, assets=tmp_path / name, out=out))[0]))
    edge, far = pictures
    np.testing.assert_array_equal(edge.matte, far.matte)
    assert np.abs(edge.rgb.astype(float) - far.rgb).mean() < 5


def test_missing_egl_is_told_with_the_packages(monkeypatch):
    def fail(**_):
        raise ImportError("libEGL.so: cannot open shared object file")

    monkeypatch.setattr(renderer.moderngl, "create_standalone_context", fail)
    with pytest.raises(UserError, match="libegl1 libgl1-mesa-dri libgles2"):
        renderer.open_context()


@pytest.mark.usefixtures("egl")
def test_real_assets_render_a_face_where_the_truth_says(mini_config, real_library):
    config = dataclasses.replace(mini_config, frames=1, size=128, skin=256, motion_of="0")
    studio = Studio(config, real_library)
    studio.shoot(0, [0])
    clip = read_clip(config.out / "id00000_motion00000")
    pixels = ((clip.truth.landmarks[0] + 1) * 64).astype(int)
    assert (clip.matte[0][pixels[:, 1], pixels[:, 0]] > 127).mean() > 0.97
    person = make_person(config, studio.library, 0)
    assert all(0.3 <= closure < 1 for closure in person.lid_closure.values())
    again = make_track(config, studio.library, person, 0, 0)
    assert np.allclose(again.camera.position, neutral_camera(person).position)
    np.testing.assert_array_equal(again.truth.theta, clip.truth.theta)
