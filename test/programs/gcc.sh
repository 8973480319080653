# gcc: this project's sources to objects, assembly and a library, byte for byte.
. "$PROGRAMS/common.sh"
needs gcc g++
. "$INPUTS/compile.sh"
compile_project gcc g++
