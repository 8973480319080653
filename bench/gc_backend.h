/*
 * The object layers that are compared, behind one set of names.  The workloads are
 * compiled once for each, with GC_BACKEND_... defined:
 *
 *   PYGC     libpymalloc's object layer
 *   COUNTS   malloc and plain reference counts: what counting itself costs; cycles
 *            are never freed
 *   CPYTHON  CPython's objects and its gc module's collector, through its C interface
 *   BOEHM    the Boehm-Demers-Weiser collector: no counts at all
 *
 * Each has a header with what is inlined:
 *
 *   struct node         two references a and b, and a number, value
 *   struct wide         as many references as it was made with: items[]
 *   BACKEND_COLLECTS    whether cycles are ever freed
 *   node_new            gives a reference to a new node, all zero
 *   node_store          takes a reference of its own and drops the slot's old one;
 *                       either may be NULL
 *   node_drop           gives a reference up
 *   node_keep           takes one more
 *
 * and a source file with the rest.  One thread.
 */
#ifndef BENCH_GC_BACKEND_H
#define BENCH_GC_BACKEND_H

#include <stddef.h>
#include <stdint.h>

typedef struct node node;
typedef struct wide wide;

#if defined(GC_BACKEND_PYGC)
#include "gc_pygc.h"
#elif defined(GC_BACKEND_COUNTS)
#include "gc_counts.h"
#elif defined(GC_BACKEND_CPYTHON)
#include "gc_cpython.h"
#elif defined(GC_BACKEND_BOEHM)
#include "gc_boehm.h"
#endif

extern const char *const backend;

void backend_start(void);
const char *backend_version(void);

/* A full collection, now. */
void backend_collect(void);

/* Collections by themselves: on, as at first, or off. */
void backend_automatic(int on);

/* -1 if there is no such setting. */
int backend_set_pause_target(uint64_t ns);

/* Zeroed memory for references that are held from outside. */
void *backend_table(size_t bytes);

/* An object of so many bytes without references; one with a payload of so many bytes,
 * two references first.  Neither is ever given up. */
void *backend_data(size_t bytes);
void *backend_object(size_t payload);

/* A new object with n references, all NULL; may stand for a node in node_store. */
wide *wide_new(size_t n);

/* What the collector has done since backend_watch, which returns whether it tells. */
struct backend_events {
    size_t collected; /* objects, by all collections that have ended */
    size_t fulls;     /* full collections that have ended */
    size_t last_full; /* objects, by the last of these */
};
extern struct backend_events backend_events;
int backend_watch(void);

/* Nodes that have been made and not freed, where backend_watch returns 1. */
size_t backend_nodes(void);

/* Adds to the result what the collector says of itself. */
void backend_report(void);

#endif
