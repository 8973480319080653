# bash: arrays, strings, subshells and pipelines.
. "$PROGRAMS/common.sh"
needs bash
subject bash "$INPUTS/work.bash"
