"""The command line: options, errors, the live view, what commands print."""
