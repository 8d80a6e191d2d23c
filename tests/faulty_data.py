"""Data sets of one's own that bring trouble along; the worker that reads them has it from then on."""

import resource
from pathlib import Path

from examples.user_data import stripes


def limited(num_images: int, megabytes: int):
    """Stripes; from now on the process may take no more than so much memory beyond what it has."""
    taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (taken + megabytes * 2**20, resource.RLIM_INFINITY))
    return stripes(num_images=num_images)
