"""What goes into a paper: the numbers of tables and figures, and the chosen ones as Word and LaTeX."""
