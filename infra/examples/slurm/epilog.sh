#!/bin/bash
# Slurm Epilog: settle what the job really held. An epilog must not fail: a reservation that cannot be settled lapses by itself at its
# last heartbeat.
set -u
export PATH=${PATH:-/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin}
CONFIG=${AURELIUS_SLURM_CONFIG:-/etc/slurm/aurelius}
# shellcheck source=/dev/null
[ -r "$CONFIG/config" ] && . "$CONFIG/config"
STATE=${AURELIUS_SLURM_STATE:-/run/aurelius}
AURELIUS=${AURELIUS_COMMAND:-aurelius}
file=$STATE/${SLURM_JOB_ID:?}
[ -r "$file" ] || exit 0
id=$(cat "$file")
export AURELIUS_URL
export AURELIUS_API_KEY_FILE="$CONFIG/keys/${SLURM_JOB_ACCOUNT:-none}"
pid=$(cat "$file.pid" 2>/dev/null)
# Its number may have gone to another process by now.
[ -n "$pid" ] && grep -qs -- "$id" "/proc/$pid/cmdline" && kill "$pid" 2>/dev/null
$AURELIUS settle "$id" || logger -t aurelius-slurm "job $SLURM_JOB_ID: $id could not be settled and lapses" 2>/dev/null
rm -f "$file" "$file.pid"
exit 0
