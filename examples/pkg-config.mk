# The examples, built with make and pkg-config:
#
#   make -f pkg-config.mk
#   make -f pkg-config.mk stats-static    fully static, where there is a static libc
#
# PKG_CONFIG_PATH tells pkg-config about a libpymalloc in a place of its own.
PKG_CONFIG = pkg-config
CFLAGS = -O2 -g
PYMALLOC_CFLAGS := $(shell $(PKG_CONFIG) --cflags libpymalloc)
PYMALLOC_LIBS := $(shell $(PKG_CONFIG) --libs libpymalloc)
PYMALLOC_STATIC_LIBS := $(shell $(PKG_CONFIG) --static --libs libpymalloc)

# Where this file and the sources are.
here := $(dir $(lastword $(MAKEFILE_LIST)))

examples = stats
# A library may have been built without the object layer.
ifeq ($(shell $(PKG_CONFIG) --variable=gc libpymalloc),yes)
examples += graph lisp
endif

all: $(examples)

%: $(here)%.c
	$(CC) $(CFLAGS) $(PYMALLOC_CFLAGS) $< -o $@ $(LDFLAGS) $(PYMALLOC_LIBS)

# The library and the C library are in the program.
stats-static: $(here)stats.c
	$(CC) $(CFLAGS) $(PYMALLOC_CFLAGS) $< -o $@ $(LDFLAGS) -static $(PYMALLOC_STATIC_LIBS)

clean:
	rm -f stats stats-static graph lisp

.PHONY: all clean
