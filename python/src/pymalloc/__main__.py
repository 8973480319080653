"""python3 -m pymalloc: see command.py.  Nothing else is here, since a program that is run
in this process takes this module's place."""

from pymalloc.command import main

main()
