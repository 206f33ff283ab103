# The endpoint picker as an image: `make image`. It runs `epp serve`; Envoy is not in it.
#
# The first stage runs targets of the Makefile, which work without Docker too (tests/docs/test_image.py). The second
# one takes what they made and nothing else. All that is installed is locked with hashes, in requirements/runtime.txt.
FROM python:3.11-trixie AS build
WORKDIR /src
COPY Makefile ./
COPY requirements/ requirements/
RUN make /opt/epp/.stamp RUNTIME=/opt/epp
COPY pyproject.toml README.md LICENSE ./
COPY epp/ epp/
RUN make runtime-env RUNTIME=/opt/epp

FROM python:3.11-slim-trixie
ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="endpoint-picker" \
      org.opencontainers.image.description="Places each LLM request on the model server where it costs least" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=build /opt/epp /opt/epp
# Code is compiled and nothing is written at run time: the root file system may be read-only.
ENV PATH=/opt/epp/bin:$PATH PYTHONDONTWRITEBYTECODE=1
USER 65532:65532
# External processing (gRPC), health (gRPC), metrics and debug pages (HTTP).
EXPOSE 9002 9003 9090
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s CMD ["python", "-c", "import http.client; c = http.client.HTTPConnection('127.0.0.1', 9090, timeout=2); c.request('GET', '/healthz'); assert c.getresponse().status == 200"]
ENTRYPOINT ["epp"]
