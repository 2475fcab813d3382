#!/usr/bin/env bash
# Installs what demo and tests need on Debian or Ubuntu, and says so; elsewhere names what is missing.
# No package that starts a service is installed: peers for tests are unpacked aside by the lab.
set -euo pipefail

declare -A package=([ip]=iproute2 [nft]=nftables [tcpdump]=tcpdump [cc]=gcc [ping]=iputils-ping [unshare]=util-linux)
missing=()
for tool in "${!package[@]}"; do
    PATH="$PATH:/usr/sbin:/sbin" command -v "$tool" >/dev/null || missing+=("${package[$tool]}")
done
command -v cargo >/dev/null || { echo "setup: a Rust toolchain (1.95 or newer) is missing: https://rustup.rs" >&2; exit 1; }
[ ${#missing[@]} -eq 0 ] && exit 0

if ! command -v apt-get >/dev/null; then
    echo "setup: please install: ${missing[*]} (names of Debian's packages)" >&2
    exit 1
fi
sudo=()
if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || { echo "setup: as root, run: apt-get install ${missing[*]}" >&2; exit 1; }
    sudo=(sudo)
fi
echo "setup: installing ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
"${sudo[@]}" apt-get update -qq
"${sudo[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
