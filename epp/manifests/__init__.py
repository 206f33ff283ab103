"""Kubernetes manifests as files hold them, and what older ones are in today's form.

`reading` tells the resources of a file apart, with the lines they stand in. `migration` goes through them: `pools`,
`models` and `objectives` translate what the Gateway API inference extension had before, `references` mends what points
to it, and all else goes through untouched. `writing` makes YAML of what is new. What cannot be carried over is a
`Finding` with its place (`findings`, collected by `remarks`). `names` has the groups and kinds, `nodes` takes trees
apart and makes them.

All of it is pure: bytes in, text and findings out. Files are hostile: nothing here raises for them, and sizes are
bounded.
"""

from epp.manifests.findings import Finding, Level
from epp.manifests.migration import Migration, migrate
from epp.manifests.reading import MAX_BYTES, Manifest, Resource, read_manifest

__all__ = ["MAX_BYTES", "Finding", "Level", "Manifest", "Migration", "Resource", "migrate", "read_manifest"]
