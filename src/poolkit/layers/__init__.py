"""The layers: what takes more than the cells of its windows, one file a family.

They are built on the functions of :mod:`poolkit.functional`, which offers theirs in turn; :mod:`poolkit.nn` offers the
modules. Their rows are in :mod:`poolkit.methods`.
"""

import poolkit.functional  # noqa: F401  # first: the layers need its functions, whichever module is imported first
