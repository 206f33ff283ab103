"""Checks the simulator: against closed forms, against simulated servers in real time, and against a real vLLM.

`queues` holds formulas, `closed_forms` puts the engine beside them. `wire` sends one workload to simulated servers and
simulates it. `vllm` measures a real server, `calibration` makes a cost model of what it measured, and runs that the
model has not seen are compared. `report`, `plot` and docs/simulator.md show what came out.
"""
