"""Sample streams: forty minutes at Brightwick, a shop for lamps, written by this project and generated from a seed."""

from local.samples.generate import generate
from local.samples.sample import Sample

__all__ = ["Sample", "generate"]
