"""The subcommands of the tool pymalloc that look at a program's heap."""
