"""What every message shape of the protocol gets, as transcripts: the name of each states the behaviour."""

import pytest

from tests.extproc.socket_driver import play_over_socket
from tests.extproc.transcript import MemoryDriver, lines_of, play

A = "10.0.0.7:8000"
LINE = "\n" + " " * 8

TRANSCRIPTS = {
    "duplex over HTTP/1.1: an empty last chunk ends the body": f"""
        > headers duplex/duplex
        > body 12
        > body 0 eos
        ! ready complete 12 B
        = pick {A}
        < headers dest={A} metadata={A}
        < body 12 B eos
        > reply-headers 200
        ! reply 200
        < reply-headers
        > reply-body 5
        < reply-body 5 B
        ! first data
        > reply-body 0 eos
        < reply-body 0 B eos
        ! reply end 5 B
        - closed
        . complete""",
    "duplex over HTTP/2: the only chunk ends the body": f"""
        > headers duplex/duplex
        > body 12 eos
        ! ready complete 12 B
        = pick {A}
        < headers dest={A} metadata={A}
        < body 12 B eos
        > reset
        . no-reply""",
    "duplex: trailers end the body, no chunk with eos comes": f"""
        > headers duplex/duplex
        > body 12
        > trailers
        ! ready complete 12 B
        = pick {A}
        < headers dest={A} metadata={A}
        < body 12 B
        < trailers
        > reset
        . no-reply""",
    "duplex: an empty chunked body": f"""
        > headers duplex/duplex
        > body 0 eos
        ! ready complete 0 B
        = pick {A}
        < headers dest={A} metadata={A}
        < body 0 B eos
        > reset
        . no-reply""",
    "duplex: a large body is written in pieces that every proxy takes": f"""
        > headers duplex/duplex
        > body 150000 eos
        ! ready complete 150000 B
        = pick {A}
        < headers dest={A} metadata={A}
        < body 62000 B
        < body 62000 B
        < body 26000 B eos
        > reset
        . no-reply""",
    "duplex: pieces before trailers carry no eos": f"""
        > headers duplex/duplex
        > body 62000
        > body 62000
        > trailers
        ! ready complete 124000 B
        = pick {A}
        < headers dest={A} metadata={A}
        < body 62000 B
        < body 62000 B
        < trailers
        > reset
        . no-reply""",
    "duplex: the last chunk delivered twice is ignored": f"""
        > headers duplex/duplex
        > body 12 eos
        ! ready complete 12 B
        > again 12 eos
        = pick {A}
        < headers dest={A} metadata={A}
        < body 12 B eos
        > again 12 eos
        > reset
        . no-reply""",
    "headers that end the request, whatever the mode": f"""
        > headers duplex/duplex eos
        ! ready absent 0 B
        = pick {A}
        < headers dest={A} metadata={A}
        > reset
        . no-reply""",
    "buffered: headers are answered at once, the body answer carries the pick": f"""
        > headers buffered/buffered
        < headers
        > body 12 eos
        ! ready complete 12 B
        = pick {A}
        < body dest={A} metadata={A}
        > reply-headers 200
        ! reply 200
        < reply-headers
        > reply-body 5 eos
        < reply-body
        ! first data
        ! reply end 5 B
        - closed
        . complete""",
    "buffered: a rewritten body brings its length": f"""
        > headers buffered/none content-length=12
        < headers
        > body 12 eos
        ! ready complete 12 B view=headers
        = pick {A} body=20
        < body replaced by 20 B dest={A} content-length=20 metadata={A}
        > reset
        . no-reply""",
    "buffered: trailers after the body": f"""
        > headers buffered/buffered
        < headers
        > body 12
        ! ready complete 12 B
        > trailers
        = pick {A}
        < body dest={A} metadata={A}
        < trailers
        > reset
        . no-reply""",
    "buffered: trailers and no body leave only metadata": f"""
        > headers buffered/buffered
        < headers
        > trailers
        ! ready complete 0 B
        = pick {A}
        < trailers metadata={A}
        > reset
        . no-reply""",
    "buffered: a client's own destination is gone before the pick": f"""
        > headers buffered/buffered x-gateway-destination-endpoint=9.9.9.9:1
        < headers -x-gateway-destination-endpoint
        > trailers
        ! ready complete 0 B
        = pick {A}
        < trailers metadata={A}
        > reset
        . no-reply""",
    "buffered: a proxy that sends no headers at all": f"""
        > body 12 eos buffered/buffered
        ! ready complete 12 B
        = pick {A}
        < body dest={A} metadata={A}
        > reset
        . no-reply""",
    "partial: a cut body is routed and never rewritten": f"""
        > headers partial/none
        < headers
        > body 12
        ! ready cut 12 B view=headers
        = pick {A} body=20
        < body dest={A} metadata={A}
        > reset
        . no-reply""",
    "partial: a whole body is like a buffered one": f"""
        > headers partial/none
        < headers
        > body 12 eos
        ! ready complete 12 B view=headers
        = pick {A}
        < body dest={A} metadata={A}
        > reset
        . no-reply""",
    "streamed: the pick is made at the headers, every chunk gets an answer": f"""
        > headers streamed/streamed
        ! ready unseen 0 B
        = pick {A}
        < headers dest={A} metadata={A}
        > body 5
        < body
        > body 0 eos
        < body
        > trailers
        < trailers
        > reply-headers 200
        ! reply 200
        < reply-headers
        > reply-body 5
        < reply-body
        ! first data
        > reply-trailers
        ! reply end 5 B
        < reply-trailers
        - closed
        . complete""",
    "streamed: chunks that came before a late pick are answered after it": f"""
        > headers streamed/none
        ! ready unseen 0 B view=headers
        > body 5
        > body 5 eos
        = pick {A}
        < headers dest={A} metadata={A}
        < body
        < body
        > reset
        . no-reply""",
    "none: the pick is made at the headers": f"""
        > headers none/none
        ! ready unseen 0 B view=headers
        = pick {A}
        < headers dest={A} metadata={A}
        > reset
        . no-reply""",
    "lean: reply headers only, then the stream ends": f"""
        > headers duplex/none
        > body 12 eos
        ! ready complete 12 B view=headers
        = pick {A}
        < headers dest={A} metadata={A}
        < body 12 B eos
        > reply-headers 200
        ! reply 200
        < reply-headers
        > reset
        . reply-unseen""",
    "lean: reply trailers end the reply": f"""
        > headers duplex/none
        > body 12 eos
        ! ready complete 12 B view=headers
        = pick {A}
        < headers dest={A} metadata={A}
        < body 12 B eos
        > reply-headers 200
        ! reply 200
        < reply-headers
        > reply-trailers
        ! reply end 0 B
        < reply-trailers
        - closed
        . complete""",
    "no modes declared, one message and half-close (NGINX Gateway Fabric)": f"""
        > headers
        > body 12 eos
        ! ready complete 12 B
        > half-close
        = pick {A}
        < headers dest={A} metadata={A}
        < body 12 B eos
        - closed
        . no-reply""",
    "no modes declared and headers only": f"""
        > headers eos
        ! ready absent 0 B
        = pick {A}
        < headers dest={A} metadata={A}
        > reset
        . no-reply""",
    "a reply without a request: the proxy refused an upgrade itself": """
        > reply-headers 403 duplex/duplex eos
        ! reply 403
        < reply-headers
        ! reply end 0 B
        - closed
        . complete""",
    "a reply before the request is complete: the proxy's own time-out": """
        > headers duplex/duplex
        > body 12
        > reply-headers 408
        ! reply 408
        < reply-headers
        > reply-body 5 eos
        < reply-body 5 B eos
        ! reply end 0 B
        - closed
        . complete""",
    "a pick that comes after the reply began is too late to be written": f"""
        > headers duplex/duplex
        > body 12 eos
        ! ready complete 12 B
        > reply-headers 504
        ! reply 504
        < reply-headers
        = pick {A}
        > reset
        . aborted""",
    "a HEAD reply ends with its headers": f"""
        > headers duplex/duplex eos
        ! ready absent 0 B
        = pick {A}
        < headers dest={A} metadata={A}
        > reply-headers 200 eos
        ! reply 200
        < reply-headers
        ! reply end 0 B
        - closed
        . complete""",
    "a proxy that leaves reply headers out": f"""
        > headers duplex/duplex eos
        ! ready absent 0 B
        = pick {A}
        < headers dest={A} metadata={A}
        > reply-body 5 eos
        < reply-body 5 B eos
        ! first data
        ! reply end 5 B
        - closed
        . complete""",
    "duplex reply: a large chunk is written in pieces": f"""
        > headers duplex/duplex eos
        ! ready absent 0 B
        = pick {A}
        < headers dest={A} metadata={A}
        > reply-headers 200
        ! reply 200
        < reply-headers
        > reply-body 100000
        < reply-body 62000 B
        < reply-body 38000 B
        ! first data
        > reply-trailers
        ! reply end 100000 B
        < reply-trailers
        - closed
        . complete""",
    "an empty reply chunk that ends nothing needs no answer in duplex": f"""
        > headers duplex/duplex eos
        ! ready absent 0 B
        = pick {A}
        < headers dest={A} metadata={A}
        > reply-headers 200
        ! reply 200
        < reply-headers
        > reply-body 0
        > reset
        . aborted""",
    "a rejection ends the exchange, what follows is not answered": """
        > headers duplex/duplex
        > body 12 eos
        ! ready complete 12 B
        = reject 503 rejected-no-endpoints
        < immediate 503 x-llm-d-request-dropped-reason=rejected-no-endpoints
        - closed
        . refused""",
    "the client aborts while its body is on the way": """
        > headers duplex/duplex
        > body 12
        > reset
        . aborted""",
    "the client aborts before the pick": """
        > headers duplex/duplex
        > body 12 eos
        ! ready complete 12 B
        > reset
        . aborted""",
    "the client aborts within the reply": f"""
        > headers duplex/duplex eos
        ! ready absent 0 B
        = pick {A}
        < headers dest={A} metadata={A}
        > reply-headers 200
        ! reply 200
        < reply-headers
        > reply-body 5
        < reply-body 5 B
        ! first data
        > reset
        . aborted""",
    "a half-close in the middle of the body ends it": """
        > headers duplex/duplex
        > body 12
        > half-close
        - closed
        . aborted""",
    "close after pick: the exchange ends with the request": f"""
        > headers duplex/duplex
        > body 12 eos
        ! ready complete 12 B
        = pick {A} close
        < headers dest={A} metadata={A}
        < body 12 B eos
        - closed
        . request-only""",
    "close after pick waits for the rest of a streamed request": f"""
        > headers streamed/none
        ! ready unseen 0 B view=headers
        = pick {A} close
        < headers dest={A} metadata={A}
        > body 5
        < body
        > body 5 eos
        < body
        - closed
        . request-only""",
    "an ordered list of endpoints": f"""
        > headers duplex/duplex eos
        ! ready absent 0 B
        = pick {A},[::1]:9103
        < headers dest={A},[::1]:9103 metadata={A},[::1]:9103
        > reset
        . no-reply""",
    "only what changes is set, and control headers are removed": f"""
        > headers duplex/duplex eos x-control=1
        ! ready absent 0 B
        = pick {A} x-new=2 -x-control
        < headers dest={A} x-new=2 -x-control metadata={A}
        > reset
        . no-reply""",
    "a subset hint on the headers": f"""
        > headers duplex/duplex subset=10.0.0.7:8000;10.0.0.8
        > body 12 eos
        ! ready complete 12 B subset=10.0.0.7:8000;10.0.0.8
        = pick {A}
        < headers dest={A} metadata={A}
        < body 12 B eos
        > reset
        . no-reply""",
    "a subset hint on the last body message": f"""
        > headers duplex/duplex
        > body 12 eos subset=10.0.0.7:8000
        ! ready complete 12 B subset=10.0.0.7:8000
        = pick {A}
        < headers dest={A} metadata={A}
        < body 12 B eos
        > reset
        . no-reply""",
    "a subset hint on the trailers": f"""
        > headers duplex/duplex
        > trailers subset=10.0.0.7:8000
        ! ready complete 0 B subset=10.0.0.7:8000
        = pick {A}
        < headers dest={A} metadata={A}
        < trailers
        > reset
        . no-reply""",
    "an empty subset hint is not the same as none": """
        > headers duplex/duplex eos subset=
        ! ready absent 0 B subset=
        = reject 503 rejected-no-endpoints
        < immediate 503 x-llm-d-request-dropped-reason=rejected-no-endpoints
        - closed
        . refused""",
    "the endpoint that served is reported": f"""
        > headers duplex/duplex eos
        ! ready absent 0 B
        = pick {A}
        < headers dest={A} metadata={A}
        = reply x-conformance-test-served-endpoint=10.0.0.8:8000
        > reply-headers 200 served=10.0.0.8:8000
        ! reply 200 served=10.0.0.8:8000
        < reply-headers x-conformance-test-served-endpoint=10.0.0.8:8000
        > reset
        . aborted""",
    "messages of a later protocol version are passed over": f"""
        > unknown
        > headers duplex/duplex eos
        ! ready absent 0 B
        > unknown
        = pick {A}
        < headers dest={A} metadata={A}
        > unknown
        > reset
        . no-reply""",
    "duplex: three megabytes in chunks of any size and an empty last one": f"""
        > headers duplex/duplex content-length=3000000
        > body 1048576
        > body 3
        > body 1048576
        > body 902845
        > body 0 eos
        ! ready complete 3000000 B
        = pick {A}
        < headers dest={A} metadata={A}
        {LINE.join(["< body 62000 B"] * 48)}
        < body 24000 B eos
        > reset
        . no-reply""",
    "duplex: an empty chunk in the middle ends nothing": f"""
        > headers duplex/duplex
        > body 5
        > body 0
        > body 5 eos
        ! ready complete 10 B
        = pick {A}
        < headers dest={A} metadata={A}
        < body 10 B eos
        > reset
        . no-reply""",
    "duplex: trailers after a last chunk": f"""
        > headers duplex/duplex
        > body 12 eos
        ! ready complete 12 B
        > trailers
        = pick {A}
        < headers dest={A} metadata={A}
        < body 12 B eos
        < trailers
        > reset
        . no-reply""",
    "duplex: trailers and no body": f"""
        > headers duplex/duplex
        > trailers
        ! ready complete 0 B
        = pick {A}
        < headers dest={A} metadata={A}
        < trailers
        > reset
        . no-reply""",
    "duplex: a rewritten body brings its length": f"""
        > headers duplex/duplex content-length=12
        > body 12 eos
        ! ready complete 12 B
        = pick {A} body=20
        < headers dest={A} content-length=20 metadata={A}
        < body 20 B eos
        > reset
        . no-reply""",
    "an event stream: each chunk at once, a comment is no first data": f"""
        > headers duplex/duplex
        > body 12 eos
        ! ready complete 12 B
        = pick {A}
        < headers dest={A} metadata={A}
        < body 12 B eos
        > reply-headers 200 content-type=text/event-stream
        ! reply 200
        < reply-headers
        > reply-event comment
        < reply-body 8 B
        > reply-event half
        < reply-body 3 B
        > reply-event rest
        < reply-body 7 B
        ! first data
        > reply-body 0 eos
        < reply-body 0 B eos
        ! reply end 18 B
        - closed
        . complete""",
    "duplex reply: trailers end it, no chunk with eos comes": f"""
        > headers duplex/duplex eos
        ! ready absent 0 B
        = pick {A}
        < headers dest={A} metadata={A}
        > reply-headers 200
        ! reply 200
        < reply-headers
        > reply-body 5
        < reply-body 5 B
        ! first data
        > reply-trailers
        ! reply end 5 B
        < reply-trailers
        - closed
        . complete""",
    "a reply of the proxy's own after the pick: no healthy upstream": f"""
        > headers duplex/duplex
        > body 12 eos
        ! ready complete 12 B
        = pick {A}
        < headers dest={A} metadata={A}
        < body 12 B eos
        > reply-headers 503 content-type=text/plain
        ! reply 503
        < reply-headers
        > reply-body 19 eos
        < reply-body 19 B eos
        ! first data
        ! reply end 19 B
        - closed
        . complete""",
    "a reply without a request, with a body": """
        > reply-headers 403 duplex/duplex
        ! reply 403
        < reply-headers
        > reply-body 9 eos
        < reply-body 9 B eos
        ! reply end 0 B
        - closed
        . complete""",
    "request messages that come after the proxy's own reply ask for nothing": """
        > headers duplex/duplex
        > body 12
        > reply-headers 413
        ! reply 413
        < reply-headers
        > body 12
        > body 0 eos
        > trailers
        > reply-body 5 eos
        < reply-body 5 B eos
        ! reply end 0 B
        - closed
        . complete""",
    "the model server replies before the whole request is there": f"""
        > headers streamed/streamed
        ! ready unseen 0 B
        = pick {A}
        < headers dest={A} metadata={A}
        > body 5
        < body
        > reply-headers 400
        ! reply 400
        < reply-headers
        > body 5 eos
        < body
        > reply-body 5 eos
        < reply-body
        ! first data
        ! reply end 5 B
        - closed
        . complete""",
    "a pick that is late for a proxy that has replied and gone": """
        > headers duplex/duplex
        > body 12 eos
        ! ready complete 12 B
        > reply-headers 504
        ! reply 504
        < reply-headers
        > half-close
        - closed
        . aborted""",
    "a proxy that shows nothing of the reply but trailers": f"""
        > headers duplex/none eos
        ! ready absent 0 B view=headers
        = pick {A}
        < headers dest={A} metadata={A}
        > reply-trailers
        ! reply end 0 B
        < reply-trailers
        - closed
        . complete""",
    "each direction has its own mode: a duplex request, a buffered reply": f"""
        > headers duplex/buffered
        > body 12 eos
        ! ready complete 12 B
        = pick {A}
        < headers dest={A} metadata={A}
        < body 12 B eos
        > reply-headers 200
        ! reply 200
        < reply-headers
        > reply-body 5 eos
        < reply-body
        ! first data
        ! reply end 5 B
        - closed
        . complete""",
    "each direction has its own mode: a buffered request, a duplex reply": f"""
        > headers buffered/duplex
        < headers
        > body 12 eos
        ! ready complete 12 B
        = pick {A}
        < body dest={A} metadata={A}
        > reply-headers 200
        ! reply 200
        < reply-headers
        > reply-body 5
        < reply-body 5 B
        ! first data
        > reply-body 0 eos
        < reply-body 0 B eos
        ! reply end 5 B
        - closed
        . complete""",
    "buffered reply: trailers after the body": f"""
        > headers none/buffered
        ! ready unseen 0 B
        = pick {A}
        < headers dest={A} metadata={A}
        > reply-headers 200
        ! reply 200
        < reply-headers
        > reply-body 5
        < reply-body
        ! first data
        > reply-trailers
        ! reply end 5 B
        < reply-trailers
        - closed
        . complete""",
    "partial reply: what the proxy could not buffer passes unseen": f"""
        > headers none/partial
        ! ready unseen 0 B
        = pick {A}
        < headers dest={A} metadata={A}
        > reply-headers 200
        ! reply 200
        < reply-headers
        > reply-body 5
        < reply-body
        ! first data
        > reset
        . reply-unseen""",
    "partial reply: a whole body is like a buffered one": f"""
        > headers none/partial
        ! ready unseen 0 B
        = pick {A}
        < headers dest={A} metadata={A}
        > reply-headers 200
        ! reply 200
        < reply-headers
        > reply-body 5 eos
        < reply-body
        ! first data
        ! reply end 5 B
        - closed
        . complete""",
    "buffered: an empty body": f"""
        > headers buffered/buffered
        < headers
        > body 0 eos
        ! ready complete 0 B
        = pick {A}
        < body dest={A} metadata={A}
        > reset
        . no-reply""",
    "buffered: headers that end the request carry the pick": f"""
        > headers buffered/buffered eos
        ! ready absent 0 B
        = pick {A}
        < headers dest={A} metadata={A}
        > reset
        . no-reply""",
    "streamed: a late pick waits for chunks and trailers": f"""
        > headers streamed/none
        ! ready unseen 0 B view=headers
        > body 5
        > trailers
        = pick {A}
        < headers dest={A} metadata={A}
        < body
        < trailers
        > reset
        . no-reply""",
    "streamed: a rewrite is not possible, the body was not seen": f"""
        > headers streamed/none
        ! ready unseen 0 B view=headers
        = pick {A} body=20
        < headers dest={A} metadata={A}
        > body 5 eos
        < body
        > reset
        . no-reply""",
    "none: trailers are answered": f"""
        > headers none/none
        ! ready unseen 0 B view=headers
        = pick {A}
        < headers dest={A} metadata={A}
        > trailers
        < trailers
        > reset
        . no-reply""",
    "none: trailers that come before a late pick are answered after it": f"""
        > headers none/none
        ! ready unseen 0 B view=headers
        > trailers
        = pick {A}
        < headers dest={A} metadata={A}
        < trailers
        > reset
        . no-reply""",
    "a mode that no proxy uses: the request is taken as duplex, reply chunks are answered singly": f"""
        > headers grpc/grpc
        > body 12 eos
        ! ready complete 12 B
        = pick {A}
        < headers dest={A} metadata={A}
        < body 12 B eos
        > reply-headers 200
        ! reply 200
        < reply-headers
        > reply-body 5 eos
        < reply-body
        ! first data
        ! reply end 5 B
        - closed
        . complete""",
    "headers in `value`, as NGINX Gateway Fabric and pseudo headers of agentgateway have them": f"""
        > headers in-value content-length=12
        > body 12 eos
        ! ready complete 12 B
        = pick {A} body=20
        < headers dest={A} content-length=20 metadata={A}
        < body 20 B eos
        > half-close
        - closed
        . no-reply""",
    "attributes, and metadata that grows after the pick": f"""
        > headers duplex/duplex attributes
        > body 12 eos subset=10.0.0.7:8000
        ! ready complete 12 B subset=10.0.0.7:8000
        = pick {A}
        < headers dest={A} metadata={A}
        < body 12 B eos
        > reply-headers 200 attributes subset=10.0.0.9:8000
        ! reply 200
        < reply-headers
        > reply-body 0 eos subset=10.0.0.9:8000
        < reply-body 0 B eos
        ! reply end 0 B
        - closed
        . complete""",
    "a stream that ends before its first message": """
        > half-close
        - closed
        . aborted""",
    "a clean end after the request, where a reset is as common": f"""
        > headers duplex/duplex
        > body 12 eos
        ! ready complete 12 B
        = pick {A}
        < headers dest={A} metadata={A}
        < body 12 B eos
        > half-close
        - closed
        . no-reply""",
    "a clean end within the reply": f"""
        > headers duplex/duplex eos
        ! ready absent 0 B
        = pick {A}
        < headers dest={A} metadata={A}
        > reply-headers 200
        ! reply 200
        < reply-headers
        > reply-body 5
        < reply-body 5 B
        ! first data
        > half-close
        - closed
        . aborted""",
    "lean: a clean end of the reply": f"""
        > headers duplex/none eos
        ! ready absent 0 B view=headers
        = pick {A}
        < headers dest={A} metadata={A}
        > reply-headers 200
        ! reply 200
        < reply-headers
        > half-close
        - closed
        . reply-unseen""",
    "close after pick in mode none: the headers end the request": f"""
        > headers none/none
        ! ready unseen 0 B view=headers
        = pick {A} close
        < headers dest={A} metadata={A}
        - closed
        . request-only""",
    "close after pick in mode buffered": f"""
        > headers buffered/none
        < headers
        > body 12 eos
        ! ready complete 12 B view=headers
        = pick {A} close
        < body dest={A} metadata={A}
        - closed
        . request-only""",
    "close after pick in mode partial: the rest of a cut body passes unseen": f"""
        > headers partial/none
        < headers
        > body 12
        ! ready cut 12 B view=headers
        = pick {A} close
        < body dest={A} metadata={A}
        - closed
        . request-only""",
    "close after pick, when trailers end the request": f"""
        > headers duplex/none
        > body 12
        > trailers
        ! ready complete 12 B view=headers
        = pick {A} close
        < headers dest={A} metadata={A}
        < body 12 B
        < trailers
        - closed
        . request-only""",
    "a rejection in mode buffered comes in place of the body answer": """
        > headers buffered/buffered
        < headers
        > body 12 eos
        ! ready complete 12 B
        = reject 429 rejected-saturated
        < immediate 429 x-llm-d-request-dropped-reason=rejected-saturated
        - closed
        . refused""",
    "a rejection at the headers, while chunks are on their way": """
        > headers streamed/none
        ! ready unseen 0 B view=headers
        = reject 503 rejected-no-endpoints
        < immediate 503 x-llm-d-request-dropped-reason=rejected-no-endpoints
        - closed
        . refused""",
    "a body that comes twice in full is the pick's once": f"""
        > headers duplex/duplex
        > body 12 eos
        ! ready complete 12 B
        = pick {A}
        < headers dest={A} metadata={A}
        < body 12 B eos
        > again 12
        > again 0 eos
        > reset
        . no-reply""",
    "in observability mode nobody waits for answers": """
        > headers observe
        > body 12 eos observe
        > reset
        . aborted""",
    "a body before headers is the proxy's fault": """
        > body 5
        x request body before request headers
        < immediate 500 x-llm-d-request-dropped-reason=rejected-proxy-fault
        - closed
        . refused""",
    "trailers before headers are the proxy's fault": """
        > trailers
        x request trailers before request headers
        < immediate 500 x-llm-d-request-dropped-reason=rejected-proxy-fault
        - closed
        . refused""",
    "headers twice are the proxy's fault": """
        > headers duplex/duplex
        > headers
        x request headers in phase collecting the body
        < immediate 500 x-llm-d-request-dropped-reason=rejected-proxy-fault
        - closed
        . refused""",
    "reply headers twice are the proxy's fault, and the client has its answer already": f"""
        > headers duplex/duplex eos
        ! ready absent 0 B
        = pick {A}
        < headers dest={A} metadata={A}
        > reply-headers 200
        ! reply 200
        < reply-headers
        > reply-headers 200
        x response headers in phase flowing
        > reset
        . aborted""",
}


@pytest.mark.parametrize("script", TRANSCRIPTS.values(), ids=TRANSCRIPTS)
def test_transcript(script: str) -> None:
    assert play(MemoryDriver(), script) == "\n".join(lines_of(script))


@pytest.mark.parametrize("script", TRANSCRIPTS.values(), ids=TRANSCRIPTS)
async def test_transcript_over_a_socket(script: str) -> None:
    assert await play_over_socket(script) == "\n".join(lines_of(script))


EARLY = {name: script for name, script in TRANSCRIPTS.items() if not any(late in name for late in ("late", "twice"))}


@pytest.mark.parametrize("script", EARLY.values(), ids=EARLY)
async def test_transcript_over_a_socket_when_the_router_answers_at_once(script: str) -> None:
    assert await play_over_socket(script, early=True) == "\n".join(lines_of(script))
