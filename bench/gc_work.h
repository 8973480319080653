/*
 * What the workloads of gc_work.c share.  Each is a function that does its work at the
 * scale that was asked for and returns its number of operations.
 */
#ifndef BENCH_GC_WORK_H
#define BENCH_GC_WORK_H

#include "common.h"
#include "gc_backend.h"

enum { PAYLOAD_MAX = 256 };

size_t trees(void);
size_t gcbench(void);
size_t live(void);
size_t rings(void);
size_t one_ring(void);
size_t chain(void);
size_t dag(void);
size_t web(void);
size_t live_web(void);
size_t wide_object(void);
size_t churn(void);
size_t linear(void);
size_t rewrite(void);
size_t overhead(void);
size_t forked(void);

/* That many objects, and that many steps, in this run; enough for every workload to
 * make sense. */
size_t scaled(size_t objects);
size_t lengthened(size_t steps);

/* 0 .. below - 1, at random. */
size_t any(size_t below);

/* What is measured begins after the preparations, and ends before anything that is
 * done only to look; otherwise it is the whole of a workload. */
void work_begins(void);
void work_ends(void);

/* So many seconds were not the workload's. */
void work_excludes(double seconds);

/* Adds " key=value ..." to the line that reports the result. */
__attribute__((format(printf, 1, 2))) void result_add(const char *format, ...);

/* A table of nodes whose edges lead to nodes at random, of those before each or of
 * all. */
node **make_nodes(size_t count, int only_older);

/* A tree of count nodes in the order in which they are made: a node, its left subtree,
 * its right one.  Of each path one node with 8 to 15 in its tree is told, as soon as
 * that is there, unless tell is NULL. */
typedef void plant_fn(node *twig, void *arg);
node *plant(size_t count, plant_fn *tell, void *arg);

/* Measures full collections of what is alive now; returns the operations of a
 * workload that does nothing else. */
size_t collect_repeatedly(size_t objects);

#endif
