from __future__ import annotations

from types import SimpleNamespace

import huggingface_hub
import pytest
from huggingface_hub import errors

from backend.errors import VersionError
from backend.infra.network.model_hub import NO_LICENCE, download_network, stated_licence

# As much of an answer as the library's errors read.
RESPONSE = SimpleNamespace(headers={}, request=None)


@pytest.mark.parametrize(
    ("card", "licence"),
    [
        ("---\nlicense: apache-2.0\ntags:\n- x\n---\n# SAM\n", "apache-2.0"),
        ("---\nlicense: other\nlicense_name: sam-licence\n---\n", "sam-licence"),
        ("---\nlicense: other\n---\n", "other"),
        ("---\nlicense:\n- mit\n- apache-2.0\n---\n", "mit, apache-2.0"),
        ("---\ntags:\n- x\n---\n", NO_LICENCE),
        ("# no metadata\n", NO_LICENCE),
        ("---\nlicense: [\n---\n", NO_LICENCE),
        ("---\n- a list\n---\n", NO_LICENCE),
        (None, NO_LICENCE),
    ],
)
def test_the_licence_is_what_the_model_card_states(tmp_path, card, licence):
    if card is not None:
        (tmp_path / "README.md").write_text(card)
    assert stated_licence(tmp_path) == licence


class _Hub:
    """The library's download: what is kept first, then an answer of the hub."""

    def __init__(self, kept, answer) -> None:
        self.kept, self.answer = kept, answer
        self.asked: list[dict] = []

    def __call__(self, hub_id, **options):
        self.asked.append(options)
        if options.get("local_files_only"):
            if self.kept is None:
                raise errors.LocalEntryNotFoundError("not here")
            return str(self.kept)
        if isinstance(self.answer, Exception):
            raise self.answer
        return str(self.answer)


def test_what_is_on_this_machine_is_not_asked_for_again(tmp_path, monkeypatch):
    for name in ("config.json", "model.safetensors"):
        (tmp_path / name).touch()
    hub = _Hub(tmp_path, OSError("asked"))
    monkeypatch.setattr(huggingface_hub, "snapshot_download", hub)
    assert download_network("a/b") == tmp_path
    assert len(hub.asked) == 1


def test_half_a_download_is_gone_on_with_and_neither_pickles_nor_code_are_asked_for(tmp_path, monkeypatch):
    (tmp_path / "config.json").touch()
    hub = _Hub(tmp_path, tmp_path / "whole")
    monkeypatch.setattr(huggingface_hub, "snapshot_download", hub)
    assert download_network("a/b") == tmp_path / "whole"
    assert set(hub.asked[-1]["allow_patterns"]) == {"config.json", "model.safetensors", "README.md"}


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (errors.RepositoryNotFoundError("404", response=RESPONSE), "hub has no a/b"),
        (errors.GatedRepoError("403", response=RESPONSE), "accept them on its page"),
        (errors.LocalEntryNotFoundError("away"), "hub cannot be reached"),
        (OSError("No space left on device\nmore"), "OSError: No space left on device$"),
    ],
)
def test_what_cannot_be_had_is_said_with_the_next_move(monkeypatch, error, why):
    monkeypatch.setattr(huggingface_hub, "snapshot_download", _Hub(None, error))
    with pytest.raises(VersionError, match=why):
        download_network("a/b")
