"""Download and prepare a set of TensorFlow Datasets, in a process of its own: `python -m fvsearch.data.tfds_prepare NAME FOLDER MANUAL`.

TFDS prepares with TensorFlow, which in the process that searches or trains would stay, with the GPU's memory. What TFDS tells of how far it
is goes to the terminal.
"""

import os
import subprocess
import sys
from pathlib import Path

from fvsearch.errors import RunError


def prepare_apart(asked: str, folder: Path, manual: Path) -> None:
    """Prepare a set in another process, and wait for it; several that do so take turns, and the later find it done.

    Args:
        asked: NAME[/CONFIG][:VERSION].
        folder: Of prepared sets.
        manual: Folder of what was downloaded by hand.

    Raises:
        RunError: It cannot be downloaded or prepared.
    """
    command = [sys.executable, "-m", "fvsearch.data.tfds_prepare", asked, str(folder), str(manual)]
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "2"}
    ended = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True)
    if ended.returncode:
        reason = ended.stdout.strip().splitlines()[-1:] or [f"its process ended with code {ended.returncode}"]
        raise RunError(f"'tfds:{asked}' could not be downloaded and prepared in {folder}: {reason[0]}; the same command tries again")


def prepare(asked: str, folder: Path, manual: Path) -> None:
    """Prepare a set here, in this process; one that stands is left as it is."""
    import filelock
    import tensorflow_datasets as tfds

    folder.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(folder / f".{asked.replace('/', '-').replace(':', '-')}.lock"):
        config = tfds.download.DownloadConfig(manual_dir=manual if manual.is_dir() else None)
        tfds.builder(asked, data_dir=folder).download_and_prepare(download_config=config)


def main(arguments: list[str]) -> int:
    """Prepare what the command line names; on stdout, why it did not work."""
    asked, folder, manual = arguments
    try:
        prepare(asked, Path(folder), Path(manual))
    except Exception as error:  # whatever TFDS, a mirror or a disk has against it
        sys.stdout.write(f"{type(error).__name__}: {' '.join(str(error).split())}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
