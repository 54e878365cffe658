#!/bin/bash
# Study on nodes that Slurm allocates (sbatch sweeps/cluster/slurm.sh rho mtd /shared/data).
#
# 1. Submit the script from a checkout on a folder that all nodes see, after `make install` in the checkout.
# 2. Change the requests below: nodes, GPUs per node (delete the line for CPUs), time.
# 3. Ray's head starts on the first node, a worker on each of the others; the driver runs beside the head.
# 4. Cache and results go to ./cache and ./runs of the checkout; for several such jobs at once use a tracking
#    server (MLFLOW_TRACKING_URI) in place of the database file.
# 5. Two minutes before the time limit only the driver receives a signal to stop. Submit the job again to continue with
#    the unfinished experiments.
# 6. A new token guards the Ray cluster of this job. The nodes receive the token in their environment; no file holds it.
#SBATCH --job-name=meds
#SBATCH --nodes=4
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=1
#SBATCH --cpus-per-task=8
#SBATCH --time=12:00:00
#SBATCH --signal=B:INT@120
set -euo pipefail

study=${1:?study, e.g. rho} profile=${2:?profile, e.g. mtd} data=${3:?folder of the dataset}
bin=$PWD/.venv/bin
RAY_AUTH_TOKEN=$(od -An -N32 -tx1 /dev/urandom | tr -d ' \n')
export RAY_USAGE_STATS_ENABLED=0 RAY_AUTH_MODE=token RAY_AUTH_TOKEN
export SRUN_CPUS_PER_TASK=$SLURM_CPUS_PER_TASK  # since Slurm 22.05, srun gives a step one core otherwise
resources=(--num-cpus="$SLURM_CPUS_PER_TASK" --num-gpus="${SLURM_GPUS_ON_NODE:-0}")
mapfile -t nodes < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
head=${nodes[0]}  # this script runs on the head
address=$(srun --nodes=1 --ntasks=1 --nodelist="$head" hostname --ip-address | awk '{print $1}'):6379

joined() {
  "$bin/python" -c '
import sys, ray
from harness.cluster.session import session
with session(sys.argv[1]):
    print(sum(node["Alive"] for node in ray.nodes()))' "$address" 2>/dev/null || echo 0
}

wait_for() {  # waits for $1 machines, because a study counts the worker slots only once
  for _ in {1..60}; do
    if (($(joined) >= $1)); then return; fi
    sleep 5
  done
  echo "Of ${#nodes[@]} nodes, $(joined) have joined Ray; the output above shows why the others have not." >&2
  exit 1
}

srun --nodes=1 --ntasks=1 --nodelist="$head" --overlap \
  "$bin/ray" start --head --port=6379 "${resources[@]}" --block &
wait_for 1
if ((${#nodes[@]} > 1)); then
  srun --nodes=$((${#nodes[@]} - 1)) --ntasks=$((${#nodes[@]} - 1)) --exclude="$head" \
    "$bin/ray" start --address="$address" "${resources[@]}" --block &
  wait_for "${#nodes[@]}"
fi

set -m  # otherwise background processes ignore INT
"$bin/python" -m sweeps "$study" --profile "$profile" --data "$data" --address "$address" &
driver=$!
trap 'kill -INT "$driver"' INT
wait "$driver" || wait "$driver"  # the trap ends the first wait
