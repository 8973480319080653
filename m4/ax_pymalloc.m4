# ===========================================================================
#   ax_pymalloc.m4: a part of libpymalloc, installed with it
# ===========================================================================
#
# SYNOPSIS
#
#   AX_PYMALLOC([MINIMUM-VERSION], [ACTION-IF-FOUND], [ACTION-IF-NOT-FOUND])
#
# DESCRIPTION
#
#   Lets a program be linked with libpymalloc, a drop-in malloc, and its users
#   decide about it by a new argument of configure:
#
#     --with-pymalloc=yes    link it; configure fails if it is not there
#     --with-pymalloc=no     do without
#     --with-pymalloc=auto   link it if it is there; the default
#
#   If it is found, in MINIMUM-VERSION or a later one, then
#
#     PYMALLOC_CFLAGS and PYMALLOC_LIBS are substituted,
#     HAVE_PYMALLOC is defined to 1,
#     ax_have_pymalloc is "yes", else "no",
#
#   and ACTION-IF-FOUND is run, else ACTION-IF-NOT-FOUND.  A Makefile.am has
#
#     AM_CPPFLAGS = $(PYMALLOC_CFLAGS)
#     program_LDADD = $(PYMALLOC_LIBS)
#
#   The library is looked for by pkg-config, and without it where the compiler
#   and the linker look by themselves; users who know better set the variables
#   PYMALLOC_CFLAGS and PYMALLOC_LIBS.  That a program links with what was found
#   is tried, in the current language (C or C++).  If LDFLAGS has -static, the
#   flags are those for a fully static program.
#
#   Example:
#
#     AX_PYMALLOC([0.1])
#     AM_CONDITIONAL([HAVE_PYMALLOC], [test "$ax_have_pymalloc" = yes])
#
# LICENSE
#
#   Copyright (c) The libpymalloc authors
#
#   Copying and distribution of this file, with or without modification, are
#   permitted in any medium without royalty provided the copyright notice and
#   this notice are preserved.  This file is offered as-is, without any warranty.

#serial 1

AC_DEFUN([AX_PYMALLOC], [
AC_ARG_WITH([pymalloc],
  [AS_HELP_STRING([--with-pymalloc=yes|no|auto],
    [link with libpymalloc, a drop-in malloc @<:@auto@:>@])],
  [], [with_pymalloc=auto])
AC_ARG_VAR([PYMALLOC_CFLAGS], [compiler flags for libpymalloc, overriding pkg-config])
AC_ARG_VAR([PYMALLOC_LIBS], [linker flags for libpymalloc, overriding pkg-config])
AS_CASE([$with_pymalloc],
  [yes|no|auto], [],
  [AC_MSG_ERROR([--with-pymalloc takes yes, no or auto, not $with_pymalloc.])])
ax_have_pymalloc=no
AS_IF([test "$with_pymalloc" != no], [
  AC_PATH_TOOL([PKG_CONFIG], [pkg-config])
  AC_MSG_CHECKING([for libpymalloc]m4_ifval([$1], [[ $1 or later]]))
  AS_CASE([" $LDFLAGS "],
    [*" -static "*|*" -all-static "*|*" -static-pie "*], [ax_pymalloc_static=--static],
    [ax_pymalloc_static=])
  # What the user has given goes before what pkg-config says.
  AS_IF([test -n "$PKG_CONFIG" && $PKG_CONFIG --exists libpymalloc 2>/dev/null],
    [test -n "$PYMALLOC_CFLAGS" ||
       PYMALLOC_CFLAGS=`$PKG_CONFIG $ax_pymalloc_static --cflags libpymalloc`
     test -n "$PYMALLOC_LIBS" ||
       PYMALLOC_LIBS=`$PKG_CONFIG $ax_pymalloc_static --libs libpymalloc`])
  test -n "$PYMALLOC_LIBS" || PYMALLOC_LIBS=-lpymalloc
  # 1.2.3 as 1002003; the header says what it is of.
  ax_pymalloc_least=`echo "m4_default([$1], [0])" |
    awk -F. '{ print @S|@1 * 1000000 + @S|@2 * 1000 + @S|@3 }'`
  ax_pymalloc_CPPFLAGS=$CPPFLAGS
  ax_pymalloc_LIBS=$LIBS
  CPPFLAGS="$PYMALLOC_CFLAGS $CPPFLAGS"
  LIBS="$PYMALLOC_LIBS $LIBS"
  AC_LINK_IFELSE([AC_LANG_PROGRAM([[
#include <pymalloc/pymalloc.h>
#if PYMALLOC_VERSION_MAJOR * 1000000 + PYMALLOC_VERSION_MINOR * 1000 \
    + PYMALLOC_VERSION_PATCH < $ax_pymalloc_least
#error this libpymalloc is too old
#endif
]], [[return pymalloc_version()[0] == 0;]])],
    [ax_have_pymalloc=yes])
  CPPFLAGS=$ax_pymalloc_CPPFLAGS
  LIBS=$ax_pymalloc_LIBS
  AC_MSG_RESULT([$ax_have_pymalloc])
])
AS_IF([test "$ax_have_pymalloc" = yes],
  [AC_DEFINE([HAVE_PYMALLOC], [1], [Define to 1 if the program is linked with libpymalloc.])
   $2],
  [PYMALLOC_CFLAGS=
   PYMALLOC_LIBS=
   AS_IF([test "$with_pymalloc" = yes],
     [AC_MSG_ERROR([--with-pymalloc was given, but libpymalloc]m4_ifval([$1], [[ $1]])[ was not found (config.log tells how it was looked for).])])
   $3])
])
