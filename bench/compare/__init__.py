"""Pickers side by side: each runs the same workload behind a real Envoy, in front of the same simulated pods.

`pickers` says what is started, from command lines with placeholders; `processes` starts and ends it; `usage` reads what
a picker used; `contest` is one run: fresh pods, one picker, one Envoy, one client; `costs` shows what pickers used
beside the tables of `epp.reports`.

Rules: one picker at a time, and pods with empty caches each time, so that no run leaves anything to the next. What is
started is ended, whatever happens: by its process id, and by the kernel when this process is gone.
"""
