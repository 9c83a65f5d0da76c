#!/usr/bin/env bash
# Workers of one study as a job array: sbatch --array=0-31 deploy/slurm.sh data=mnist search.n_trials=500
# A worker that must give way, or whose time is over, leaves its trial to the others and is queued again.
#SBATCH --job-name=mlpsweep
#SBATCH --requeue
#SBATCH --signal=B:TERM@60
#SBATCH --open-mode=append
#SBATCH --cpus-per-task=1
#SBATCH --mem=2G
#SBATCH --time=08:00:00
set -u

python -m pipeline.search "$@" worker="${SLURM_ARRAY_TASK_ID:-0}" &
worker=$!

give_way() {
    trap '' TERM
    kill -TERM "$worker"
    wait "$worker"
    if [ $? -eq 143 ]; then scontrol requeue "$SLURM_JOB_ID"; fi
    exit 0
}
trap give_way TERM
wait "$worker"
