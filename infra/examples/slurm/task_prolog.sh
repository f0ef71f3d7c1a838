#!/bin/bash
# Slurm TaskProlog: what it prints as "export NAME=value" is in the environment of the job's tasks.
STATE=${AURELIUS_SLURM_STATE:-/run/aurelius}
[ -r "$STATE/${SLURM_JOB_ID:-none}" ] && echo "export AURELIUS_RESERVATION_ID=$(cat "$STATE/$SLURM_JOB_ID")"
exit 0
