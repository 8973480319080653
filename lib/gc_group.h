/*
 * Divides objects that are suspected to be garbage into groups that do not refer to
 * each other, so that a collection in slices can decide on each group by itself.
 */
#ifndef PYM_GC_GROUP_H
#define PYM_GC_GROUP_H

#include "gc_mark.h"

/* Of each suspect, by its place in the list.  A forest of which each tree is a group
 * (R. E. Tarjan, "Efficiency of a good but not linear set union algorithm", 1975), and
 * rings through the members of each. */
struct gc_groups {
    uint32_t *parent; /* itself: it stands for the group */
    uint32_t *next;
    uint32_t *weight; /* of the group, in those that stand for one */
    /* Where the suspects of a pool begin in the list, by the pool's index. */
    uint32_t *first;
};

/* Takes memory for so many suspects.  False if there is none, or they are too many. */
bool gc_groups_begin(struct gc_groups *groups, size_t count);

/* Enters the suspects of a list one after the other, each as a group.  The list is in
 * the order of addresses and ends with the large ones. */
void gc_groups_enter(struct gc_groups *groups, const struct gc_vector *suspects,
                     size_t index);

/* Joins the groups of a suspect and of all suspects that it refers to. */
void gc_groups_join(struct gc_groups *groups, const struct gc_collection *run,
                    const struct gc_vector *suspects, size_t index);

/* How much a suspect's group has to do: objects, and references of large ones. */
uint32_t gc_groups_weight(struct gc_groups *groups, size_t index);

void gc_groups_free(struct gc_groups *groups);

#endif
