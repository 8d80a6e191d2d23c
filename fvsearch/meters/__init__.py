"""What a device does with a compiled model's step: its bytes, and samples of its time. With training the only place that imports a backend.

`measured` loads no keras when imported: the coordinator pickles its records.
"""
