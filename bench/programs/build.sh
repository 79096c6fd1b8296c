#!/bin/sh
# build.sh OUTDIR: compile the benchmark programs, static, for riscv64. Needs Debian's gcc-riscv64-linux-gnu and libc6-dev-riscv64-cross.
set -eu
out=$1
mkdir -p "$out"
cd "$(dirname "$0")"
cross=${CROSS-riscv64-linux-gnu-}
for source in *.c; do
    "${cross}gcc" -O2 -std=gnu11 -Wall -Wextra -ffp-contract=off -static -o "$out/${source%.c}" "$source" -lm
done
