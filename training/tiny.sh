#!/bin/sh
# The embedded model from nothing: banks of what every domain is rendered from, the vocabulary, then slices of training,
# each of which goes on from what the one before saved. About twelve hours on two cores.
#
#     sh training/tiny.sh PYTHON FOLDER
#
# The weights in the package began with less: until the end of stage 7 the decoder had four layers, only questions were
# thought over and no words were told twice (training/copying.py); that came in the last half of stage 8. Until the end of
# stage 8, a clip was one of speech with 0.29, of emotion 0.10, music 0.11, questions 0.25 and of a meeting with 0.11; in
# stage 9, of speakers 0.04, emotion 0.05, music 0.07, questions 0.28 and of a meeting with 0.15. Speakers that no
# synthesizer has (training/speakers.py) and given thoughts (training/domains/meetings_retold.py) came in stage 10, the
# latter with words of any kind and beside twice as many meetings, after 13 minutes.
#
# What is done is not done again: a run that was killed goes on where it last saved. FOLDER/checkpoint is the model.
set -eu
python=${1:-python3}
run=${2:-build/tiny}
banks=$run/banks
export OMP_WAIT_POLICY=PASSIVE
mkdir -p "$banks"

# bank NAME MODULE OPTIONS...: a bank has its name once it is whole.
bank() {
  name=$1 module=$2
  shift 2
  [ -e "$banks/$name" ] && return
  rm -rf "$banks/$name.new"
  "$python" -m "training.$module" --out "$banks/$name.new" "$@"
  mv "$banks/$name.new" "$banks/$name"
}

# stage NAME STAGE MINUTES OPTIONS...
stage() {
  [ -e "$run/$1.done" ] && return
  name=$1 kind=$2 minutes=$3
  shift 3
  "$python" -m training.train "$kind" --run "$run" --banks "$banks" --minutes "$minutes" "$@"
  touch "$run/$name.done"
}

bank bank1 bank --seed 1 --count 30000
bank bank2 bank --seed 2 --count 30000
bank voices_bank domains.voices_bank --seed 1 --speakers 3200
bank emotions_bank domains.emotions_bank --seed 1 --speakers 600
bank scenes_bank domains.scenes_bank --seed 1 --events 250 --beds 40
bank music_bank domains.music_bank
bank meetings_bank domains.meetings_bank --seed 1 --count 12000

if [ ! -e "$run/vocabulary.done" ]; then
  rm -rf "$run/vocabulary"
  "$python" -m training.vocabulary --out "$run/vocabulary"
  "$python" -m training.more_vocabulary --run "$run" --banks "$banks"
  touch "$run/vocabulary.done"
fi

stage 1-encoder encoder 12
stage 2-short short 14
stage 3-speech speech 65
stage 4-long long 32
stage 5-all all 77
stage 6-all all 84
stage 7-all all 95 --processes 2
stage 8-all all 112 --processes 2
stage 9-all all 98 --processes 2
stage 10-all all 92 --processes 2
stage 11-settle settle 30 --processes 2
