"""The mini head, and one person performing one motion, shared by the tests of the rendered heads."""

import os
from pathlib import Path

import pytest
from mini_head import write_mini_head

from megaportraits.errors import UserError
from megaportraits.synth.assets import AssetLibrary
from megaportraits.synth.settings import SynthConfig


@pytest.fixture(scope="session")
def mini_folder(tmp_path_factory) -> Path:
    return write_mini_head(tmp_path_factory.mktemp("mini_head"))


@pytest.fixture(scope="session")
def mini_library(mini_folder) -> AssetLibrary:
    return AssetLibrary(mini_folder)


@pytest.fixture
def mini_config(mini_folder, tmp_path) -> SynthConfig:
    return SynthConfig(assets=mini_folder, out=tmp_path / "clips", clips=2, frames=3, size=64, skin=64)


@pytest.fixture(scope="session")
def egl():
    from megaportraits.synth.renderer import open_context

    try:
        open_context().release()
    except UserError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def real_library() -> AssetLibrary:
    folder = Path(os.environ.get("MEGAPORTRAITS_ASSETS", ""))
    if not (folder / "3dobjs").is_dir():
        pytest.skip("no MakeHuman assets: set MEGAPORTRAITS_ASSETS to a data folder")
    return AssetLibrary(folder)
