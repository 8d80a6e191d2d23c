"""Keras layers, and the model of an Arch. Importing this registers the layers, so that `keras.saving.load_model` finds them."""

from fvsearch.models.drops import Drop
from fvsearch.models.funnel_vit import build_model
from fvsearch.models.layers import AttentionBlock, ClassState, ClassToken, LayerNorm, MLPBlock, PositionEmbedding
from fvsearch.models.pooling import POOLINGS, TokenPooling

__all__ = [
    "POOLINGS",
    "AttentionBlock",
    "ClassState",
    "ClassToken",
    "Drop",
    "LayerNorm",
    "MLPBlock",
    "PositionEmbedding",
    "TokenPooling",
    "build_model",
]
