"""The command line's families, one file each; ``register(app)`` adds their commands."""
