/*
 * Assertions, warnings, and the one way in which misuse of the heap ends.
 *
 * PYM_ASSERT states what is proven and costs a comparison or two; PYM_ASSERT_FULL
 * may walk a structure.  Which of them are compiled in is chosen by configure
 * (--enable-debug=fast, full); the default build has neither.
 */
#ifndef PYM_CHECK_H
#define PYM_CHECK_H

#include "base.h"

#ifndef PYM_ASSERT_LEVEL
#define PYM_ASSERT_LEVEL 0
#endif

#define PYM_ASSERT(condition)                                                          \
    pym_check_that(PYM_ASSERT_LEVEL < 1 || (condition), #condition, __FILE__, __LINE__)
#define PYM_ASSERT_FULL(condition)                                                     \
    pym_check_that(PYM_ASSERT_LEVEL < 2 || (condition), #condition, __FILE__, __LINE__)

/* Reports a broken invariant of the library itself and aborts. */
_Noreturn void pym_check_broken(const char *condition, const char *file, int line);

PYM_INLINE void pym_check_that(bool holds, const char *condition, const char *file,
                               int line)
{
    if (PYM_ASSERT_LEVEL > 0 && PYM_UNLIKELY(!holds)) {
        pym_check_broken(condition, file, line);
    }
}

/*
 * Reports misuse of the heap by the program in one line that names the misuse
 * and the block.  Uses write(2) only.
 */
void pym_check_describe(const char *what, const void *block, size_t size);

/* The same, and aborts: after what cannot be left out or undone. */
_Noreturn void pym_check_misuse(const char *what, const void *block, size_t size);

/* Writes one line of warning to standard error. */
void pym_check_warn(const char *what, const char *detail);

#endif
