# PYM_CHECK_FLAGS(LANGUAGE, VARIABLE, FLAGS)
# Puts those of FLAGS that the compiler of LANGUAGE takes into VARIABLE and
# substitutes it.  Each is tried alone and with -Werror, because clang only
# warns about an option that it does not know.
AC_DEFUN([PYM_CHECK_FLAGS], [
AC_LANG_PUSH([$1])
$2=
pym_save_flags=$[]_AC_LANG_PREFIX[]FLAGS
for pym_flag in m4_normalize([$3]); do
  AC_MSG_CHECKING([whether $[]_AC_CC takes $pym_flag])
  _AC_LANG_PREFIX[]FLAGS="$pym_save_flags -Werror $pym_flag"
  AC_COMPILE_IFELSE([AC_LANG_SOURCE([[extern int pym_probe; int pym_probe = 1;]])],
    [AC_MSG_RESULT([yes])
     AS_VAR_APPEND([$2], [" $pym_flag"])],
    [AC_MSG_RESULT([no])])
done
_AC_LANG_PREFIX[]FLAGS=$pym_save_flags
AC_LANG_POP([$1])
AC_SUBST([$2])
])

# PYM_CHECK_LDFLAGS(VARIABLE, FLAGS)
# The same for the linker, with a shared library.
AC_DEFUN([PYM_CHECK_LDFLAGS], [
$1=
pym_save_flags=$LDFLAGS
for pym_flag in m4_normalize([$2]); do
  AC_MSG_CHECKING([whether the linker takes $pym_flag])
  LDFLAGS="$pym_save_flags -shared -fPIC $pym_flag"
  AC_LINK_IFELSE([AC_LANG_SOURCE([[extern int pym_probe; int pym_probe = 1;]])],
    [AC_MSG_RESULT([yes])
     AS_VAR_APPEND([$1], [" $pym_flag"])],
    [AC_MSG_RESULT([no])])
done
LDFLAGS=$pym_save_flags
AC_SUBST([$1])
])
