"""The Go picker's plugins, under their names and with their parameters, so that its configuration files work here; and
the policies of other routers, as costs, to compare with (`epp.policies` has them as complete files).

`catalog` lists what is built in, and what of the Go picker's is known and not here; classes are imported when they are
used. A plugin's init fields are its parameters: snake_case here, camelCase in files (`validation.key_of`).
`data_layer` has the parameters of what is always on or configured elsewhere. `validation` checks parameters,
`spec_column` and `sessions` keep what several plugins need.

Plugins see time, randomness and endpoints through the `View`. What they keep is bounded in size and swept when they
are called, never by a timer, and it is told from whose it is by address, not by row.
"""
