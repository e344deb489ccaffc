"""A Label Studio ML backend that learns detection and segmentation from a team's own labels."""

__version__ = "0.1.0"
