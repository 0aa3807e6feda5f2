"""Tables, figures and text of a finished study."""
