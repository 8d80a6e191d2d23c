"""NVIDIA's management library of a machine with GPUs that there are not."""

import pynvml


class FakeNvml:
    """So many GPUs.

    Attributes:
        millijoules: That each has taken; none is one that does not tell.
    """

    def __init__(self, count, names=None):
        self.names = names or ("NVIDIA H200",) * count
        self.millijoules = [1_000_000] * count

    def install(self, monkeypatch):
        """Put it in the library's place."""
        monkeypatch.setattr(pynvml, "nvmlInit", lambda: None)
        monkeypatch.setattr(pynvml, "nvmlDeviceGetCount", lambda: len(self.names))
        monkeypatch.setattr(pynvml, "nvmlDeviceGetHandleByIndex", "handle {}".format)
        monkeypatch.setattr(pynvml, "nvmlDeviceGetHandleByUUID", self._by_id)
        monkeypatch.setattr(pynvml, "nvmlDeviceGetName", lambda handle: self.names[self._index(handle)])
        monkeypatch.setattr(pynvml, "nvmlDeviceGetTotalEnergyConsumption", self._energy)
        return self

    def _by_id(self, uuid):
        index = uuid.removeprefix("GPU-")
        if not index.isdecimal():
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_FOUND)
        return f"handle {index}"

    def _energy(self, handle):
        taken = self.millijoules[self._index(handle)]
        if taken is None:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)
        return taken

    def _index(self, handle):
        return int(handle.removeprefix("handle "))
