"""study: many cells, one comparison."""

import mmbc  # noqa: F401 (before torch, which many modules of study load before anything of mmbc)
