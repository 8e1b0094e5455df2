#!/usr/bin/env bash
# A base image for machines that cannot pull one: Debian with Python and a C++ compiler, by debootstrap.
#
#     docker/stand-in.sh metasgd-base:bookworm && make image IMAGE_BASE=metasgd-base:bookworm
#
# Needs root, debootstrap and a running container engine. The machine's CA bundle goes along, so that
# packages install behind a proxy that signs with a certificate of its own.
set -euo pipefail

tag=${1:?"usage: docker/stand-in.sh NAME:TAG"}
bundle=/etc/ssl/certs/ca-certificates.crt
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT

debootstrap --variant=minbase --include=python3,python3-venv,python3-dev,g++,ca-certificates bookworm "$root" \
  > "$root.log" || { tail -n 5 "$root.log" >&2; exit 1; }
rm -rf "$root.log" "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/*
[ ! -f "$bundle" ] || cp "$bundle" "$root$bundle"
tar -C "$root" -c . \
  | docker import --change "ENV SSL_CERT_FILE=$bundle PIP_CERT=$bundle REQUESTS_CA_BUNDLE=$bundle" - "$tag" > /dev/null
echo "$tag"
