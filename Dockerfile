# The site and its workers in one image. The default torch build brings NVIDIA's libraries (several gigabytes).
# Without a GPU, build a small image from the CPU wheels that pytorch.org's "get started" page names:
#   docker compose build --build-arg TORCH_INDEX=ADDRESS_OF_THE_CPU_WHEELS
FROM python:3.11-slim

ARG TORCH_INDEX=
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /app

# Each layer changes less often than the one after it.
RUN pip install torch==2.13.0 ${TORCH_INDEX:+--index-url $TORCH_INDEX}
COPY requirements.txt ./
COPY requirements ./requirements
RUN pip install -r requirements.txt

COPY . .
RUN useradd --uid 10001 --create-home annotate && mkdir /data && chown annotate /data
USER annotate
ENV DATA_DIR=/data DJANGO_SETTINGS_MODULE=annotate.settings HF_HOME=/data/huggingface
VOLUME /data
EXPOSE 8000
CMD ["python", "manage.py", "up", "--host", "0.0.0.0"]
