"""Networks of SAM and SAM 2 with random weights, small enough for a test."""

from __future__ import annotations

from pathlib import Path

import torch

from backend.nn.runtime.torchvision_ops import ensure_torchvision_ops

SIDE = 64
"""Of their input, in pixels; patches of 16, so SAM's features are 4 x 4 and both's masks 16 x 16."""
SAM_2_FEATURES = ((4, 16, 16), (8, 8, 8), (32, 4, 4))
"""Shapes of what SAM 2's image encoder makes."""


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


def save_tiny_sam_2(folder: Path, *, for_videos: bool = False) -> Path:
    """Write the files of SAM 2; for_videos: named as the published ones are, and with their memory."""
    ensure_torchvision_ops()
    import transformers

    torch.manual_seed(0)
    parts = {
        "vision_config": {
            "backbone_config": {
                "model_type": "sam2_hiera_det_model",
                "hidden_size": 8,
                "num_attention_heads": 1,
                "image_size": [SIDE, SIDE],
                "blocks_per_stage": [1, 1, 1, 1],
                "embed_dim_per_stage": [8, 16, 32, 64],
                "num_attention_heads_per_stage": [1, 1, 2, 2],
                "window_size_per_stage": [8, 4, 4, 4],
                "global_attention_blocks": [],
                "window_positional_embedding_background_size": [4, 4],
            },
            "backbone_channel_list": [64, 32, 16, 8],
            "backbone_feature_sizes": [[height, width] for _, height, width in SAM_2_FEATURES],
            "fpn_hidden_size": 32,
        },
        "prompt_encoder_config": {
            "hidden_size": 32,
            "image_size": SIDE,
            "patch_size": 16,
            "mask_input_channels": 4,
        },
        "mask_decoder_config": {
            "hidden_size": 32,
            "mlp_dim": 32,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "iou_head_hidden_dim": 16,
        },
    }
    if not for_videos:
        transformers.Sam2Model(transformers.Sam2Config(**parts)).save_pretrained(folder)
        return folder
    memory = {
        "image_size": SIDE,
        "memory_attention_hidden_size": 32,
        "memory_attention_num_layers": 1,
        "memory_attention_feed_forward_hidden_size": 32,
        "memory_attention_rope_feat_sizes": [4, 4],
        "memory_encoder_hidden_size": 32,
        "memory_encoder_output_channels": 8,
        "mask_downsampler_embed_dim": 32,
        "memory_fuser_num_layers": 1,
        "memory_fuser_embed_dim": 32,
        "memory_fuser_intermediate_dim": 32,
    }
    transformers.Sam2VideoModel(transformers.Sam2VideoConfig(**parts, **memory)).save_pretrained(folder)
    return folder
