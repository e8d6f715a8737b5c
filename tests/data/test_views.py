"""Samples of stage two: two views of one photo, and another person's."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from megaportraits import geometry
from megaportraits.config import EnhanceTraining, ViewConfig
from megaportraits.data.clips import read_info
from megaportraits.data.views import Crop, PhotoStore, ViewDataset, draw_crop, face_part, turn_hue
from megaportraits.errors import UserError

STILL = ViewConfig(rotation_deg=0.0, least_side=1.0, hue=0.0, flip=0.0)
"""Views that are the photo itself."""


@pytest.fixture
def config(drawn_clips: Path) -> EnhanceTraining:
    return EnhanceTraining("run", data=(str(drawn_clips),), cache_gb=0.1)


def dataset(config: EnhanceTraining, result_px: int = 64) -> ViewDataset:
    return ViewDataset(PhotoStore(config, result_px), config, result_px, 50)


def test_a_sample_is_a_function_of_its_number_and_has_the_results_size(config):
    views, again = dataset(config), dataset(config)
    sample = views[3]
    assert sample.source.shape == sample.driver.shape == (1, 3, 64, 64)
    assert sample.driver_matte.shape == (1, 1, 64, 64)
    assert sample.other.shape == (1, 3, 32, 32)
    for name, tensor in vars(sample).items():
        assert torch.equal(tensor, getattr(again[3], name))
        assert tensor.min() >= 0
        assert tensor.max() <= 1
    assert not torch.equal(sample.source, views[4].source)
    assert (sample.source - sample.driver).abs().mean() > 0.01


def test_views_show_one_frame_and_the_other_view_another_person(config):
    views = dataset(replace(config, views=STILL))
    store = views.store.frames
    frames = {
        (clip, number): store.frame(clip, number).rgb for clip in range(4) for number in range(len(store[clip].rgb))
    }

    def shown(picture: torch.Tensor, shrink: int = 1) -> tuple[int, int]:
        return min(frames, key=lambda key: float((F.avg_pool2d(frames[key], shrink) - picture).abs().mean()))

    seen = set()
    for index in range(8):
        sample = views[index]
        torch.testing.assert_close(sample.source, frames[shown(sample.source)], atol=1e-5, rtol=0)
        assert torch.equal(sample.source, sample.driver)
        torch.testing.assert_close(sample.other, F.avg_pool2d(frames[shown(sample.other, 2)], 2), atol=1e-5, rtol=0)
        assert shown(sample.source)[0] != shown(sample.other, 2)[0]
        seen.add(shown(sample.source))
    assert len(seen) > 3


def test_of_clips_two_frames_can_be_taken(config):
    sample = dataset(replace(config, views=STILL, two_frames=True))[0]
    assert (sample.source - sample.driver).abs().mean() > 0.01


def test_photos_are_drawn_as_often_as_asked(config, drawn_clips):
    both = replace(config, stills=(str(drawn_clips),), stills_share=0.25)
    store, generator = PhotoStore(both, 64), torch.Generator().manual_seed(0)
    drawn = [store.draw(generator) for _ in range(400)]
    assert set(drawn) == set(range(8))
    assert sum(number < 4 for number in drawn) / 400 == pytest.approx(0.25, abs=0.06)
    assert all(store.draw(generator) < 4 for store in [PhotoStore(replace(config, data=(), stills=config.data), 64)])
    assert all(store.people[store.draw_other(0, generator)] != store.people[0] for _ in range(20))


def test_a_crop_undoes_what_it_did_to_points():
    """A dot of the photo is in the view where `points` says."""
    photo = torch.zeros(1, 1, 64, 64)
    photo[..., 40, 20] = 1
    place = torch.tensor([[(2 * 20 + 1) / 64 - 1, (2 * 40 + 1) / 64 - 1]])
    crop = Crop(0.8, 15.0, (0.1, -0.15))
    view = crop.cut(photo)[0, 0]
    found = (geometry.identity_grid((64, 64)) * view[..., None]).sum((0, 1)) / view.sum()
    torch.testing.assert_close(found, crop.points(place)[0], atol=0.01, rtol=0)
    whole = Crop(1.0, 0.0, (0.0, 0.0))
    torch.testing.assert_close(whole.cut(photo), photo)


def test_face_part_is_the_shown_area_of_the_box():
    box = torch.tensor([[-0.5, -0.5], [0.5, 0.5], [torch.nan, 3.0]])
    assert face_part(box) == 1
    assert face_part(box + torch.tensor([1.0, 0.0])) == pytest.approx(0.5)
    assert face_part(box + torch.tensor([1.0, 1.0])) == pytest.approx(0.25)
    assert face_part(box + 5) == 0
    assert face_part(torch.full((2, 2), torch.nan)) == 1


def test_crops_keep_their_bounds_and_the_face(generator):
    settings = ViewConfig(least_side=0.5)
    face = torch.tensor([[-0.6, -0.6], [0.6, 0.6]])
    crops = [draw_crop(face, generator, settings) for _ in range(200)]
    assert max(abs(crop.angle_deg) for crop in crops) == pytest.approx(20, abs=1)
    assert all(face_part(crop.points(face)) >= 0.75 for crop in crops)
    assert min(crop.side for crop in crops) < 0.9
    for crop in crops:
        assert max(map(abs, crop.centre)) <= 1 - crop.side + 1e-6
    lost = draw_crop(face + 5, generator, settings)
    assert (lost.side, lost.centre) == (1.0, (0.0, 0.0))


def test_hue_turns_around_grey(generator):
    picture = torch.rand(1, 3, 4, 4, generator=generator) * 0.5 + 0.25
    torch.testing.assert_close(turn_hue(picture, 0.02).mean(1), picture.mean(1))
    torch.testing.assert_close(turn_hue(picture, 1 / 3)[:, 1], picture[:, 0])
    assert 0 < (turn_hue(picture, 0.02) - picture).abs().mean() < 0.05
    assert turn_hue(picture, 0.02).shape == picture.shape


def test_larger_photos_are_read_larger_and_reduced_after_the_cut(config):
    sample = dataset(replace(config, photo_px=64, views=STILL), 32)[0]
    plain = dataset(replace(config, views=replace(STILL)), 64)[0]
    torch.testing.assert_close(sample.source, F.avg_pool2d(plain.source, 2), atol=1e-5, rtol=0)
    with pytest.raises(UserError, match="photo_px is 96; give a multiple of the result's side, 64"):
        PhotoStore(replace(config, photo_px=96), 64)


def test_data_that_do_not_serve_are_refused(config, drawn_clips, tmp_path):
    with pytest.raises(UserError, match="give --stills"):
        PhotoStore(replace(config, data=()), 64)
    with pytest.raises(UserError, match=r"4 photos or clips, .*clip0 among them, are smaller than the result, 128 px"):
        PhotoStore(config, 128)
    (tmp_path / "clip0").symlink_to(drawn_clips / "clip0")
    alone = replace(config, data=(str(tmp_path),))
    assert read_info(tmp_path / "clip0").split == "train"
    with pytest.raises(UserError, match="all photos show one person"):
        PhotoStore(alone, 64)
    supervised = dataset(replace(alone, halves="supervised"))[0]
    assert torch.equal(supervised.other, F.avg_pool2d(supervised.driver, 2))
