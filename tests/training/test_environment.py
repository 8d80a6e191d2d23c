"""What a process that trains sets up before and around its imports."""

import gc

import pytest

from fvsearch.training.environment import lasting_imports


def test_imports_are_never_looked_through_again_and_collection_goes_on() -> None:
    gc.unfreeze()
    with lasting_imports():
        assert not gc.isenabled()
        module = [[] for _ in range(10)]
    try:
        assert gc.isenabled()
        assert gc.get_freeze_count() > 0
        assert not any(thing is module for thing in gc.get_objects())
    finally:
        gc.unfreeze()


def test_an_import_that_fails_leaves_collection_as_it_was() -> None:
    gc.disable()
    try:
        with pytest.raises(ImportError), lasting_imports():
            raise ImportError
        assert not gc.isenabled()
    finally:
        gc.enable()
        gc.unfreeze()
