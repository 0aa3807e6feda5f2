"""mmbc: one cohort of mammograms with clinical columns, one multi-modal model."""

__version__ = "0.1.0"
