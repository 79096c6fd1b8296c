#!/bin/bash
# all.sh SIZE: every part in turn, between marks that the host times.
PATH=/usr/bin:/bin
export PATH LC_ALL=C
for part in compile:1 shell:1 database:6; do
    name=${part%:*}
    echo "BENCH-BEGIN $name"
    bash "/mixed/$name.sh" $((${part#*:} * $1))
    echo "BENCH-END $name $?"
done
