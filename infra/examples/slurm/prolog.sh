#!/bin/bash
# Slurm Prolog: reserve the job's GPUs before it starts. Refused by quota or budget, the job does not start: the node is not drained,
# a batch job is requeued held with the reason in its comment, any other job is cancelled.
#
#   slurm.conf:  Prolog=/etc/slurm/aurelius/prolog.sh   Epilog=/etc/slurm/aurelius/epilog.sh   PrologFlags=Alloc
#   /etc/slurm/aurelius/keys/<account>: API key (scope reserve) of the account's tenant, readable for root only
#   /etc/slurm/aurelius/config: AURELIUS_URL=…, AURELIUS_GPU_MODEL=H100
#
# The first node of a job reserves for all of them. TaskProlog (task_prolog.sh) gives the id to the job's processes.
# Slurm says more or less of a job by its version, and runs a prolog without PATH: what it leaves out, scontrol is asked.
set -u
export PATH=${PATH:-/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin}
CONFIG=${AURELIUS_SLURM_CONFIG:-/etc/slurm/aurelius}
# shellcheck source=/dev/null
[ -r "$CONFIG/config" ] && . "$CONFIG/config"
STATE=${AURELIUS_SLURM_STATE:-/run/aurelius}
AURELIUS=${AURELIUS_COMMAND:-aurelius}
JOB=${SLURM_JOB_ID:?}
gpus=${SLURM_JOB_GPUS:-}
[ -n "$gpus" ] || exit 0

hosts() { scontrol show hostnames "$1" 2>/dev/null; }
if [ -z "${SLURM_NODEID:-}" ]; then # 22.05 does not say it
    first=$(hosts "${SLURM_JOB_NODELIST:-${SLURM_NODELIST:-}}" | head -n 1)
    [ -z "$first" ] || [ "$first" = "${SLURMD_NODENAME:-$first}" ] || exit 0
fi
[ "${SLURM_NODEID:-0}" = 0 ] || exit 0

# GPUs of all nodes: as the job's record says, since nodes may give different numbers; else this node's times the nodes.
counted=0
while read -r nodes on_each; do
    counted=$((counted + on_each * $(hosts "$nodes" | wc -l)))
done < <(scontrol --details show job "$JOB" 2>/dev/null | awk '
    / Nodes=/ && / GRES=/ {
        nodes = $0; sub(/.* Nodes=/, "", nodes); sub(/ .*/, "", nodes)
        gres = $0; sub(/.* GRES=/, "", gres); sub(/ .*/, "", gres); gsub(/\([^)]*\)/, "", gres)
        parts = split(gres, each, ","); count = 0
        for (i = 1; i <= parts; i++) if (each[i] ~ /^gpu:/) { n = split(each[i], word, ":"); count += word[n] }
        print nodes, count
    }')
[ "$counted" -gt 0 ] || counted=$(($(awk -F, '{ print NF }' <<<"$gpus") * ${SLURM_JOB_NUM_NODES:-1}))

end=${SLURM_JOB_END_TIME:-$(SLURM_TIME_FORMAT=%s scontrol show job "$JOB" 2>/dev/null | sed -n 's/.* EndTime=\([0-9]*\) .*/\1/p' | head -n 1)}
hours=$(awk -v end="${end:-0}" -v now="$(date +%s)" -v otherwise="${AURELIUS_HOURS:-8}" \
    'BEGIN { left = (end - now) / 3600; printf "%.6f", (left <= 0 ? otherwise : left < 1 / 60 ? 1 / 60 : left) }')

# A requeued job is a new try: its restart count makes the key another one.
restarts=${SLURM_JOB_RESTART_COUNT:-${SLURM_RESTART_COUNT:-0}}
mkdir -p -m 0755 "$STATE"
export AURELIUS_URL
export AURELIUS_API_KEY_FILE="$CONFIG/keys/${SLURM_JOB_ACCOUNT:-none}"
id=$($AURELIUS reserve --gpus "$counted" --model "${AURELIUS_GPU_MODEL:?}" --hours "$hours" --ttl "${AURELIUS_TTL:-900}" \
    --label "user=${SLURM_JOB_USER:-unknown}" --label "job=$JOB" \
    --idempotency-key "slurm-${SLURM_CLUSTER_NAME:-cluster}-$JOB-$restarts" 2>"$STATE/$JOB.error")
status=$?
reason=$(head -c 200 "$STATE/$JOB.error")
rm -f "$STATE/$JOB.error"
tell() { # slurmd keeps no output of a prolog that succeeds
    logger -t aurelius-slurm "job $JOB: $1" 2>/dev/null
    echo "$1" >&2
}
case $status in
0) ;;
3) # refused: tell the user, hold the job, and let the node go on
    tell "refused: $reason"
    scontrol update "JobId=$JOB" "Comment=$reason"
    # Only a batch job can be queued again; an interactive one must not start either.
    scontrol requeuehold "$JOB" 2>/dev/null || scancel "$JOB" || exit 1
    sleep "${AURELIUS_REFUSED_PAUSE:-2}" # until slurmd has heard of it: else the job's first lines run
    exit 0 ;;
*) tell "not reserved (status $status): $reason"
    # The portal cannot be asked. AURELIUS_FAIL=open lets jobs start unreserved: the collectors bill what they hold.
    [ "${AURELIUS_FAIL:-open}" = open ] && exit 0
    exit 1 ;;
esac
echo "$id" >"$STATE/$JOB"
if ! grep -qs -- "$id" "/proc/$(cat "$STATE/$JOB.pid" 2>/dev/null || echo none)/cmdline"; then
    # slurmd ends whatever a prolog leaves in its process group, so the heartbeats need a session of their own before this ends.
    setsid $AURELIUS heartbeat "$id" --every "${AURELIUS_HEARTBEAT:-60}" </dev/null >/dev/null 2>&1 &
    pid=$!
    echo $pid >"$STATE/$JOB.pid"
    for _ in {1..100}; do
        [ "$(cut -d ' ' -f 6 "/proc/$pid/stat" 2>/dev/null)" = "$pid" ] && break
        sleep 0.05
    done
fi
exit 0
