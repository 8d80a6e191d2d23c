"""Keras layers, and the model of an Arch. Importing this registers the layers, so that `keras.saving.load_model` finds them."""

from fvsearch.models.funnel_vit import build_model
from fvsearch.models.layers import AttentionBlock, ClassState, ClassToken, MLPBlock, PositionEmbedding
from fvsearch.models.pooling import POOLINGS, TokenPooling

__all__ = ["POOLINGS", "AttentionBlock", "ClassState", "ClassToken", "MLPBlock", "PositionEmbedding", "TokenPooling", "build_model"]
