# java: compiles and runs a program with threads, native buffers and compression.
. "$PROGRAMS/common.sh"
needs java javac

cp "$INPUTS/Work.java" .
subject javac -J-Xmx256m -d . Work.java
subject java -Xmx256m -XX:+UseG1GC -cp . Work
subject java -Xmx128m -XX:+UseSerialGC -Xcomp -XX:TieredStopAtLevel=1 -cp . Work
