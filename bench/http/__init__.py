"""Load on the wire: sends a workload to an OpenAI endpoint, and reports what came back as the simulator does.

`schedule` says when which call is due (open or closed loop, sessions); `sse` cuts event streams; `replies` reads
replies and names failures; `results` makes a `Run` of what was noted; `lateness` judges the client itself. None of
these knows a clock or a socket. `bodies` encodes requests before they are due. `player` is the edge that sends,
`decisions` asks a picker what it expected, `playing` puts them together, `interrupts` says what Ctrl-C does. `sources`
reads the flags that say what is sent, `showing` writes tables, JSON and pages, `aiperf` writes a workload for another
client, to check this one. `bare` is a server that costs nothing, to measure the client with.

Rules: latencies count from the moment when a call was due, never from when it was sent; a call that was due is
reported, whatever became of it.
"""
