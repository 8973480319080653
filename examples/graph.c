/*
 * A graph of objects that refer to each other, on libpymalloc's object layer: cities
 * and the roads between them.
 *
 *     cc graph.c $(pkg-config --cflags --libs libpymalloc) -o graph
 *     ./graph
 *
 * Roads go both ways, so every city is in a circle of references, and reference counts
 * alone would never free one.  Nothing here frees a city: it goes when nobody can get
 * to it any more.
 */
#include <pymalloc/gc.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROADS = 4 };

/* The references of an object lie in slots, and their type says where those are. */
struct city {
    struct city *road[ROADS];
    char name[24];
};

static pygc_heap *heap;
static pygc_type *city_type;

/* Called once, before the object dies: the place for what the library does not know
 * of, such as files. */
static void farewell(void *object)
{
    const struct city *city = object;
    printf("  %s goes\n", city->name);
}

static void make_type(void)
{
    static const struct pygc_slot roads = {
        .offset = offsetof(struct city, road),
        .count = ROADS,
        .kind = PYGC_STRONG,
        .target = PYGC_SELF,
    };
    static const struct pygc_type_spec spec = {
        .name = "city",
        .size = sizeof(struct city),
        .slots = &roads,
        .slot_count = 1,
        .finalize = farewell,
        .flags = PYGC_WEAKREFABLE,
    };
    city_type = pygc_type_new(&spec);
}

/* Returns a reference that is the caller's, who drops it with pygc_decref. */
static struct city *found(const char *name)
{
    struct city *city = pygc_alloc(heap, city_type);
    if (city == NULL) {
        perror("graph");
        exit(1);
    }
    strncpy(city->name, name, sizeof(city->name) - 1);
    return city;
}

static void lead_to(struct city *from, struct city *to)
{
    for (int i = 0; i < ROADS; i++) {
        if (from->road[i] == NULL) {
            /* Takes a reference to what is stored, and drops what was there. */
            pygc_store(from, &from->road[i], to);
            return;
        }
    }
}

static void connect(struct city *a, struct city *b)
{
    lead_to(a, b);
    lead_to(b, a);
}

static void collect(void)
{
    printf("  %td objects collected\n", pygc_collect(heap, 2));
}

int main(void)
{
    heap = pygc_heap_new(NULL);
    make_type();
    if (heap == NULL || city_type == NULL) {
        perror("graph");
        return 1;
    }
    struct city *ulm = found("Ulm"), *ravenna = found("Ravenna"), *lund = found("Lund");
    connect(ulm, ravenna);
    connect(ravenna, lund);
    connect(lund, ulm);

    /* A weak reference does not keep its target, and knows when it is gone. */
    pygc_weakref *map = pygc_weakref_new(lund, NULL, NULL);

    printf("Our own references to Ravenna and Lund are dropped:\n");
    pygc_decref(ravenna);
    pygc_decref(lund);
    collect();

    printf("Lund lives, since it can be reached:\n");
    fflush(stdout);
    struct city *again = pygc_weakref_get(map); /* a reference, or NULL */
    pygc_decref(again);                         /* the roads to it are enough */
    pygc_print_why_alive(again, 1);

    printf("So is that to Ulm, and now they only hold each other:\n");
    pygc_decref(ulm);
    collect();
    printf("The weak reference gives %s.\n",
           pygc_weakref_get(map) == NULL ? "nothing" : "something");

    pygc_weakref_free(map);
    return pygc_heap_destroy(heap, 0) == 0 ? 0 : 1;
}
