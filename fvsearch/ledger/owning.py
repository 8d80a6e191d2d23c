"""Who may work in a study's folder: one coordinator, or several where they share the ledger."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from fvsearch.files import PATIENCE, locked_folder
from fvsearch.ledger import Ledger
from fvsearch.ledger.address import Address, read_kept
from fvsearch.study import Study


@contextlib.contextmanager
def opened(study: Study, folder: Path, address: Address | None) -> Iterator[Ledger]:
    """The ledger of a study, new or as it stands, for whoever searches in the block.

    The folder is the block's own, unless the ledger is shared: then others may work in it too, once they have found it to be the study's.

    Args:
        study: Its definition.
        folder: Of the study; made if need be.
        address: Of the database that it is shared in; what the folder says, else the folder itself.

    Raises:
        ConfigError: As Ledger.create.
        LockedError: Another process works on the folder.
    """
    shared = address is not None or read_kept(folder) is not None
    with locked_folder(folder, patience=PATIENCE if shared else 0.0):
        ledger = Ledger.create(folder, study, address)
        if not ledger.shared:
            yield ledger
            return
    yield ledger
