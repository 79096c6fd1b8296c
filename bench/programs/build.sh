#!/bin/sh
# build.sh OUTDIR [COMPILER [OPTIONS]]: compile the benchmark programs, static. The usual compiler is Debian's for riscv64 (gcc-riscv64-linux-gnu,
# libc6-dev-riscv64-cross).
set -eu
out=$1
shift
[ $# -gt 0 ] || set -- riscv64-linux-gnu-gcc
mkdir -p "$out"
cd "$(dirname "$0")"
for source in *.c; do
    "$@" -O2 -std=gnu11 -Wall -Wextra -ffp-contract=off -static -o "$out/${source%.c}" "$source" -lm
done
