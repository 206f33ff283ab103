"""The study behind the default policy: every policy on every workload under every condition, over recorded seeds.

`python -m bench.study` runs the matrix and writes tables and plots into docs/policy.md; what it measured is kept in
bench/results/study.json. `conditions` says what is special about the pools, `matrix` what is run, `criteria` what the
default must reach, `pages` what is written.
"""
