#!/bin/bash
# Slurm Prolog: reserve the job's GPUs before it starts. Refused by quota or budget, the job does not start: the node is not drained,
# the job is requeued held, and the reason is in its comment.
#
#   slurm.conf:  Prolog=/etc/slurm/aurelius/prolog.sh   Epilog=/etc/slurm/aurelius/epilog.sh   PrologFlags=Alloc
#   /etc/slurm/aurelius/keys/<account>: API key (scope reserve) of the account's tenant, readable for root only
#   /etc/slurm/aurelius/config: AURELIUS_URL=…, AURELIUS_GPU_MODEL=H100
#
# The first node of a job reserves for all of them. TaskProlog (task_prolog.sh) gives the id to the job's processes.
set -u
CONFIG=${AURELIUS_SLURM_CONFIG:-/etc/slurm/aurelius}
STATE=${AURELIUS_SLURM_STATE:-/run/aurelius}
AURELIUS=${AURELIUS_COMMAND:-aurelius}
gpus=${SLURM_JOB_GPUS:-}
[ -n "$gpus" ] || exit 0
[ "${SLURM_NODEID:-0}" = 0 ] || exit 0
# shellcheck source=/dev/null
[ -r "$CONFIG/config" ] && . "$CONFIG/config"
export AURELIUS_URL
export AURELIUS_API_KEY_FILE="$CONFIG/keys/${SLURM_JOB_ACCOUNT:?}"
mkdir -p "$STATE"
each=$(awk -F, '{ print NF }' <<<"$gpus")
count=$((each * ${SLURM_JOB_NUM_NODES:-1}))
hours=$(awk -v end="${SLURM_JOB_END_TIME:-0}" -v now="$(date +%s)" 'BEGIN { left = end - now; printf "%.6f", (left > 60 ? left : 3600) / 3600 }')

# A requeued job is a new try: its restart count makes the key another one.
id=$($AURELIUS reserve --gpus "$count" --model "${AURELIUS_GPU_MODEL:?}" --hours "$hours" --ttl "${AURELIUS_TTL:-900}" \
    --label "user=${SLURM_JOB_USER:-unknown}" --label "job=${SLURM_JOB_ID:?}" \
    --idempotency-key "slurm-${SLURM_CLUSTER_NAME:-cluster}-$SLURM_JOB_ID-${SLURM_RESTART_COUNT:-0}" 2>"$STATE/$SLURM_JOB_ID.error")
status=$?
case $status in
0) ;;
3) # refused: tell the user, hold the job, and let the node go on
    command -v scontrol >/dev/null && {
        scontrol update "JobId=$SLURM_JOB_ID" "Comment=$(head -c 200 "$STATE/$SLURM_JOB_ID.error")"
        scontrol requeuehold "$SLURM_JOB_ID"
    }
    cat "$STATE/$SLURM_JOB_ID.error" >&2
    exit 0 ;;
*) cat "$STATE/$SLURM_JOB_ID.error" >&2
    # The portal cannot be asked. AURELIUS_FAIL=open lets jobs start unreserved: the collectors bill what they hold.
    [ "${AURELIUS_FAIL:-open}" = open ] && exit 0
    exit 1 ;;
esac
rm -f "$STATE/$SLURM_JOB_ID.error"
echo "$id" >"$STATE/$SLURM_JOB_ID"
# setsid: slurmd ends whatever a prolog leaves in its process group.
setsid $AURELIUS heartbeat "$id" --every "${AURELIUS_HEARTBEAT:-60}" </dev/null >/dev/null 2>&1 &
echo $! >"$STATE/$SLURM_JOB_ID.pid"
exit 0
