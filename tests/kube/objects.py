"""Objects as users and kubelets write them, with everything in them that real ones have and a picker does not need."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["LABELS", "NAMESPACE", "pod", "pool"]

NAMESPACE = "prod"
LABELS = {"app": "vllm", "model": "llama"}

GROUP = "inference.networking.k8s.io"

Object = dict[str, Any]


def pool(
    name: str = "llama", *, labels: Mapping[str, str] = LABELS, ports: Sequence[int] = (8000,), group: str = GROUP
) -> Object:
    """An InferencePool."""
    return {
        "apiVersion": f"{group}/v1",
        "kind": "InferencePool",
        "metadata": {"name": name, "namespace": NAMESPACE, "managedFields": [{"manager": "kubectl", "fieldsV1": {}}]},
        "spec": {
            "selector": {"matchLabels": dict(labels)},
            "targetPorts": [{"number": port} for port in ports],
            "appProtocol": "http",
            "endpointPickerRef": {"group": "", "kind": "Service", "name": f"{name}-epp", "port": {"number": 9002}},
        },
    }


def pod(
    name: str,
    address: str,
    *,
    ready: bool = True,
    phase: str = "Running",
    labels: Mapping[str, str] = LABELS,
    annotations: Mapping[str, str] | None = None,
    more_addresses: Sequence[str] = (),
) -> Object:
    """A pod of a Deployment, as the kubelet reports it. 11 KB, as real ones of vLLM have."""
    variables = [{"name": f"VLLM_SETTING_{n}", "value": "x" * 80} for n in range(40)]
    times = {"lastProbeTime": None, "lastTransitionTime": "2026-01-01T00:00:00Z"}
    kinds = ("PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled")
    states = {kind: ready or kind not in ("Ready", "ContainersReady") for kind in kinds}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "generateName": name.rpartition("-")[0] + "-",
            "namespace": NAMESPACE,
            "labels": {**labels, "pod-template-hash": "5d5f8b9c7"},
            "annotations": {"kubectl.kubernetes.io/restartedAt": "2026-01-01", **(annotations or {})},
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "vllm", "controller": True}],
            "managedFields": [{"manager": "kubelet", "fieldsV1": {f"f:field-{n}": {} for n in range(120)}}],
        },
        "spec": {
            "containers": [{"name": "vllm", "image": "vllm/vllm-openai", "env": variables}],
            "nodeName": "node-1",
            "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}],
        },
        "status": {
            "phase": phase,
            "conditions": [{"type": kind, "status": str(state), **times} for kind, state in states.items()],
            "hostIP": "192.0.2.1",
            "podIP": address,
            "podIPs": [{"ip": ip} for ip in (address, *more_addresses)],
            "containerStatuses": [{"name": "vllm", "ready": ready, "restartCount": 0, "image": "vllm/vllm-openai"}],
            "qosClass": "Burstable",
        },
    }
