"""A SAM network with random weights, small enough for a test."""

from __future__ import annotations

from pathlib import Path

import torch

from backend.nn.runtime.torchvision_ops import ensure_torchvision_ops

SIDE = 64
"""Of its input, in pixels; patches of 16, so its features are 4 x 4 and its masks 16 x 16."""


def save_tiny_sam(folder: Path) -> Path:
    """Write config.json and model.safetensors as the library does; return the folder."""
    ensure_torchvision_ops()
    from transformers import SamConfig, SamModel

    torch.manual_seed(0)
    config = SamConfig(
        vision_config={
            "hidden_size": 32,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "image_size": SIDE,
            "patch_size": 16,
            "output_channels": 32,
            "num_pos_feats": 16,
            "window_size": 2,
            "global_attn_indexes": [0],
            "mlp_dim": 32,
        },
        prompt_encoder_config={
            "hidden_size": 32,
            "image_size": SIDE,
            "patch_size": 16,
            "mask_input_channels": 4,
        },
        mask_decoder_config={
            "hidden_size": 32,
            "mlp_dim": 32,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "iou_head_hidden_dim": 16,
        },
    )
    SamModel(config).save_pretrained(folder)
    return folder
