# One image for every role; the command picks it (see docker-compose.yml). Nothing in it is written to at run time
# but /data and /tmp, so it runs with a read-only root file system and as an ordinary user.
#
#   docker build -t labelstudio-learning-backend .                     # CPU
#   docker build -t labelstudio-learning-backend-gpu --build-arg TORCH_INDEX= .     # NVIDIA GPU
#   docker build -t labelstudio-learning-backend --build-arg EXTRAS=s3,weights,sam . # with SAM for the smart tools
#   docker build -t labelstudio-learning-backend --build-arg EXTRAS=s3,weights,ocr . # with RapidOCR for text
#   docker build -t labelstudio-learning-backend --build-arg EXTRAS=s3,weights,zero-shot . # for ZERO_SHOT_MODEL
ARG PYTHON_VERSION=3.12

FROM python:${PYTHON_VERSION}-slim-bookworm AS build
# The CPU build of torch is a tenth of the size of the one with CUDA, which pip takes where this is empty.
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
ARG EXTRAS=s3,weights
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH
WORKDIR /app
# The dependencies change less often than the source: they have a layer of their own, made from a package that
# holds nothing but its name.
COPY pyproject.toml requirements.lock requirements-label-studio-ml.txt README.md LICENSE ./
RUN mkdir backend && touch backend/__init__.py model.py _wsgi.py \
    && pip install ${TORCH_INDEX:+--extra-index-url "$TORCH_INDEX"} -c requirements.lock ".[$EXTRAS]" \
    && pip install --no-deps -r requirements-label-studio-ml.txt \
    && pip uninstall -y labelstudio-learning-backend && rm -r backend model.py _wsgi.py build *.egg-info
COPY backend ./backend
COPY model.py _wsgi.py ./
RUN pip install --no-deps . && python -m compileall -q /opt/venv/lib

FROM python:${PYTHON_VERSION}-slim-bookworm
RUN useradd --uid 10001 --user-group --no-create-home --home-dir /data backend \
    && install -d -o backend -g backend /data
COPY --from=build /opt/venv /opt/venv
# HOME and the caches point at the volume and the temporary folder: the rest is read-only.
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HOME=/data \
    XDG_CACHE_HOME=/tmp/cache \
    HF_HOME=/data/cache/huggingface \
    DATA_DIR=/data \
    HOST=0.0.0.0 \
    PORT=9090
USER 10001:10001
VOLUME /data
EXPOSE 9090
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=15s --timeout=3s --start-period=20s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as r; r.urlopen(f\"http://127.0.0.1:{os.environ['PORT']}/health\", timeout=2)"]
ENTRYPOINT ["labelstudio-backend"]
CMD ["serve"]
