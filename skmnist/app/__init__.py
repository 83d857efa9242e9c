"""The page to write digits on: its server, and one HTML file."""

from skmnist.app.server import make_app, serve

__all__ = ["make_app", "serve"]
