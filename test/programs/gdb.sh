# gdb: a program under the debugger: breakpoints, backtraces, types, its Python.
. "$PROGRAMS/common.sh"
needs gdb g++

g++ -g -O0 -o inferior "$INPUTS/inferior.cc"
# The program that is debugged inherits the preload.
subject gdb -nx -q -batch -x "$INPUTS/work.gdb" inferior >gdb.log
# Numbers of processes, addresses of frames and code differ from run to run.
sed -e 's/[(]LWP [0-9]*[)]//; s/[(]process [0-9]*[)]//; s/0x[0-9a-f]*/ADDRESS/g' gdb.log
