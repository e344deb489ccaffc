"""What is stored of a project, as values; each reads documents of every release so far."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from backend.service.ports import Json


@dataclass(frozen=True)
class ImageCredentials:
    """What the host of a project's images may ask for; both None where nothing was given."""

    login: str | None = None
    password: str | None = field(default=None, repr=False)

    def __bool__(self) -> bool:
        """Tell whether anything was given."""
        return bool(self.login or self.password)


@dataclass(frozen=True)
class Connection:
    """What Label Studio told of a project: by `/setup`, and image_credentials by `/predict`.

    extra_params_problem: why the Extra params cannot be used, None where they can. last_seen: seconds since
    the epoch.
    """

    hostname: str | None = None
    access_token: str | None = field(default=None, repr=False)
    extra_params: Json = field(default_factory=dict)
    extra_params_problem: str | None = None
    label_config: str | None = None
    last_seen: float = 0.0
    image_credentials: ImageCredentials = field(default_factory=ImageCredentials)

    def as_document(self) -> Json:
        """Return the JSON document that `from_document` reads."""
        return {
            "hostname": self.hostname,
            "access_token": self.access_token,
            "extra_params": self.extra_params,
            "extra_params_problem": self.extra_params_problem,
            "label_config": self.label_config,
            "last_seen": self.last_seen,
            "image_login": self.image_credentials.login,
            "image_password": self.image_credentials.password,
        }

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Connection:
        """Read a stored document; what it lacks, as one of an earlier release does, has its default."""
        return cls(
            hostname=document.get("hostname"),
            access_token=document.get("access_token"),
            extra_params=dict(document.get("extra_params") or {}),
            extra_params_problem=document.get("extra_params_problem"),
            label_config=document.get("label_config"),
            last_seen=float(document.get("last_seen", 0.0)),
            image_credentials=ImageCredentials(document.get("image_login"), document.get("image_password")),
        )


@dataclass(frozen=True)
class AutoTrain:
    """Train after so many new or changed annotations, once nobody has drawn for so long."""

    annotations: int
    quiet_minutes: float


@dataclass(frozen=True)
class ProjectSettings:
    """What the panel saved for a project.

    params: only the parameters that were saved. activation: "better" (a worse version waits as a candidate)
    or "newest".
    """

    params: Json = field(default_factory=dict)
    predict_after_training: bool = False
    activation: str = "better"
    auto_train: AutoTrain | None = None

    def as_document(self) -> Json:
        """Return the JSON document that `from_document` reads, which is also how the API shows it."""
        auto = self.auto_train
        return {
            "params": self.params,
            "predict_after_training": self.predict_after_training,
            "activation": self.activation,
            "auto_train": None
            if auto is None
            else {"annotations": auto.annotations, "quiet_minutes": auto.quiet_minutes},
        }

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> ProjectSettings:
        """Read a saved document; what it lacks has its default."""
        auto = document.get("auto_train")
        return cls(
            params=dict(document.get("params") or {}),
            predict_after_training=bool(document.get("predict_after_training", False)),
            activation="newest" if document.get("activation") == "newest" else "better",
            auto_train=AutoTrain(int(auto["annotations"]), float(auto["quiet_minutes"])) if auto else None,
        )


@dataclass(frozen=True)
class Deletion:
    """A project that is gone. was_missing: nobody deleted it here, Label Studio no longer knew it."""

    deleted_at: float
    was_missing: bool = False

    def as_document(self) -> Json:
        """Return the JSON document that `from_document` reads."""
        return {"deleted_at": self.deleted_at, "was_missing": self.was_missing}

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Deletion:
        """Read a stored document."""
        return cls(float(document["deleted_at"]), bool(document.get("was_missing", False)))
