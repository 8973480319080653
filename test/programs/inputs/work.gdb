# Deterministic work for gdb, on inferior.cc: no addresses, no uninitialised data.
set pagination off
set width 0
set print thread-events off
set print address off
set debuginfod enabled off

# Types, lines and scopes, before anything runs.
info types Shape
ptype Square
ptype Words
whatis main
list leaf
info scope descend
info functions descend

# A conditional breakpoint with commands, hit hundreds of times.
set $hits = 0
break leaf if depth == 0 && words.size() > 5
commands
silent
set $hits = $hits + 1
if $hits % 50 == 1
printf "breakpoint reached %d\n", $hits
bt
end
continue
end
break all_is_set
run
printf "hits %d\n", $hits

# Values through the pretty-printers of libstdc++, a call into the program.
up
print words
print square
print tree.left->value
print total
disable 1
print descend(3, words)
print line
set var total = 5
print total * 2
info frame
down
finish

# The Python inside gdb.
python
import gdb
total = 0
for name in ("Square", "Shape", "Words"):
    for field in gdb.lookup_type(name).strip_typedefs().fields():
        total += len(field.name or "")
print("python", total)
for i in range(20000):
    value = gdb.parse_and_eval(f"{i} * 2 + $hits")
print("evaluated", int(value))
names = set()
block = gdb.lookup_global_symbol("main").symtab.global_block()
for symbol in block:
    names.add(symbol.print_name)
print("symbols", len(names), sorted(names)[:5])
end

# All symbols of all libraries, then a second run to its end.
maintenance expand-symtabs
info functions -n regex_traits
delete
run
info sharedlibrary libstdc
