"""Training samples: a function of (seed, index), from one clip, within a memory budget."""

import shutil

import numpy as np
import pytest
import torch

from megaportraits.checkpoint import read_json, write_json
from megaportraits.config import AugmentConfig, PoseTraining
from megaportraits.data import keypoints
from megaportraits.data.clips import find_clips, read_info
from megaportraits.data.pairs import FrameStore, PairDataset, PoseDataset, collate_poses
from megaportraits.errors import UserError
from megaportraits.geometry import mean_head
from megaportraits.tensors import Pair, stack

PLAIN = AugmentConfig(flip=0.0, mild_jitter=0.0)


@pytest.fixture(scope="module")
def store(drawn_clips) -> FrameStore:
    return FrameStore(find_clips([drawn_clips], "train"), 32, 1.0)


def flat(bundle) -> torch.Tensor:
    """All numbers of a (nested) bundle."""
    if isinstance(bundle, torch.Tensor):
        return bundle.flatten().float()
    return torch.cat([flat(v) for v in vars(bundle).values()])


def index_of(store: FrameStore, clip: int, rgb: torch.Tensor) -> list[int]:
    """Which frames of a clip equal each picture."""
    frames = torch.cat([store.frame(clip, f).rgb for f in range(6)])
    distance = (rgb[:, None] - frames[None]).abs().amax((2, 3, 4))
    assert (distance.min(1).values < 1e-4).all(), "the picture is of another clip"
    return distance.argmin(1).tolist()


def test_pair_sample_is_a_function_of_seed_and_index(store, drawn_clips):
    first = PairDataset(store, AugmentConfig(), 2, seed=5, length=20)
    again = PairDataset(FrameStore(store.clips, 32, 1.0), AugmentConfig(), 2, seed=5, length=20)
    samples = {i: first[i] for i in (0, 7, 3)}
    for i in (3, 0, 7):  # another order, another store
        assert torch.equal(flat(samples[i]), flat(again[i]))
    assert not torch.equal(flat(samples[0].source), flat(samples[7].source))
    assert not torch.equal(flat(samples[0].source), flat(PairDataset(store, AugmentConfig(), 2, 6, 20)[0].source))


def test_source_and_drivers_are_distinct_frames_of_one_clip(store):
    dataset, clips = PairDataset(store, PLAIN, 3, seed=1, length=16), set()
    for i in range(16):
        pair = dataset[i]
        frames = index_of(store, int(pair.clip), torch.cat([pair.source.rgb, pair.driver.rgb]))
        assert len(set(frames)) == 4
        clips.add(int(pair.clip))
    assert clips == {0, 1, 2, 3}


def test_views_share_the_flip_and_the_mild_jitter_but_not_the_severe_one(store):
    for i in range(4):
        pair = PairDataset(store, AugmentConfig(flip=1.0, mild_jitter=0.0), 1, 3, 8)[i]
        index_of(store, int(pair.clip), torch.cat([pair.source.rgb, pair.driver.rgb]).flip(-1))
    still = AugmentConfig(flip=0.0, mild_jitter=0.2, shape_sigma=0.0, severe_jitter=0.4)
    pair = PairDataset(store, still, 1, 3, 8)[0]
    ratio = [(v.motion_input.mean((2, 3)) / v.rgb.mean((2, 3))) for v in (pair.source, pair.driver)]
    assert (ratio[0] - ratio[1]).abs().max() > 0.02
    untouched = AugmentConfig(flip=0.0, mild_jitter=0.2, shape_sigma=0.0, severe_jitter=0.0, grey=0.0)
    pair = PairDataset(store, untouched, 1, 3, 8)[0]
    gains = [
        torch.stack([v.rgb.mean() / store.frame(int(pair.clip), f).rgb.mean() for f in range(6)])
        for v in (pair.source, pair.driver)
    ]
    assert (gains[0][:, None] - gains[1][None]).abs().min() < 0.02
    assert (gains[0] - 1).abs().min() > 0.01


def test_collated_pairs_keep_sources_and_their_drivers_in_order(store):
    dataset = PairDataset(store, PLAIN, 2, seed=2, length=8)
    items = [dataset[i] for i in range(3)]
    pair = stack(items)
    assert isinstance(pair, Pair)
    assert pair.clip.tolist() == [int(item.clip) for item in items]
    assert pair.sample.tolist() == [0, 1, 2]
    assert pair.source.rgb.shape == (3, 3, 32, 32)
    assert pair.driver.rgb.shape == (6, 3, 32, 32)
    assert torch.equal(pair.driver.rgb[2:4], items[1].driver.rgb)
    assert torch.equal(flat(pair.source.pose), flat(stack([i.source.pose for i in items])))
    moved = pair.to("meta")
    assert moved.driver.pose.rotation.device.type == "meta"


def test_pose_samples_carry_the_pose_of_the_moved_picture(store):
    settings = PoseTraining(output="", shift=0.0, zoom=0.0, roll_deg=0.0, augment=AugmentConfig(flip=1.0))
    dataset = PoseDataset(store, settings, 8)
    first, again = dataset[4], PoseDataset(store, settings, 8)[4]
    assert torch.equal(first[0], again[0])
    assert torch.equal(flat(first[1]), flat(again[1]))
    true_yaws = torch.cat([store[c].pose.rotation[:, 2, 0] for c in range(4)])
    assert (true_yaws + first[1].rotation[0, 2, 0]).abs().min() < 1e-5  # mirrored: yaw of some frame, negated
    pictures, poses, points = collate_poses([dataset[i] for i in range(5)])
    assert points.shape == (5, len(keypoints.KEYPOINTS), 2)
    assert pictures.shape == (5, 3, 32, 32)
    assert poses.rotation.shape == (5, 3, 3)
    assert pictures.min() >= 0
    assert pictures.max() <= 1


def test_keypoints_of_a_pose_sample_lie_where_its_pose_puts_them(store):
    """Moved, zoomed and turned like the picture."""
    still = AugmentConfig(flip=0.0)
    _, pose, points = PoseDataset(store, PoseTraining("", shift=0.2, zoom=0.3, roll_deg=30.0, augment=still), 9)[5]
    flat_points = (points[0] - pose.translation[0, :2]) / pose.scale[0]
    candidates = []
    for clip in range(4):
        for number in range(len(store[clip].rgb)):
            frame = store.frame(clip, number)
            turn = (pose.rotation[0] @ frame.pose.rotation[0].T)[:2, :2]
            own = (frame.keypoints[0] - frame.pose.translation[0, :2]) / frame.pose.scale[0]
            candidates.append((own @ turn.T - flat_points).abs().max())
    assert min(candidates) < 1e-4


def test_store_keeps_the_most_recently_used_clips_within_its_budget(drawn_clips):
    one_clip = 6 * 32 * 32 * 4
    store = FrameStore(find_clips([drawn_clips], "train"), 32, 2.5 * one_clip / 2**30)
    decoded: list[str] = []
    decode = store._decode
    store._decode = lambda path: decoded.append(path.name) or decode(path)  # type: ignore[method-assign]
    for index in (0, 1, 0, 2, 0, 1):  # 2 pushes out 1, the least recently used
        store[index]
        assert store.used <= store.budget
        assert store.used == one_clip * len(store.cache)
    assert decoded == ["clip0", "clip1", "clip2", "clip1"]


def test_more_drivers_than_frames_are_refused(store):
    PairDataset(store, PLAIN, 5, seed=0, length=1)[0]
    with pytest.raises(UserError, match="has 6 frames, too few for a source and 6 drivers"):
        PairDataset(store, PLAIN, 6, seed=0, length=1)[0]


def test_find_clips_keeps_the_split_and_says_where_it_looked(drawn_clips, tmp_path):
    assert [c.name for c in find_clips([drawn_clips], "held_out")] == ["other"]
    assert len(find_clips([drawn_clips])) == 5
    with pytest.raises(UserError, match=str(tmp_path)):
        find_clips([tmp_path], "train")


def test_a_clip_description_with_other_fields_is_refused(drawn_clips, tmp_path):
    description = read_json(drawn_clips / "clip0" / "clip.json")
    for changed in (description | {"mood": "good"}, {k: v for k, v in description.items() if k != "fps"}):
        write_json(tmp_path / "clip.json", changed)
        with pytest.raises(UserError, match="lacks a field or has an unknown one"):
            read_info(tmp_path)


def test_the_expression_net_can_see_another_person_perform_the_drivers_frame(store):
    """True cross pairs: only drivers are acted by another, at the same frame; clips of other motions never are."""
    acted = AugmentConfig(0.0, 0.0, shape_sigma=0.0, severe_jitter=0.0, grey=0.0, acted_by_another=1.0)
    drivers = PairDataset(store, acted, 2, 1, 8)[0].driver
    assert torch.allclose(drivers.motion_input, drivers.rgb, atol=1e-2), "nobody else performs this motion"

    shared = FrameStore(store.clips, 32, 1.0)
    shared.performances = {"the same for all": list(range(len(shared)))}
    pair = PairDataset(shared, acted, 2, 1, 8)[0]
    source, drivers, clip = pair.source, pair.driver, int(pair.clip)
    assert torch.allclose(source.motion_input, source.rgb, atol=1e-2)
    frames = index_of(shared, clip, drivers.rgb)
    for frame, seen in zip(frames, drivers.motion_input, strict=True):
        others = torch.cat([shared.frame(other, frame).rgb for other in shared.others(clip)])
        assert (others - seen).abs().amax((1, 2, 3)).min() < 1e-2
        assert (drivers.rgb - seen).abs().amax((1, 2, 3)).min() > 0.05


def test_keypoints_follow_the_flip():
    """Mirrored, the mean head's left side is where its right side was, to the template's asymmetry."""
    head = torch.from_numpy(mean_head()[list(keypoints.KEYPOINTS), :2])[None]
    mirrored = keypoints.flip(head)
    assert (mirrored - head).abs().max() < 0.06
    assert torch.equal(keypoints.flip(mirrored), head)
    left, right = keypoints.positions(keypoints.LEFT_EYE), keypoints.positions(keypoints.RIGHT_EYE)
    assert torch.equal(mirrored[0, right], head[0, left] * torch.tensor([-1.0, 1.0]))


def test_unknown_keypoints_are_nan():
    landmarks = np.arange(4, dtype=np.float32).reshape(1, 2, 2)
    chosen = keypoints.select(landmarks, [13, 33])
    assert np.isnan(chosen).sum() == 2 * (len(keypoints.KEYPOINTS) - 2)
    assert chosen[0, keypoints.positions([13, 33])].tolist() == landmarks[0].tolist()


def test_others_perform_the_same_motion_frame_by_frame(drawn_clips, tmp_path):
    """An equal name is not enough: a motion of another length or step is another motion; recorded clips share none."""
    for name, change in (
        ("a", {}), ("b", {}), ("slower", {"frame_step_s": 0.08}), ("recorded", {"control_names": []}),
        ("also", {"control_names": []}),
    ):  # fmt: skip
        shutil.copytree(drawn_clips / "clip0", tmp_path / name)
        write_json(tmp_path / name / "clip.json", read_json(tmp_path / name / "clip.json") | change)
    store = FrameStore(find_clips([tmp_path], "train"), 32, 1.0)
    names = [clip.name for clip in store.clips]
    together = {name: {names[i] for i in store.others(names.index(name))} for name in names}
    assert together == {"a": {"b"}, "b": {"a"}, "slower": set(), "recorded": set(), "also": set()}
