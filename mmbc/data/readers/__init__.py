"""One module a cohort layout; each turns what is at a path into a listing of images."""
