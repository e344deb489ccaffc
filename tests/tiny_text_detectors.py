"""Detectors by text with random weights, small enough for a test, saved as the library saves them."""

from __future__ import annotations

import json
from pathlib import Path

import torch

from backend.nn.runtime.torchvision_ops import ensure_torchvision_ops

WORDS = ("red", "white", "blood", "cell", "cat", "dog", "a", "platelet")
SIDE = 48


def save_tiny_grounding_dino(folder: Path) -> Path:
    """Write a Grounding DINO with a BERT of eight words; return the folder."""
    ensure_torchvision_ops()
    from transformers import (
        BertTokenizerFast,
        GroundingDinoConfig,
        GroundingDinoForObjectDetection,
        GroundingDinoImageProcessor,
        GroundingDinoProcessor,
        ResNetConfig,
    )

    torch.manual_seed(0)
    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ".", *WORDS]
    (folder / "vocab.txt").write_text("\n".join(vocabulary))
    tokenizer = BertTokenizerFast(vocab={word: number for number, word in enumerate(vocabulary)})
    config = GroundingDinoConfig(
        backbone_config=ResNetConfig(
            embedding_size=8,
            hidden_sizes=[8, 8, 8, 8],
            depths=[1, 1, 1, 1],
            layer_type="basic",
            out_features=["stage2", "stage3", "stage4"],
        ),
        text_config={
            "model_type": "bert",
            "vocab_size": len(vocabulary),
            "hidden_size": 16,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "intermediate_size": 16,
            "max_position_embeddings": 300,
        },
        use_timm_backbone=False,
        d_model=32,
        encoder_layers=1,
        encoder_ffn_dim=16,
        encoder_attention_heads=2,
        decoder_layers=2,
        decoder_ffn_dim=16,
        decoder_attention_heads=2,
        num_queries=20,
        num_feature_levels=3,
        encoder_n_points=2,
        decoder_n_points=2,
        positional_embedding_temperature=20,
    )
    GroundingDinoForObjectDetection(config).save_pretrained(folder)
    images = GroundingDinoImageProcessor(size={"shortest_edge": 64, "longest_edge": 128})
    GroundingDinoProcessor(images, tokenizer).save_pretrained(folder)
    return folder


def save_tiny_owl(folder: Path, kind: str = "owlv2") -> Path:
    """Write an OWLv2 or OWL-ViT with a CLIP that spells; return the folder."""
    ensure_torchvision_ops()
    import transformers

    torch.manual_seed(0)
    folder.mkdir(parents=True, exist_ok=True)
    prefix = {"owlv2": "Owlv2", "owlvit": "OwlViT"}[kind]
    letters = [chr(number) for number in range(ord("a"), ord("z") + 1)]
    pieces = [*letters, *(letter + "</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    vocabulary = {piece: number for number, piece in enumerate(pieces)}
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    tokenizer = transformers.CLIPTokenizerFast(vocab=vocabulary, merges=[], model_max_length=16)
    config = getattr(transformers, f"{prefix}Config")(
        text_config={
            "vocab_size": len(vocabulary),
            "hidden_size": 16,
            "intermediate_size": 16,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "max_position_embeddings": 16,
            "bos_token_id": vocabulary["<|startoftext|>"],
            "eos_token_id": vocabulary["<|endoftext|>"],
            "pad_token_id": 0,
        },
        vision_config={
            "hidden_size": 16,
            "intermediate_size": 16,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "image_size": SIDE,
            "patch_size": 8,
        },
        projection_dim=16,
    )
    getattr(transformers, f"{prefix}ForObjectDetection")(config).save_pretrained(folder)
    images = getattr(transformers, f"{prefix}ImageProcessor")(size={"height": SIDE, "width": SIDE})
    getattr(transformers, f"{prefix}Processor")(images, tokenizer).save_pretrained(folder)
    return folder
