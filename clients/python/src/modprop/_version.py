"""The package's version, here alone: the build reads it, and the client names it to the server."""

__version__ = "0.2.0"
