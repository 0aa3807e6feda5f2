"""The Python interface of `study`, for notebooks and scripts: what `import study` offers."""
