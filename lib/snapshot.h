/*
 * The state of everything as one JSON object: what reports for programs, and the tool
 * pymalloc, are made of.  Its members are described in doc/OBSERVING.md.
 *
 * Thread-safe.  Other threads go on meanwhile, so figures of different members may be
 * of different moments.  Takes no memory but the stack's.
 */
#ifndef PYM_SNAPSHOT_H
#define PYM_SNAPSHOT_H

#include "json.h"
#include "pymalloc/pymalloc.h"

/* Writes the snapshot; flags are those of pymalloc_stats_json.  more, if it is not
 * NULL, may add members.  Tells whether the descriptor took everything. */
bool pym_snapshot_write(int fd, unsigned flags, void (*more)(struct pym_json *json));

#endif
