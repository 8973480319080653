/*
 * Many live objects, and young ones that come and go beside them.
 *
 * Young ones are held by a window, from which any other young one pushes them out; some
 * refer to others in the window, some to live ones.  One in sixteen is kept, so that
 * the live ones become more and collections of everything become due.  One in a hundred
 * is part of a ring of four, which is held for a while and then left to the collector.
 */
#include "gc_pauses.h"
#include "gc_standing.h"
#include "gc_work.h"

enum {
    WINDOW = 4096,
    ANCHORS = 4096, /* live ones that are referred to */
    RINGS = 256,    /* held at a time */
    RING = 4,
    RING_EVERY = 400,
    KEEP_EVERY = 16
};

struct churn {
    node *live;
    node **window, **anchors, **rings;
    node *kept; /* the youngest of those that are kept, which are a list */
    size_t twigs;
    size_t live_count;
    size_t garbage; /* nodes of rings that were let go */
    struct standing standing;
    struct pauses pauses;
};

static void set(node **place, node *value)
{
    node *old = *place;
    *place = value;
    if (old != NULL) {
        node_drop(old);
    }
}

/* Any twig is as likely as every other to be an anchor in the end. */
static void note_twig(node *twig, void *arg)
{
    struct churn *churn = arg;
    size_t at = any(churn->twigs + 1);
    at = churn->twigs < ANCHORS ? churn->twigs : at;
    churn->twigs++;
    if (at < ANCHORS) {
        churn->anchors[at] = twig;
    }
    pauses_mark(&churn->pauses);
}

static struct churn *grow(size_t count)
{
    struct churn *churn = backend_table(sizeof *churn);
    churn->window = backend_table(WINDOW * sizeof(node *));
    churn->anchors = backend_table(ANCHORS * sizeof(node *));
    churn->rings = backend_table(RINGS * sizeof(node *));
    churn->live_count = count;
    pauses_begin(&churn->pauses);
    churn->live = plant(count, note_twig, churn);
    return churn;
}

static node *make_ring(void)
{
    node *first = node_new(), *last = first;
    for (int i = 1; i < RING; i++) {
        node *next = node_new();
        node_store(next, &next->b, last);
        if (last != first) {
            node_drop(last);
        }
        last = next;
    }
    node_store(first, &first->b, last);
    node_drop(last);
    return first;
}

static void replace_ring(struct churn *churn)
{
    node **place = &churn->rings[any(RINGS)];
    if (*place != NULL) {
        if (!BACKEND_COLLECTS) {
            node_store(*place, &(*place)->b, NULL);
        }
        churn->garbage += RING;
    }
    set(place, make_ring());
}

static void make_young(struct churn *churn, size_t i)
{
    node *fresh = node_new();
    if (i % 4 == 1) {
        node_store(fresh, &fresh->a, churn->window[any(WINDOW)]);
    } else if (i % 4 == 2) {
        node_store(fresh, &fresh->a, churn->anchors[any(ANCHORS)]);
    }
    if (i % KEEP_EVERY == 0) {
        node_store(fresh, &fresh->b, churn->kept);
        node_keep(fresh);
        set(&churn->kept, fresh);
        churn->live_count++;
    }
    set(&churn->window[any(WINDOW)], fresh);
    if (i % RING_EVERY == 0) {
        replace_ring(churn);
    }
}

static void note_standing(struct churn *churn)
{
    if (churn->garbage > backend_events.collected) {
        size_t garbage = churn->garbage - backend_events.collected;
        standing_note(&churn->standing, garbage, churn->live_count);
    }
}

static size_t churn_young(struct churn *churn, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        make_young(churn, i);
        if (i % PAUSES_BATCH == 0) {
            pauses_mark(&churn->pauses);
            note_standing(churn);
        }
    }
    return count + count / RING_EVERY * RING;
}

size_t churn(void)
{
    struct churn *churn = grow(scaled(10000000));
    pauses_report(&churn->pauses, "grow_");
    backend_collect();
    int tells = backend_watch();
    work_begins();
    pauses_begin(&churn->pauses);
    size_t ops = churn_young(churn, lengthened(50000000));
    work_ends();
    pauses_report(&churn->pauses, "");
    if (tells) {
        standing_report(&churn->standing);
    }
    return ops;
}

size_t linear(void)
{
    size_t count = scaled(8000000);
    return count + churn_young(grow(count), 5 * count);
}
