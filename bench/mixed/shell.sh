#!/bin/bash
# shell.sh TIMES: what build and start-up scripts do: functions, strings, files, and many short processes in pipes.
set -eu
words() { # N: a reproducible list of words
    gawk -v n="$1" 'BEGIN { s = 7; for (i = 0; i < n; i++) { s = (s * 16807) % 2147483647; printf "w%04d\n", s % 3000 } }'
}
rename() {
    local name=$1
    name=${name//w/word-}
    printf '%s\n' "${name^^}"
}
mkdir -p /tmp/shell
cd /tmp/shell
for ((turn = 0; turn < $1; turn++)); do
    words 20000 >list
    sort list | uniq -c | sort -rn | head -50 >top
    while read -r count name; do
        rename "$name" >"file-$name"
        test "$count" -gt 0
    done <top
    for file in file-*; do
        sed -e 's/WORD/word/' "$file" | tr -d '\n' | cut -c1-8 >>all
        cp "$file" "copy-$file"
        mv "copy-$file" moved
    done
    grep -c word all
    sha256sum list | cut -c1-16
    rm -f file-* all moved
done
