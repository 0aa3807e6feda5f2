"""What lies in results/: cells, folders, archives, environment, findings, progress."""
