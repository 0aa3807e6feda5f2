"""mmbc: one cohort of mammograms with clinical columns, one multi-modal model.

Importing it sets one environment variable, which has to be there before torch is loaded: see `mmbc.spin_limit`.
"""

from mmbc.spin_limit import limit_spinning

__version__ = "0.1.0"
SPIN_LIMIT = limit_spinning()
