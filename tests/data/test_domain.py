"""Domain randomisation: each effect changes what it should and nothing else."""

from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from PIL import Image

from megaportraits import geometry
from megaportraits.config import DOMAIN_ON, AugmentConfig, DomainConfig, PoseTraining
from megaportraits.data import degrade, domain, glasses, keypoints, occluders
from megaportraits.data.clips import find_clips
from megaportraits.data.pairs import FrameStore, PairDataset, PoseDataset
from megaportraits.errors import UserError
from megaportraits.options import parse
from megaportraits.tensors import HeadPose
from megaportraits.training.pose import train_pose

CAMERA = ("blur", "motion_blur", "vignette", "noise", "jpeg", "h264")
STRENGTHS = ("white_balance", "exposure", "gamma")
COVERS = ("backdrop", "occluders")


@pytest.fixture(scope="module")
def store(drawn_clips) -> FrameStore:
    return FrameStore(find_clips([drawn_clips], "train"), 64, 1.0)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def pair(store: FrameStore, index: int = 2, **effects):
    return PairDataset(store, AugmentConfig(domain=DomainConfig(**effects)), 2, seed=4, length=50)[index]


def flat(bundle) -> torch.Tensor:
    if isinstance(bundle, torch.Tensor):
        return bundle.flatten().double()
    return torch.cat([flat(v) for v in vars(bundle).values()])


def texture(size: int = 64) -> torch.Tensor:
    """A picture with smooth shades, an edge and fine detail."""
    grid = geometry.identity_grid((size, size))
    x, y = grid[..., 0], grid[..., 1]
    return torch.stack([0.5 + 0.3 * x, (x + 0.3 * y > 0).float() * 0.6 + 0.2, 0.5 + 0.3 * (40 * x).sin()])[None]


def detail(picture: torch.Tensor) -> float:
    return (picture[..., 1:] - picture[..., :-1]).abs().mean().item()


@pytest.mark.parametrize("effect", [*CAMERA, "rescale"])
def test_camera_effects_change_only_what_the_expression_net_sees(store, effect):
    plain = pair(store)
    strong = pair(store, **{"blur_sigma": 4.0, "rescale_least": 0.3, "source": 0.0, effect: 1.0})
    changes = []
    for before, after in ((plain.source, strong.source), (plain.driver, strong.driver)):
        for name in ("rgb", "matte", "keypoints"):
            assert torch.equal(getattr(before, name), getattr(after, name)), name
        assert torch.equal(flat(before.pose), flat(after.pose))
        changes += ((before.motion_input - after.motion_input).abs().amax((1, 2, 3)) > 0.004).tolist()
        assert after.motion_input.min() >= 0
        assert after.motion_input.max() <= 1
    assert sum(changes) >= 2, "a weak draw may do next to nothing, once"


@pytest.mark.parametrize("effect", COVERS)
def test_covers_never_reach_source_or_target(store, effect):
    plain, covered = pair(store), pair(store, **{effect: 1.0})
    for before, after in ((plain.source, covered.source), (plain.driver, covered.driver)):
        assert torch.equal(before.rgb, after.rgb)
        assert torch.equal(before.matte, after.matte)
        assert ((before.motion_input - after.motion_input).abs().amax((1, 2, 3)) > 0.05).all()


@pytest.mark.parametrize("effect", STRENGTHS)
def test_a_part_of_the_cast_is_shared_by_source_and_target(store, effect):
    """The source's colours tell the target's: undoing one cast undoes the other."""
    quiet = AugmentConfig(mild_jitter=0.0)
    index = 2
    plain = PairDataset(store, quiet, 1, 4, 9)[index]
    own = PairDataset(store, replace(quiet, domain=DomainConfig(**{effect: 0.5}, shared=0.0)), 1, 4, 9)[index]
    assert torch.equal(plain.driver.rgb, own.driver.rgb)
    assert not torch.allclose(plain.driver.motion_input, own.driver.motion_input, atol=1e-3)
    settings = DomainConfig(**{effect: 0.5}, shared=1.0)
    both = PairDataset(store, replace(quiet, domain=settings), 1, 4, 9)[index]
    look = domain.Domain(settings).look(domain.stream(4, index)).cast
    assert look != degrade.Cast()
    for before, after in ((plain.source, both.source), (plain.driver, both.driver)):
        torch.testing.assert_close(after.rgb, degrade.cast(before.rgb, look))


def test_the_source_is_degraded_less_often_and_the_target_never(store):
    effects = {"noise": 1.0, "source": 0.4}
    changed = []
    for index in range(40):
        plain, noisy = pair(store, index), pair(store, index, **effects)
        assert torch.equal(plain.driver.rgb, noisy.driver.rgb)
        changed.append(not torch.equal(plain.source.rgb, noisy.source.rgb))
    assert 6 <= sum(changed) <= 26


def test_glasses_are_the_persons_in_source_target_and_input(store):
    plain, worn = pair(store), pair(store, glasses=1.0)
    eyes = plain.source.keypoints[0, keypoints.positions(keypoints.LEFT_EYE)].mean(0)
    assert eyes.abs().max() < 1
    for before, after in ((plain.source, worn.source), (plain.driver, worn.driver)):
        for name in ("rgb", "motion_input"):
            changed = (getattr(before, name) - getattr(after, name)).abs().amax(1) > 0.02
            assert changed.flatten(1).any(1).all()
            assert changed.float().mean() < 0.3
        assert (after.matte >= before.matte).all()
        assert torch.equal(flat(before.pose), flat(after.pose))
    unknown = torch.full_like(plain.source.keypoints, torch.nan)
    view, style = plain.source, glasses.draw_glasses(seeded())
    rgb, matte = glasses.wear(view.rgb, view.matte, view.pose, unknown, style)
    assert torch.equal(rgb, view.rgb)
    assert torch.equal(matte, view.matte)


def test_rims_surround_the_eyes_and_turn_with_the_head():
    grey, style = torch.full((1, 3, 128, 128), 0.5), replace(glasses.draw_glasses(seeded()), opacity=1.0, glare=0.0)
    widths = []
    for yaw in (0.0, 40.0):
        angles = (torch.tensor([a]) for a in (yaw, 0.0, 0.0))
        pose = HeadPose(geometry.rotation_from_angles(*angles), torch.ones(1), torch.zeros(1, 3))
        head = torch.from_numpy(geometry.mean_head()[list(keypoints.KEYPOINTS)])[None]
        points = geometry.apply_matrix(geometry.pose_matrix(pose), head)[..., :2]
        _, matte = glasses.wear(grey, torch.zeros(1, 1, 128, 128), pose, points, style)
        for ids in (keypoints.LEFT_EYE, keypoints.RIGHT_EYE):
            at = ((points[0, keypoints.positions(ids)] + 1) * 64).long()
            assert (matte[0, 0, at[:, 1], at[:, 0]] == 1).float().mean() > 0.75
        columns = (matte[0, 0, 58:74] == 1).any(0).nonzero()
        widths.append((columns.max() - columns.min()).item())
    assert widths[1] < 0.95 * widths[0]


def test_occluders_lie_on_the_face_and_differ(poses):
    picture = torch.full((1, 3, 64, 64), 0.5)
    pose = HeadPose(poses.rotation[:1], poses.scale[:1], poses.translation[:1])
    things = [occluders.occlude(picture, pose, seeded(seed)) for seed in range(12)]
    shares = [((thing - picture).abs().amax(1) > 0.02).float().mean().item() for thing in things]
    assert all(0.002 < share < 0.5 for share in shares)
    assert len({round(share, 3) for share in shares}) > 8
    assert all(thing.min() >= 0 and thing.max() <= 1 for thing in things)


def test_blurs_and_low_resolution_remove_detail_and_noise_adds_it():
    picture, settings = texture(128), DOMAIN_ON
    for effect in (degrade.blur, degrade.motion_blur):
        left = np.mean([detail(effect(picture, seeded(seed), settings)) for seed in range(6)])
        assert left < 0.9 * detail(picture)
    low = DomainConfig(rescale=1.0, rescale_least=0.3)
    small = [degrade.degrade(picture, seeded(seed), low) for seed in range(6)]
    assert all(p.shape == picture.shape for p in small)
    assert np.mean([detail(p) for p in small]) < 0.93 * detail(picture)
    assert detail(degrade.noise(picture, seeded(3), settings)) > detail(picture)
    flat_grey = torch.full((1, 3, 32, 32), 0.5)
    for effect in (degrade.blur, degrade.motion_blur):
        torch.testing.assert_close(effect(flat_grey, seeded(), settings), flat_grey)


@pytest.mark.parametrize(
    ("effect", "mild", "severe"),
    [
        (degrade.jpeg, DomainConfig(jpeg_quality=(95, 95)), DomainConfig(jpeg_quality=(5, 5))),
        (degrade.h264, DomainConfig(h264_crf=(4, 4)), DomainConfig(h264_crf=(48, 48))),
    ],
)
def test_compression_is_faithful_at_high_and_coarse_at_low_quality(effect, mild, severe):
    picture = texture()
    picture[:, 2] = 0.5
    errors = [(effect(picture, seeded(), settings) - picture).abs().mean().item() for settings in (mild, severe)]
    assert errors[0] < 0.02
    assert errors[1] > 2 * errors[0]


def test_casts_known_values():
    grey = torch.full((1, 3, 2, 2), 0.25)
    assert degrade.cast(grey, degrade.Cast()) is grey
    warm = degrade.cast(grey, degrade.Cast(warmth=0.2))[0, :, 0, 0]
    assert warm[0] > warm[1] == 0.25 > warm[2]
    assert degrade.cast(grey, degrade.Cast(stops=2.2))[0, 0, 0, 0] == 0.5
    assert degrade.cast(grey, degrade.Cast(gamma=0.5))[0, 0, 0, 0] == 0.5


def test_vignette_darkens_the_corners_only():
    white = torch.ones(1, 3, 64, 64)
    dark = degrade.vignette(white, seeded(), DOMAIN_ON)
    assert dark[..., 0, 0].max() < 0.95
    assert dark[..., 32, 32].min() > 0.99


def test_one_effect_off_leaves_the_draws_of_the_others(store):
    """With everything on, switching blur off changes the samples that were blurred, and no others."""
    on = {f.name: getattr(DOMAIN_ON, f.name) for f in fields(DOMAIN_ON)}
    same = [
        torch.equal(pair(store, i, **on).driver.motion_input, pair(store, i, **on | {"blur": 0.0}).driver.motion_input)
        for i in range(12)
    ]
    assert 1 <= sum(same) <= 11


def test_samples_are_a_function_of_seed_and_index(store):
    on = AugmentConfig(domain=DOMAIN_ON)
    first, again = (PairDataset(store, on, 2, 5, 20) for _ in range(2))
    samples = {i: flat(first[i]) for i in (0, 7, 3)}
    for i in (7, 3, 0):
        assert torch.equal(samples[i], flat(again[i]))
    frames = PoseDataset(store, PoseTraining("", augment=on), 20)
    assert torch.equal(frames[3][0], PoseDataset(store, PoseTraining("", augment=on), 20)[3][0])


def test_pose_frames_get_every_effect_and_keep_their_pose(store):
    for effect, value in [(name, 1.0) for name in (*CAMERA, *COVERS, "glasses")] + [(name, 0.5) for name in STRENGTHS]:
        settings = DomainConfig(**{effect: value})
        plain, changed = (
            PoseDataset(store, PoseTraining("", augment=AugmentConfig(domain=d)), 9) for d in (DomainConfig(), settings)
        )
        differs = []
        for i in range(4):
            (before, pose, _), (after, same, _) = plain[i], changed[i]
            assert torch.equal(flat(pose), flat(same))
            differs.append((before - after).abs().max().item() > 0.003)
        assert any(differs), effect


def test_backgrounds_come_from_the_users_photos(tmp_path):
    (tmp_path / "rooms").mkdir()
    Image.fromarray(np.full((500, 700, 3), (200, 30, 60), np.uint8)).save(tmp_path / "rooms" / "a.png")
    settings = DomainConfig(backdrop=1.0, backgrounds=str(tmp_path))
    rooms = domain.Domain(settings)
    behind = rooms.backdrop(32, seeded())
    wanted = torch.tensor([200, 30, 60]).view(1, 3, 1, 1) / 255
    torch.testing.assert_close(behind, wanted.expand(1, 3, 32, 32))
    matte = torch.zeros(1, 1, 32, 32)
    matte[..., :16] = 1
    pose = HeadPose(torch.eye(3)[None], torch.ones(1), torch.zeros(1, 3))
    covered = rooms.cover(torch.full((1, 3, 32, 32), 0.5), matte, pose, seeded())
    assert (covered[..., :16] == 0.5).all()
    torch.testing.assert_close(covered[..., 16:], wanted.expand(1, 3, 32, 16))
    with pytest.raises(UserError, match="give a folder of background photos"):
        domain.Domain(replace(settings, backgrounds=str(tmp_path / "none")))


def test_settings_are_checked_and_reach_the_command_line():
    words = ["--output", "x", "--augment.domain.blur", "0.3", "--augment.domain.jpeg_quality", "[20, 30]"]
    given = parse(train_pose, "x", words)["config"].augment.domain
    assert given == DomainConfig(blur=0.3, jpeg_quality=(20, 30))
    for wrong, message in (
        ({"blur": 1.5}, "from 0 to 1"),
        ({"jpeg_quality": (60, 20)}, "two rising numbers"),
        ({"rescale_least": 0.0}, "from 0.1 to 1"),
        ({"noise_level": -1.0}, "at least 0"),
    ):
        with pytest.raises(UserError, match=message):
            DomainConfig(**wrong)
