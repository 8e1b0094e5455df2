# The image that serves models on the CPU, without the gigabytes of CUDA. Every step's image serves, too.
#
#     docker build --file docker/serving.Dockerfile --tag metasgd-serving-python:TAG .

ARG BASE=python:3.11-slim-bookworm

# ---- The locked requirements, but for CUDA's.
FROM ${BASE} AS dependencies
RUN command -v g++ > /dev/null || { \
      apt-get update \
      && apt-get install -y --no-install-recommends g++ \
      && rm -rf /var/lib/apt/lists/*; }
COPY requirements-uv.txt docker/requirements.txt /locked/
RUN python3 -m venv /uv \
    && /uv/bin/pip install --no-cache-dir --require-hashes -r /locked/requirements-uv.txt
# torch's wheel is linked with CUDA's libraries. The small ones stay, with the one that looks for a GPU.
RUN awk '/^[a-z0-9]/ { cuda = /^(triton|cuda-.*|nvidia-.*)==/ && !/^nvidia-(cuda-runtime|cuda-cupti|cufile)==/ } !cuda' \
      /locked/requirements.txt > /locked/cpu.txt \
    && /uv/bin/uv venv --no-cache /opt/metasgd \
    && /uv/bin/uv pip install --no-cache --python /opt/metasgd/bin/python --no-deps --require-hashes \
         --compile-bytecode -r /locked/cpu.txt
# In the place of the large ones stands a library with the same names, whose functions end the process. Only a
# GPU that was found is given work, and CUDA_VISIBLE_DEVICES below hides all of them.
RUN cd "$(dirname "$(find /opt/metasgd -name libtorch_cuda.so)")" \
    && linked="libtorch_cuda.so libtorch_python.so libtorch_nvshmem.so" \
    && large="(cublas|cudnn|cufft|cusparse|nccl|nvrtc|nvshmem)" \
    && { echo '#include <stdio.h>' && echo '#include <stdlib.h>' \
         && echo 'void absent(void) { fputs("CUDA is not in this image. ", stderr); abort(); }' \
         && nm -D --undefined-only $linked | sed -nE "s/^ +U (${large}[A-Za-z0-9_]*).*/\1/p" | sort -u \
            | sed 's/.*/void &(void) __attribute__((alias("absent")));/'; } > /tmp/absent.c \
    && gcc -shared -fPIC -o libabsent.so /tmp/absent.c \
    && for library in $(readelf -d $linked | sed -nE "s/.*\[(lib${large}[^]]*)\].*/\1/p" | sort -u); do \
         ln -s libabsent.so "$library" || exit 1; done \
    && CUDA_VISIBLE_DEVICES= /opt/metasgd/bin/python -c 'import torch, torchvision; torch.ones(2, 2) @ torch.ones(2, 2)'

# ---- The image: no compiler, no pip, no uv, no caches.
FROM ${BASE}
COPY --from=dependencies /opt/metasgd /opt/metasgd
ENV PATH=/opt/metasgd/bin:$PATH \
    PYTHONPATH=/app \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    HOME=/tmp \
    USER=metasgd \
    MPLCONFIGDIR=/tmp/matplotlib \
    CUDA_VISIBLE_DEVICES= \
    GIT_PYTHON_REFRESH=quiet \
    MLFLOW_DISABLE_TELEMETRY=true \
    MLFLOW_ALLOW_PICKLE_DESERIALIZATION=false
WORKDIR /app
COPY metasgd metasgd
COPY components components
RUN python3 -m compileall -q metasgd components
USER 1000:1000

ARG COMMIT
ARG REFERENCE
ENV METASGD_COMMIT=${COMMIT} \
    METASGD_IMAGE=${REFERENCE}
LABEL org.opencontainers.image.title="metasgd-serving" \
      org.opencontainers.image.description="Models of the Meta-SGD pipeline, served on the CPU" \
      org.opencontainers.image.revision="${COMMIT}"
