# compile_project CC CXX: compiles the library's sources and a program in C++ with
# the compilers given, and prints checksums of all that comes out.
compile_project() {
    [ -f "$top_builddir/config.h" ] || skip "$top_builddir is not configured"
    _flags="-DHAVE_CONFIG_H -D_GNU_SOURCE -I$top_builddir -I$top_srcdir/include
        -I$top_srcdir/lib -fPIC -pthread"
    # shellcheck disable=SC2086 # $_flags is a list of options
    for _source in "$top_srcdir"/lib/*.c; do
        _name=$(basename "$_source" .c)
        subject "$1" $_flags -O2 -g -c "$_source" -o "$_name.o"
        subject "$1" $_flags -O3 -S "$_source" -o "$_name.s"
    done
    subject "$1" -shared -pthread ./*.o -o library.so
    subject "$2" -O2 -g -std=c++17 -c "$INPUTS/inferior.cc" -o inferior.o
    subject "$2" -O1 -std=c++20 -E "$INPUTS/inferior.cc" -o inferior.ii
    subject "$2" inferior.o -o inferior -pthread
    ./inferior
    digest ./*.o ./*.s library.so inferior.ii inferior
}
