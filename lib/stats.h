/*
 * Totals over all heaps, and the report that people read.
 *
 * Nothing is counted on fast paths: what was handed out follows from what the
 * bins were supplied with and what is left in them.  Thread-safe.
 */
#ifndef PYM_STATS_H
#define PYM_STATS_H

#include "base.h"

#include "pymalloc/pymalloc.h"

void pym_stats_get(struct pymalloc_totals *out);

/* Writes the report to a descriptor. */
void pym_stats_report(int fd);

#endif
