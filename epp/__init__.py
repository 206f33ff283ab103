"""Endpoint picker: an ext-proc server that places each LLM request on the model server where it costs least.

The rooms and the one direction in which imports run between them are described in docs/architecture.md.
"""

__version__ = "0.1.0"
