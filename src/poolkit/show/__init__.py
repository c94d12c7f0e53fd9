"""Look at pooling: load a sound, an image or an array, pool it by any method, and compare what is left."""

from poolkit.show.field import Axis, Field, Subject
from poolkit.show.loading import Selection, load
from poolkit.show.picture import draw, save
from poolkit.show.pooling import WindowArguments, pool
from poolkit.show.table import table

__all__ = [
    "Axis",
    "Field",
    "Selection",
    "Subject",
    "WindowArguments",
    "draw",
    "load",
    "pool",
    "save",
    "table",
]
