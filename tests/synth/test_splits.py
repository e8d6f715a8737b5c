"""Held-out assets never train."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from megaportraits.errors import UserError
from megaportraits.synth.assets import AssetLibrary
from megaportraits.synth.identity import IdentitySpec, sample_identity, with_wide_colors
from megaportraits.synth.settings import SynthConfig
from megaportraits.synth.splits import held_out_assets


def worn(spec: IdentitySpec) -> dict[str, set[str | None]]:
    return {
        "hair": {spec.hair} - {None},
        "skins": {spec.skin.color, spec.skin.detail},
        "clothes": {spec.clothes} - {None},
        "eyebrows": {spec.eyebrows} - {None},
    }


def check_split(library: AssetLibrary, count: int):
    for number in range(count):
        train = worn(sample_identity(library, np.random.default_rng(number), "train"))
        held_out = worn(sample_identity(library, np.random.default_rng(number), "held_out"))
        for kind, reserved in held_out_assets().items():
            assert not train[kind] & reserved
            assert held_out[kind] <= reserved


def test_splits_share_no_asset(mini_library):
    check_split(mini_library, 20)


def test_splits_share_no_asset_of_the_real_library(real_library):
    for kind, names in held_out_assets().items():
        assert names <= set(real_library.skins if kind == "skins" else real_library.proxies[kind])
    check_split(real_library, 60)


def test_a_motion_that_is_named_twice_is_performed_once():
    assert SynthConfig(Path("heads"), Path("clips"), motion_of="3, 0,3").motions == (3, 0)


@pytest.mark.parametrize("wrong", [{"clips": 0}, {"size": 33}, {"seed": -1}, {"motion_of": "1;2"}])
def test_a_wrong_number_is_refused(tmp_path, wrong):
    with pytest.raises(UserError, match="give"):
        SynthConfig(assets=tmp_path, out=tmp_path, **wrong)


def test_wide_colors_change_nothing_else(mini_library):
    people = [sample_identity(mini_library, np.random.default_rng(number)) for number in range(60)]
    wide = [with_wide_colors(person, np.random.default_rng(number)) for number, person in enumerate(people)]
    for before, after in zip(people, wide, strict=True):
        assert after.hair_color != before.hair_color
        assert after.skin.gain != before.skin.gain
        skin = replace(after.skin, gain=before.skin.gain, saturation=before.skin.saturation)
        assert replace(after, hair_color=before.hair_color, skin=skin) == before
    light = [[np.log(np.mean(person.skin.gain)) for person in group] for group in (people, wide)]
    assert np.std(light[1]) > 1.3 * np.std(light[0])
    hue = [[np.ptp(person.hair_color) / max(person.hair_color) for person in group] for group in (people, wide)]
    assert np.std(hue[1]) > np.std(hue[0])
