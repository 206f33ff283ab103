"""Measures what the picker costs: CPU per request and per reply chunk, beside a server that does nothing.

`exchanges` are ready-made talks of a proxy with a picker, as bytes; `http2` is the client half of gRPC, sans-IO;
`runs` follows one of them and says what became of it; `player` plays them over sockets, in bursts or by Poisson
arrivals. `servers` starts what is measured (`bare` is the server that does nothing), `usage` reads its CPU time and
memory, `pages` stands in for model servers. The scenarios (`comparison`, `scraping`, `memory`, `crowd`, `overload`,
`parts`) give findings, which `results` keeps; `report` makes tables of them, and `plot` a picture.

Rules: the generator knows nothing of our code beyond the protocol's messages, so that any picker can be measured; what
is compared is measured in one run, turn by turn, because machines are noisy.
"""
