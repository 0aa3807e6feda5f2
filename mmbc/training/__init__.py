"""The stream of trunk features and the fits that train on it."""
