"""One picker as a running process: puts the rooms together, starts them, and stops them in order.

`picker` is the whole; `observing` joins metrics, logs and traces; `servers` opens the ports, at `addresses` that are
checked first; `feeds` brings endpoints, from their `sources`, and what is scraped of them to the router; `reloading`
takes a changed configuration; `background` keeps tasks running. All files here are edges: they await and read clocks,
and decide nothing about requests.
"""

from epp.process.errors import StartError
from epp.process.picker import PickerProcess
from epp.process.reloading import log_problems

__all__ = ["PickerProcess", "StartError", "log_problems"]
