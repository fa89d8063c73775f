#!/bin/bash
# Random reads at queue depth 32: fio and the slab store in turn, on one file. Usage: compare.sh FILE [ROUNDS]
set -eu
cd "$(dirname "$0")"
export FILE=$1 BYTES SECONDS_EACH=${SECONDS_EACH:-3}
bench="${CARGO_TARGET_DIR:-../../target}/release/examples/slab_bench --path $FILE --capacity-mib 2048 --fill-mib 1024"
median() { sort -n | awk '{v[NR]=$1} END {print v[int((NR+1)/2)], "min", v[1], "max", v[NR]}'; }
[ -e "$FILE" ] || $bench --run fill
for BYTES in 4096 131072; do
    fios=() ours=() ratios=()
    for _ in $(seq "${2:-5}"); do
        fios+=("$(fio --readonly --output-format=terse randread.fio | cut -d';' -f8)")
        ours+=("$($bench --run read --bytes "$BYTES" --seconds "$SECONDS_EACH" | sed -n 's/.*: \([0-9]*\) IOPS.* 0 misses/\1/p')")
        ratios+=("$(awk "BEGIN {print ${ours[-1]} / ${fios[-1]}}")")
    done
    for row in fios ours ratios; do declare -n list=$row; echo "$BYTES B, $row: median $(printf '%s\n' "${list[@]}" | median)"; done
done
