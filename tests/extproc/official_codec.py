"""Runs in an environment with Envoy's official generated code: turns JSON lines into wire bytes and back.

A line is `{"message": name, "json": {...}}` or `{"message": name, "wire": base64}`; the answer has the other form.
"""

import base64
import json
import sys

from envoy.service.ext_proc.v3 import external_processor_pb2
from google.protobuf.json_format import MessageToDict, ParseDict

for line in sys.stdin:
    asked = json.loads(line)
    kind = getattr(external_processor_pb2, asked["message"])
    if "json" in asked:
        answer = {"wire": base64.b64encode(ParseDict(asked["json"], kind()).SerializeToString()).decode()}
    else:
        message = kind.FromString(base64.b64decode(asked["wire"]))
        answer = {"json": MessageToDict(message, preserving_proto_field_name=True, use_integers_for_enums=True)}
    print(json.dumps(answer), flush=True)
