"""What gunicorn serves: `gunicorn _wsgi:app` (or, with everything around it, `labelstudio-backend serve`)."""

from __future__ import annotations

import os

from backend.bootstrap.backend import build_backend
from backend.bootstrap.web import build_housekeeping, build_panel
from backend.logs import configure_logging
from backend.settings import Settings
from backend.web.app import create_app
from backend.web.labelstudio.model_class import ModelClass


def load_model_class() -> ModelClass:
    """Import the label-studio-ml class and what it predicts with; takes seconds."""
    import backend.nn.detector.predictor  # noqa: F401
    from model import LearningBackend

    return LearningBackend


settings = Settings.from_env(os.environ)
configure_logging(settings.log_level, settings.log_format)
backend = build_backend(settings)
app = create_app(backend, build_panel(backend), build_housekeeping(backend), load_model_class)
