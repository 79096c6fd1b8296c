#!/bin/sh
# Build monitor.elf beside this script. Needs Debian's gcc-riscv64-linux-gnu; the result is in the tree, so only who changes the source runs this.
# The same compiler gives the same bytes: no build id, no paths, no times.
set -eu
cd "$(dirname "$0")"
cross=${CROSS:-riscv64-linux-gnu-}
# fno-tree-loop-distribute-patterns: or the compiler would call memset and memcpy, which are not here
${cross}gcc -march=rv64imafdc -mabi=lp64d -mcmodel=medany -Os -std=c11 -Wall -Wextra -Werror \
    -ffreestanding -ffp-contract=off -fno-pic -fno-stack-protector -fno-asynchronous-unwind-tables -fno-tree-loop-distribute-patterns \
    -nostdlib -static -Wl,--build-id=none,-z,norelro,-z,noexecstack,--no-warn-rwx-segments,-T,memory.ld \
    -o monitor.elf start.S console.c devicetree.c bench.c trap.c commands.c
${cross}strip --strip-all -R .comment -R .riscv.attributes monitor.elf
