# One image for the web process, the worker and the migrations; the command decides.
# The tag is readable and moves with security updates. For a build that must be repeatable to the byte, pin what you
# have tested: python:3.13-slim-bookworm@sha256:<digest of `docker buildx imagetools inspect python:3.13-slim-bookworm`>.
ARG PYTHON_IMAGE=python:3.13-slim-bookworm

FROM ${PYTHON_IMAGE} AS build
WORKDIR /srv/cashier
RUN python -m venv --without-pip /srv/venv
COPY requirements.lock ./
RUN pip --disable-pip-version-check --no-cache-dir --python /srv/venv/bin/python install \
      --require-hashes --only-binary :all: --requirement requirements.lock
COPY pyproject.toml README.md alembic.ini ./
COPY migrations/ migrations/
COPY app/ app/
# Editable: the migrations stand beside the package, not in it. Afterwards the build backend is not needed any more.
RUN pip --disable-pip-version-check --no-cache-dir --python /srv/venv/bin/python install \
      --no-index --no-deps --no-build-isolation --editable . \
 && pip --disable-pip-version-check --python /srv/venv/bin/python uninstall --yes flit-core \
 && /srv/venv/bin/python -m compileall -q app migrations

FROM ${PYTHON_IMAGE}
RUN pip uninstall --yes --root-user-action=ignore pip \
 && useradd --uid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin cashier
COPY --from=build /srv /srv
WORKDIR /srv/cashier
# 0.0.0.0 because the container's own network is the fence here; what is published is compose's decision.
ENV PATH=/srv/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    CASHIER_HOST=0.0.0.0 \
    CASHIER_PORT=8080
USER 10001:10001
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 \
  CMD ["python", "-c", "import os, urllib.request as r; r.urlopen(f\"http://127.0.0.1:{os.environ['CASHIER_PORT']}/healthz\", timeout=2)"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["cashier"]
CMD ["web"]
