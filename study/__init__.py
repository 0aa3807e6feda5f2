"""study: many cells, one comparison."""
