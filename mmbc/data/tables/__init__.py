"""Tables of a cohort: files, columns, labels, and the encoder of clinical columns."""
