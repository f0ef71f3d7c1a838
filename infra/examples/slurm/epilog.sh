#!/bin/bash
# Slurm Epilog: settle what the job really held. An epilog must not fail: a reservation that cannot be settled lapses by itself at its
# last heartbeat.
set -u
CONFIG=${AURELIUS_SLURM_CONFIG:-/etc/slurm/aurelius}
STATE=${AURELIUS_SLURM_STATE:-/run/aurelius}
AURELIUS=${AURELIUS_COMMAND:-aurelius}
file=$STATE/${SLURM_JOB_ID:?}
[ -r "$file" ] || exit 0
# shellcheck source=/dev/null
[ -r "$CONFIG/config" ] && . "$CONFIG/config"
export AURELIUS_URL
export AURELIUS_API_KEY_FILE="$CONFIG/keys/${SLURM_JOB_ACCOUNT:?}"
[ -r "$file.pid" ] && kill "$(cat "$file.pid")" 2>/dev/null
$AURELIUS settle "$(cat "$file")" && rm -f "$file" "$file.pid"
exit 0
