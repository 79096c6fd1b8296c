#!/bin/bash
# compile.sh TIMES: compile and assemble the benchmark programs with GCC's own compiler.
set -eu
cc1=$(echo /usr/libexec/gcc/*/*/cc1)
cd /mixed
for ((turn = 0; turn < $1; turn++)); do
    for source in *.i; do
        "$cc1" -quiet -fpreprocessed -march=rv64gc -mabi=lp64d -O2 "$source" -o "/tmp/$source.s"
        as "/tmp/$source.s" -o "/tmp/$source.o"
    done
done
size /tmp/*.o | gawk '{ text += $1 } END { print "text bytes", text }'
