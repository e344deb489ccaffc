"""Networks of other makers: a folder with `config.json` and `model.safetensors`, as `transformers` saves."""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path

from backend.errors import VersionError


def network_type_of(folder: Path, known: Collection[str], *, purpose: str, hub_id_example: str) -> str:
    """Return the `model_type` of the network in a folder, which is one of `known` and has safetensors.

    purpose: what only those can do, as the end of a sentence. hub_id_example: of a network that can.
    Raises VersionError with what is missing or unknown, and the next move.
    """
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except OSError as exc:
        raise VersionError(
            f"no config.json can be read in {folder.name or folder}; give a folder with config.json and "
            f"model.safetensors, or a hub id such as {hub_id_example}"
        ) from exc
    except ValueError as exc:
        raise VersionError(f"its config.json is not JSON: {exc}") from exc
    kind = config.get("model_type") if isinstance(config, dict) else None
    if not isinstance(kind, str) or kind not in known:
        raise VersionError(
            f"its config.json describes a network of the type {kind!r}, and only the types "
            f"{', '.join(known)} {purpose}"
        )
    if not (folder / "model.safetensors").is_file():
        raise VersionError(
            "it has no model.safetensors, and pickled weights are not read; convert them with "
            "save_pretrained of the transformers library"
        )
    return kind
