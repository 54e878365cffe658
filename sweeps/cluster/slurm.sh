#!/bin/bash
# A study on nodes that Slurm gives (sbatch sweeps/cluster/slurm.sh rho mtd /shared/data).
#
# 1. Run it from a checkout on a folder that all nodes see, after `make install` there.
# 2. Change the requests below: nodes, GPUs per node (leave the line out for CPUs), time.
# 3. Ray's head starts on the first node, a worker on each of the others; the driver runs beside the head.
# 4. Cache and results go to ./cache and ./runs of the checkout; with several such jobs at once use a tracking server
#    (MLFLOW_TRACKING_URI) in place of the database file.
# 5. When the time is over the job ends; submit it again, and it goes on with what is not finished.
#SBATCH --job-name=meds
#SBATCH --nodes=4
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=1
#SBATCH --cpus-per-task=8
#SBATCH --time=12:00:00
#SBATCH --signal=INT@120
set -euo pipefail

study=${1:?study, e.g. rho} profile=${2:?profile, e.g. mtd} data=${3:?folder of the dataset}
bin=$PWD/.venv/bin
export RAY_USAGE_STATS_ENABLED=0
mapfile -t nodes < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
head=${nodes[0]}
address=$(srun --nodes=1 --ntasks=1 --nodelist="$head" hostname --ip-address | awk '{print $1}'):6379

srun --nodes=1 --ntasks=1 --nodelist="$head" --overlap \
  "$bin/ray" start --head --port=6379 --num-cpus="$SLURM_CPUS_PER_TASK" --block &
sleep 20
if ((${#nodes[@]} > 1)); then
  srun --nodes=$((${#nodes[@]} - 1)) --ntasks=$((${#nodes[@]} - 1)) --exclude="$head" \
    "$bin/ray" start --address="$address" --num-cpus="$SLURM_CPUS_PER_TASK" --block &
  sleep 20
fi
srun --nodes=1 --ntasks=1 --nodelist="$head" --overlap \
  "$bin/python" -m sweeps "$study" --profile "$profile" --data "$data" --address "$address"
