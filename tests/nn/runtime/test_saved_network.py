import json

import pytest

from backend.errors import VersionError
from backend.nn.runtime.saved_network import network_type_of


def type_of(folder):
    return network_type_of(
        folder, ("seer", "seer2"), purpose="can see here", hub_id_example="somebody/seer-small"
    )


def folder_with(folder, config, *files):
    (folder / "config.json").write_text(json.dumps(config))
    for name in files:
        (folder / name).write_bytes(b"")
    return folder


def test_a_known_type_with_safetensors_is_named(tmp_path):
    assert type_of(folder_with(tmp_path, {"model_type": "seer2"}, "model.safetensors")) == "seer2"


@pytest.mark.parametrize("kind", ["other", None, ["seer"], {"seer": 1}, 3])
def test_any_other_type_is_refused_with_those_that_can(tmp_path, kind):
    folder_with(tmp_path, {"model_type": kind}, "model.safetensors")
    with pytest.raises(VersionError) as refused:
        type_of(tmp_path)
    assert f"of the type {kind!r}, and only the types seer, seer2 can see here" in str(refused.value)


def test_pickled_weights_alone_are_refused_with_the_next_move(tmp_path):
    folder_with(tmp_path, {"model_type": "seer"}, "pytorch_model.bin")
    with pytest.raises(VersionError, match=r"no model\.safetensors.*convert them with save_pretrained"):
        type_of(tmp_path)


def test_a_folder_without_a_description_is_refused_with_a_hub_id_to_try(tmp_path):
    with pytest.raises(VersionError, match="a hub id such as somebody/seer-small"):
        type_of(tmp_path)
