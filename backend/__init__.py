"""A Label Studio ML backend that learns detection and segmentation from a team's own labels."""

__version__ = "0.1.0"

# Its newest release on PyPI pins packages of 2021, so it cannot stand among our dependencies.
INSTALL_LABEL_STUDIO_ML = (
    "label-studio-ml is not installed; install it without its old pins: "
    "pip install --no-deps -r requirements-label-studio-ml.txt"
)
