"""Sources of images: what a Data record names becomes arrays, checked and split.

A source is "digits", "shapes" (synthetic), or a user's own "package.module:function". The search reads `load_search_splits` alone, which
never hands out test images; `load_test` is for the end of a training. Nothing here imports keras, and importing this imports nothing
heavy.
"""

from fvsearch.data.arrays import ArrayPair, SearchSplits, Splits
from fvsearch.data.sources import check_source, describe_source, load, load_search_splits, load_test

__all__ = ["ArrayPair", "SearchSplits", "Splits", "check_source", "describe_source", "load", "load_search_splits", "load_test"]
