"""What watching Kubernetes costs: `python -m bench.kubernetes`."""
