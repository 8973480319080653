# clang: this project's sources to objects, assembly and a library, byte for byte.
. "$PROGRAMS/common.sh"
needs clang clang++
. "$INPUTS/compile.sh"
compile_project clang clang++
