# syntax=docker/dockerfile:1
# One image for every role: `twinplane control-plane`, `twinplane data-plane`, `twinplane up`.
# Runs as an ordinary user on a read-only root; what it keeps lies in /var/lib/twinplane.

FROM rust:1.88-slim-bookworm AS build
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install --yes --no-install-recommends python3 python3-venv \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /source
COPY requirements/build.txt requirements/build.txt
RUN python3 -m venv /build && /build/bin/pip install --no-cache-dir --require-hashes -r requirements/build.txt
COPY . .
RUN /build/bin/maturin build --release --locked --out /wheels

FROM python:3.13-slim-bookworm AS install
WORKDIR /install
COPY requirements/runtime.txt runtime.txt
RUN python -m venv /opt/twinplane \
 && /opt/twinplane/bin/pip install --no-cache-dir --require-hashes -r runtime.txt
COPY --from=build /wheels /wheels
RUN /opt/twinplane/bin/pip install --no-cache-dir --no-deps /wheels/*.whl \
 && /opt/twinplane/bin/python -m compileall -q /opt/twinplane/lib

FROM python:3.13-slim-bookworm
LABEL org.opencontainers.image.title="twinplane" \
      org.opencontainers.image.description="An open, self-hosted API platform of two planes." \
      org.opencontainers.image.licenses="Apache-2.0"
RUN groupadd --gid 10001 twinplane \
 && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /var/lib/twinplane --shell /usr/sbin/nologin twinplane \
 && install -d -o 10001 -g 10001 -m 0700 /var/lib/twinplane
COPY --from=install /opt/twinplane /opt/twinplane
# Ports above 1024, so that no capability is needed: publish 443 to 8443 (control plane), 80 and 443 to 8000 and 8443 (node).
ENV PATH=/opt/twinplane/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    TWINPLANE_DATA=/var/lib/twinplane \
    TWINPLANE_PORT=8443 \
    TWINPLANE_ADVERTISED_PORT=443 \
    KONG_PREFIX=/var/lib/twinplane
VOLUME /var/lib/twinplane
USER 10001:10001
WORKDIR /var/lib/twinplane
EXPOSE 8443 8000 8007 8071/tcp 8071/udp
STOPSIGNAL SIGTERM
ENTRYPOINT ["twinplane"]
CMD ["--help"]
