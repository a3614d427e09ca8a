#!/bin/sh
# The embedded model from nothing: two banks of sentences, then the slices of training. Some two and a
# half hours on two cores. Each slice goes on from what the last one saved; a killed one is run again.
set -eu
python=${1:-python3}
run=${2:-build/tiny}
export OMP_WAIT_POLICY=PASSIVE
for seed in 1 2; do
  [ -e "$run/bank$seed/sentences.jsonl" ] || "$python" -m training.bank --out "$run/bank$seed" --seed $seed --count 30000
done
banks="--bank $run/bank1 --bank $run/bank2"
"$python" -m training.train encoder --run "$run" $banks --minutes 12
"$python" -m training.train short --run "$run" $banks --minutes 14
"$python" -m training.train speech --run "$run" $banks --minutes 65
"$python" -m training.train long --run "$run" $banks --minutes 32
