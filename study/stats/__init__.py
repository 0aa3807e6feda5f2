"""Pure functions of arrays: metrics, resampling, intervals."""
