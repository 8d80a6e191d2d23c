"""Sources of images: what a Data record names becomes arrays or images to read, checked and split.

A source is "digits", "shapes" (synthetic), a user's own "package.module:function", or images on the disk that are read when a batch
wants them: "folder:PATH", "tfds:NAME", "tfrecord:PATH". The search reads `load_search_splits` alone, which
never hands out test images; `load_test` is for the end of a training. Nothing here imports keras, and importing this imports nothing
heavy.
"""

from fvsearch.data.arrays import ArrayPair, SearchSplits, Splits
from fvsearch.data.images import Images
from fvsearch.data.problems import problem_notes
from fvsearch.data.sources import (
    check_source,
    class_names,
    describe_source,
    load,
    load_search_splits,
    load_test,
    obstacle,
    prepare_source,
)

__all__ = [
    "ArrayPair",
    "Images",
    "SearchSplits",
    "Splits",
    "check_source",
    "class_names",
    "describe_source",
    "load",
    "load_search_splits",
    "load_test",
    "obstacle",
    "prepare_source",
    "problem_notes",
]
