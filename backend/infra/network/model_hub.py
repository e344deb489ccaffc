"""Networks by hub id: their files as safetensors from the Hugging Face hub, and the licence on their card.

The library keeps what it downloads in its own cache (`HF_HOME`), so each file is fetched once per machine.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from backend.errors import VersionError

logger = logging.getLogger(__name__)

NO_LICENCE = "licence not stated"
MODEL_CARD = "README.md"
# Neither pickled weights nor code: what is not asked for is not downloaded.
NETWORK_FILES = ("config.json", "model.safetensors")
TEXT_DETECTOR_FILES = (
    "preprocessor_config.json",
    "processor_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "vocab.txt",
    "merges.txt",
)
"""What prepares images and texts; a repository has some of them."""


def download_network(hub_id: str, further_files: Sequence[str] = ()) -> Path:
    """Return the folder of a network, `owner/name`, downloaded now unless this machine has it.

    further_files: what else to take, where the hub has it.
    A folder without safetensors is returned too: who loads it says what it lacks. Raises VersionError with
    the next move where nothing can be had.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (
        GatedRepoError,
        HFValidationError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
    )

    wanted = [*NETWORK_FILES, *further_files, MODEL_CARD]
    try:
        kept = Path(snapshot_download(hub_id, allow_patterns=wanted, local_files_only=True))
        if all((kept / name).is_file() for name in NETWORK_FILES):
            return kept
    except (LocalEntryNotFoundError, HFValidationError):
        pass  # the download that follows says why, if that fails as well
    logger.info("downloading %s", hub_id)
    try:
        return Path(snapshot_download(hub_id, allow_patterns=wanted))
    except GatedRepoError as exc:
        raise VersionError(
            f"the hub gives {hub_id} only to those who accepted its terms; accept them on its page there, "
            "and set HF_TOKEN"
        ) from exc
    except (RepositoryNotFoundError, HFValidationError) as exc:
        raise VersionError(
            f"the hub has no {hub_id}, or it is private; correct the name, or set HF_TOKEN"
        ) from exc
    except LocalEntryNotFoundError as exc:
        raise VersionError(
            f"{hub_id} is not on this machine and the hub cannot be reached; connect the machine, or give a "
            "folder with the files"
        ) from exc
    except Exception as exc:  # the library raises what its parts raise, of no common base
        raise VersionError(
            f"{hub_id} cannot be downloaded: {type(exc).__name__}: {_first_line(exc)}"
        ) from exc


def stated_licence(folder: Path) -> str:
    """Return the licence in the metadata of the folder's model card, `NO_LICENCE` where there is none."""
    from huggingface_hub import ModelCard

    try:
        stated = ModelCard.load(folder / MODEL_CARD).data.to_dict()
    except Exception as exc:  # a card is text by anybody: missing, no YAML, or of unknown fields
        logger.debug("no model card can be read in %s: %s", folder, exc)
        return NO_LICENCE
    # The hub's word for a licence that is not on its list is `other`, with the name beside it.
    name = stated.get("license_name") if stated.get("license") == "other" else None
    licence = name or stated.get("license")
    if isinstance(licence, list):
        return ", ".join(map(str, licence)) or NO_LICENCE
    return str(licence) if licence else NO_LICENCE


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), "")[:200]
