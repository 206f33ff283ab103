"""One picker as a running process: puts the rooms together, starts them, and stops them in order.

`picker` is the whole; `observing` joins metrics, logs and traces; `servers` opens the ports; `feeds` brings endpoints
and what is scraped of them to the router; `reloading` takes a changed configuration. All files here are edges: they
await and read clocks, and decide nothing about requests.
"""

from epp.process.errors import StartError
from epp.process.picker import PickerProcess

__all__ = ["PickerProcess", "StartError"]
