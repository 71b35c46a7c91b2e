# Two images of one file: `service` serves, without torch; `training` trains and publishes.
ARG PYTHON=python:3.11-slim-bookworm

FROM ${PYTHON} AS base
ENV PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 ORT_DISABLE_TELEMETRY=1 PATH=/opt/denge/bin:$PATH
# The same number in both images, so that both may write the volume that they share.
RUN groupadd --gid 10001 denge \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /tmp --shell /usr/sbin/nologin denge \
    && install --directory --owner=10001 --group=10001 /repository /secrets /data /runs


FROM base AS build
# cpu, or cuda for onnxruntime's GPU build with the CUDA libraries it needs.
ARG RUNTIME=cpu
WORKDIR /build
# For the reader of numbers in JSON, which is written in C. The images that serve and train have no compiler.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends gcc libc6-dev \
    && rm -rf /var/lib/apt/lists/* \
    && python -m venv /opt/denge
COPY pyproject.toml constraints.txt ./
# The dependencies have a layer of their own, which a change of the code leaves in place.
RUN python -c "import sys, tomllib; project = tomllib.load(open('pyproject.toml', 'rb'))['project']; print(*project['dependencies'], *(line for extra in (sys.argv[1], 'grpc', 'objects', 'otel', 'redis') for line in project['optional-dependencies'][extra]), sep='\n')" "$RUNTIME" > requirements.txt \
    && pip install --no-cache-dir --quiet --constraint constraints.txt --requirement requirements.txt
COPY README.md LICENSE ./
COPY denge denge
COPY models models
COPY service service
COPY training training
RUN pip install --no-cache-dir --quiet --no-deps .


FROM build AS build-training
# Wheels in a folder `wheels` are taken first: for building without the network, or another build of torch.
COPY wheel[s] wheels/
ARG TORCH_INDEX_URL=https://download.pytorch.org/whl/cpu
RUN mkdir -p wheels \
    && pip install --no-cache-dir --quiet --find-links wheels ${TORCH_INDEX_URL:+--extra-index-url "$TORCH_INDEX_URL"} torch==2.13.0 \
    && pip install --no-cache-dir --quiet --constraint constraints.txt '.[cpu,training]'


FROM base AS training
ENV HOME=/tmp
WORKDIR /runs
COPY --from=build-training /opt/denge /opt/denge
USER 10001:10001
ENTRYPOINT ["denge"]
CMD ["--help"]


FROM base AS guide
WORKDIR /build
COPY constraints.txt ./
RUN pip install --no-cache-dir --quiet --constraint constraints.txt zensical
COPY README.md README.tr.md CHANGELOG.md CONTRIBUTING.md LICENSE zensical.toml ./
COPY deploy deploy
COPY docs docs
COPY scripts/build-docs scripts/
RUN VENV=/usr/local scripts/build-docs


FROM base AS service
ENV DENGE_HOST=0.0.0.0 DENGE_PORT=8000 DENGE_REPOSITORY=/repository \
    DENGE_ADMIN_TOKEN_FILE=/secrets/admin-token DENGE_GUIDE_DIR=/usr/local/share/denge/guide
WORKDIR /tmp
COPY --from=build /opt/denge /opt/denge
COPY --from=guide /build/build/site /usr/local/share/denge/guide
COPY deploy/healthcheck.py /usr/local/lib/denge/healthcheck.py
USER 10001:10001
EXPOSE 8000 8001
VOLUME /repository /secrets
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=90s --start-interval=1s \
    CMD ["python", "/usr/local/lib/denge/healthcheck.py"]
ENTRYPOINT ["denge", "serve"]
