"""What a request is, and what a reply says about it.

`parse` makes one `InferenceRequest` of what OpenAI's, Anthropic's and vLLM's APIs send: operation (`paths`), members
read in one scan (`fields`), prompt bytes in the model's order (`prompt`) with media cut out (`media`). What it does not
know is opaque and placed by load. `replace_model` and `ModelRestorer` change one JSON value on the way there and back
(`rewrite`), `read_reply` takes usage and failures from the ends of a reply (`replies`), and `error_body` speaks the
client's dialect (`errors`). `scan` is for text that is cut off.

All of it is pure. Bodies are hostile: nothing here raises for them, and every cost is linear and bounded.
"""

from epp.requests.errors import error_body
from epp.requests.parse import opaque, parse
from epp.requests.paths import dialect_of, operation_of
from epp.requests.replies import read_reply
from epp.requests.rewrite import ModelRestorer, replace_model
from epp.requests.types import (
    Dialect,
    InferenceRequest,
    Malformed,
    Media,
    Operation,
    ReplyFault,
    ReplyReport,
    Usage,
)

__all__ = [
    "Dialect",
    "InferenceRequest",
    "Malformed",
    "Media",
    "ModelRestorer",
    "Operation",
    "ReplyFault",
    "ReplyReport",
    "Usage",
    "dialect_of",
    "error_body",
    "opaque",
    "operation_of",
    "parse",
    "read_reply",
    "replace_model",
]
