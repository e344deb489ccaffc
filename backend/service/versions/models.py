"""The versions of all projects: as they are stored, and as they serve in this process."""

from __future__ import annotations

from dataclasses import dataclass

from backend.service.engine.loaded_versions import LoadedVersions
from backend.service.engine.zero_shot import ZeroShot
from backend.service.ports import VersionStore


@dataclass(frozen=True)
class Models:
    """store: every published version, for all processes. loaded: what this process serves.

    zero_shot: what predicts where no version serves.
    """

    store: VersionStore
    loaded: LoadedVersions
    zero_shot: ZeroShot
