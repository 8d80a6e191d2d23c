"""What a device does: bytes and images/s of the very step that training runs. With training the only place that imports a backend.

`measured` and `throughput` load no keras when imported: the coordinator pickles their records and functions.
"""
