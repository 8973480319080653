/*
 * Reports of what a program did wrong with a block, in fixed words.
 *
 * They return only if the option "abort" is 0.
 */
#ifndef PYM_JUDGE_H
#define PYM_JUDGE_H

#include "harden.h"

#if PYM_HARDENED

enum pym_verb { PYM_FREE, PYM_REALLOC };

/* Finds out what is wrong with a pointer that is no live block, and reports it. */
void pym_judge(enum pym_verb verb, const void *pointer);

void pym_complain_of_overflow(const void *block, size_t size);
void pym_complain_of_underflow(const void *block, size_t size);
void pym_complain_of_write(const void *block, size_t size);

#endif

#endif
