"""Measures what simulations cost."""
