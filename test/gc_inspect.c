/* gc.h: what is found wrong with a heap, and said of it, to the letter. */
#include "base.h"
#include "support.h"

#include <pthread.h>
#include <pymalloc/gc.h>
#include <stdarg.h>

struct node {
    void *next;
    void *other;
    int mood; /* of traverse */
};

struct list {
    size_t count;
    void *first;
    struct {
        long number;
        void *object;
    } item[];
};

enum { HONEST, FORGETFUL, EAGER, BLIND };

/* What traverse finds where there is nothing. */
static void *mirage;

static int visit_node(void *object, pygc_visit_fn *visit, void *arg)
{
    struct node *node = object;
    int result = node->next != NULL ? visit(node->next, arg) : 0;
    if (result == 0 && node->mood == EAGER) {
        result = visit(node->next, arg);
    }
    if (result == 0 && node->mood == BLIND) {
        result = visit(mirage, arg);
    }
    bool has_other = node->other != NULL && node->mood != FORGETFUL;
    return result == 0 && has_other ? visit(node->other, arg) : result;
}

static int cleared;

static void clear_node(void *object)
{
    struct node *node = object;
    cleared++;
    pygc_clear(&node->next);
    pygc_clear(&node->other);
}

static struct {
    pygc_type *node;
    pygc_type *big;     /* the same, of 10,000 bytes */
    pygc_type *list;    /* a strong slot, and one in each item */
    pygc_type *visited; /* told by traverse */
    pygc_type *both;    /* by slots and traverse */
} types;

static pygc_heap *heap;

static void make_types(void)
{
    static const struct pygc_slot slots[] = {PYGC_SLOT(struct node, next),
                                             PYGC_SLOT(struct node, other)};
    static const struct pygc_slot list_slots[] = {
        PYGC_SLOT(struct list, first),
        {sizeof(long), 1, PYGC_STRONG | PYGC_ITEMS, NULL}};
    struct pygc_type_spec spec = {.name = "node",
                                  .size = sizeof(struct node),
                                  .slots = slots,
                                  .slot_count = 2,
                                  .flags = PYGC_WEAKREFABLE};
    types.node = pygc_type_new(&spec);
    spec.name = "big";
    spec.size = 10000;
    types.big = pygc_type_new(&spec);
    spec.name = "both";
    spec.size = sizeof(struct node);
    spec.traverse = visit_node;
    spec.clear = clear_node;
    types.both = pygc_type_new(&spec);
    spec.name = "visited";
    spec.slot_count = 0;
    types.visited = pygc_type_new(&spec);
    struct pygc_type_spec list = {.name = "list",
                                  .size = sizeof(struct list),
                                  .item_size = 2 * sizeof(void *),
                                  .slots = list_slots,
                                  .slot_count = 2};
    types.list = pygc_type_new(&list);
}

static void begin(unsigned flags)
{
    struct pygc_options options = {.disabled = 1, .flags = flags};
    heap = pygc_heap_new(&options);
    CHECK(heap != NULL, "no heap");
}

static void end(void)
{
    CHECK_EQ(pygc_collect(heap, 2), 0, "garbage is left");
    CHECK_EQ(pygc_verify(heap), 0, "faults");
    CHECK_EQ(pygc_heap_destroy(heap, 0), 0, "objects were left");
}

static struct node *make(const pygc_type *type)
{
    struct node *node = pygc_alloc(heap, type);
    CHECK(node != NULL, "no object");
    return node;
}

/* A ring of two, without a reference from outside; the first of them. */
static struct node *garbage(const pygc_type *type)
{
    struct node *a = make(type), *b = make(type);
    pygc_store(a, &a->next, b);
    pygc_store(b, &b->next, a);
    pygc_track(a);
    pygc_track(b);
    pygc_decref(a);
    pygc_decref(b);
    return a;
}

/* ---- what is written ---- */

static struct capture captured;

/* In a child: it is to end with that signal, 0 for none, having written that. */
static void run_in_child(void (*body)(void), int signal)
{
    int err = memfd_create("stderr", MFD_CLOEXEC);
    pid_t pid = fork();
    if (pid == 0) {
        dup2(err, STDERR_FILENO);
        body();
        _exit(0);
    }
    captured.status = child_wait(pid, 60);
    read_back(err, captured.err, sizeof captured.err);
    CHECK_EQ(captured.status, signal != 0 ? CHILD_SIGNALLED + signal : 0,
             "the end of the child, which wrote: %s", captured.err);
}

/* '#' stands for a number. */
static bool matches(const char *text, const char *pattern)
{
    for (; *pattern != '\0'; pattern++) {
        if (*pattern != '#') {
            if (*text++ != *pattern) {
                return false;
            }
            continue;
        }
        size_t digits = strspn(text, "0123456789");
        if (digits == 0) {
            return false;
        }
        text += digits;
    }
    return *text == '\0';
}

__attribute__((format(printf, 2, 3))) static void wrote(const char *text,
                                                        const char *format, ...)
{
    char wanted[4096];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(wanted, sizeof wanted, format, args);
    va_end(args);
    CHECK(matches(text, wanted), "\"%s\" was written, wanted \"%s\"", text, wanted);
}

static void verify(void)
{
    (void)pygc_verify(heap);
}

/* What pygc_verify writes; how many faults it finds is up to the caller. */
static const char *complaints(void)
{
    run_in_child(verify, 0);
    return captured.err;
}

static const char *reason(const void *object, ptrdiff_t length)
{
    static char text[4096];
    int fd = memfd_create("reason", MFD_CLOEXEC);
    CHECK_EQ(pygc_print_why_alive(object, fd), length, "objects on the path");
    read_back(fd, text, sizeof text);
    return text;
}

/* ---- threads ---- */

static struct node *the_node;
static struct list *the_list;

static void *make_one(void *arg)
{
    return pygc_alloc(heap, arg);
}

static void *make_many(void *arg)
{
    return pygc_alloc_var(heap, arg, 3);
}

static void *drop_it(void *arg)
{
    pygc_decref(the_node);
    return arg;
}

static void *resize_it(void *arg)
{
    (void)pygc_realloc_var(the_list, 7);
    return arg;
}

static void *collect_it(void *arg)
{
    (void)pygc_collect(heap, 0);
    return arg;
}

static pygc_weakref *the_reference;

static void *refer_to_it(void *arg)
{
    return pygc_weakref_new(the_node, NULL, arg);
}

static void *forget_it(void *arg)
{
    pygc_weakref_free(the_reference);
    return arg;
}

static void *release_it(void *arg)
{
    (void)pygc_release(heap, 0);
    return arg;
}

static void *destroy_it(void *arg)
{
    (void)pygc_heap_destroy(heap, 0);
    return arg;
}

static void *(*in_thread)(void *);
static void *in_thread_arg;

static void run_thread(void)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, in_thread, in_thread_arg) == 0) {
        pthread_join(thread, NULL);
    }
}

static void other_threads_are_found(void)
{
    begin(PYGC_DEBUG_VERIFY);
    the_node = make(types.node);
    the_list = pygc_alloc_var(heap, types.list, 3);
    the_reference = pygc_weakref_new(the_node, NULL, NULL);
    char drop[64], refer[64];
    snprintf(drop, sizeof drop, "drops %p of type node", (void *)the_node);
    snprintf(refer, sizeof refer, "makes a weak reference to %p of type node",
             (void *)the_node);
    const struct {
        void *(*body)(void *);
        void *arg;
        const char *does;
    } uses[] = {{make_one, types.node, "makes an object of type node"},
                {make_one, types.big, "makes an object of type big"},
                {make_many, types.list, "makes an object of type list"},
                {resize_it, NULL, "makes an object of type list"},
                {drop_it, NULL, drop},
                {collect_it, NULL, "collects"},
                {refer_to_it, NULL, refer},
                {forget_it, NULL, "frees a weak reference"},
                {release_it, NULL, "releases objects"},
                {destroy_it, NULL, "destroys it"}};
    for (size_t i = 0; i < COUNT_OF(uses); i++) {
        in_thread = uses[i].body;
        in_thread_arg = uses[i].arg;
        run_in_child(run_thread, SIGABRT);
        wrote(captured.err,
              "pymalloc: wrong thread: heap %p is thread #'s, but thread # %s; see "
              "pygc_heap_adopt\n",
              (void *)heap, uses[i].does);
    }
    pygc_weakref_free(the_reference);
    pygc_decref(the_node);
    pygc_decref(the_list);
    end();
}

static void *use_and_hand_back(void *arg)
{
    pygc_heap_adopt(heap);
    pygc_decref(the_node);
    the_node = make(types.node);
    (void)pygc_collect(heap, 2);
    return arg;
}

static void a_heap_can_be_handed_over(void)
{
    begin(PYGC_DEBUG_VERIFY);
    the_node = make(types.node);
    in_thread = use_and_hand_back;
    run_thread();
    pygc_heap_adopt(heap);
    pygc_decref(the_node);
    end();
}

/* Nor if the flag is taken away. */
static void without_verify_nobody_asks(void)
{
    for (int round = 0; round < 2; round++) {
        begin(round == 0 ? 0 : PYGC_DEBUG_VERIFY);
        the_node = make(types.node);
        pygc_set_debug(heap, 0);
        in_thread = drop_it;
        run_thread();
        in_thread = make_one;
        in_thread_arg = types.node;
        run_thread();
        in_thread = collect_it;
        run_thread();
        in_thread = destroy_it;
        run_thread();
    }
}

static void *set_verify(void *arg)
{
    pygc_set_debug(heap, PYGC_DEBUG_VERIFY);
    return arg;
}

static void who_sets_the_flag_has_the_heap(void)
{
    begin(0);
    the_node = make(types.node);
    in_thread = set_verify;
    run_thread();
    in_thread = NULL;
    pygc_heap_adopt(heap);
    pygc_decref(the_node);
    end();
}

static uint64_t collections(unsigned flags)
{
    struct pygc_options options = {.flags = flags};
    struct pygc_stats stats;
    heap = pygc_heap_new(&options);
    struct node *head = NULL;
    for (int i = 0; i < 20000; i++) {
        struct node *node = make(types.node);
        node->next = head;
        head = node;
    }
    pygc_get_stats(heap, &stats);
    (void)pygc_heap_destroy(heap, 0);
    return stats.generation[0].collections + stats.generation[1].collections +
           stats.generation[2].collections;
}

static void verify_does_not_collect_more_often(void)
{
    uint64_t usual = collections(0);
    CHECK(usual > 2, "%ju collections", (uintmax_t)usual);
    uint64_t verified = collections(PYGC_DEBUG_VERIFY);
    CHECK(verified < 2 * usual, "%ju collections instead of %ju", (uintmax_t)verified,
          (uintmax_t)usual);
}

/* ---- dead objects ---- */

static void drop(void)
{
    pygc_decref(the_node);
}

static void drop_last(void)
{
    pygc_decref_last(the_node);
}

static void take_and_drop(void)
{
    pygc_incref(the_node);
    pygc_decref(the_node);
}

static const char *dropping(void (*body)(void))
{
    run_in_child(body, SIGABRT);
    return captured.err;
}

static void drops_of_the_dead_are_found(void)
{
    pygc_type *kinds[] = {types.node, types.big, types.both};
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        begin(PYGC_DEBUG_VERIFY);
        the_node = make(kinds[i]);
        pygc_decref(the_node);
        const char *name = pygc_type_name(kinds[i]);
        const char *line = "pymalloc: dropped reference to a dead object: %p is a dead "
                           "object of type %s\n";
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        wrote(dropping(drop), line, (void *)the_node, name);
        wrote(dropping(take_and_drop), line, (void *)the_node, name);
        the_node = garbage(kinds[i]);
        CHECK_EQ(pygc_collect(heap, 2), 2, "garbage");
        wrote(dropping(drop), line, (void *)the_node, name);
#pragma GCC diagnostic pop
        end();
    }
}

/* Also if they were made before the flag was set. */
static void older_objects_are_watched(void)
{
    begin(0);
    the_node = make(types.node);
    pygc_set_debug(heap, PYGC_DEBUG_VERIFY);
    pygc_decref(the_node);
    wrote(dropping(drop),
          "pymalloc: dropped reference to a dead object: %p is a dead object of type "
          "node\n",
          (void *)the_node);
    end();
}

static void resized_objects_are_dead(void)
{
    begin(PYGC_DEBUG_VERIFY);
    struct list *list = pygc_alloc_var(heap, types.list, 2);
    the_node = (void *)list;
    list = pygc_realloc_var(list, 9);
    wrote(dropping(drop),
          "pymalloc: dropped reference to a dead object: %p is a dead object of type "
          "list\n",
          (void *)the_node);
    pygc_decref(list);
    end();
}

/* A chain of which only the first is released at once. */
static struct node *release_one_of(const pygc_type *type, unsigned flags)
{
    begin(flags);
    pygc_set_release_budget(heap, 1);
    struct node *first = make(types.node), *second = make(type);
    first->next = second;
    pygc_decref(first);
    return second;
}

static void drops_of_those_that_wait_are_found(void)
{
    pygc_type *kinds[] = {types.node, types.big};
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        the_node = release_one_of(kinds[i], PYGC_DEBUG_VERIFY);
        wrote(
            dropping(drop),
            "pymalloc: dropped reference to a dead object: %p is a dead object of type "
            "%s, not yet released\n",
            (void *)the_node, pygc_type_name(kinds[i]));
        dropping(take_and_drop);
        CHECK_EQ(pygc_release(heap, 0), 0, "objects that wait");
        end();
    }
    the_node = release_one_of(types.node, 0);
    wrote(dropping(drop_last),
          "pymalloc: dropped reference to a dead object: %p is a dead object, not yet "
          "released\n",
          (void *)the_node);
    CHECK_EQ(pygc_release(heap, 0), 0, "objects that wait");
    end();
}

static void watched_objects_are_released_in_slices(void)
{
    enum { LENGTH = 1000, BUDGET = 7 };
    begin(PYGC_DEBUG_VERIFY);
    pygc_set_release_budget(heap, BUDGET);
    struct node *head = NULL;
    for (int i = 0; i < LENGTH; i++) {
        struct node *node = make(i % 5 == 0 ? types.big : types.node);
        node->next = head;
        node->other = make(i % 7 == 0 ? types.big : types.node);
        head = node;
    }
    pygc_decref(head);
    int slices = 1;
    while (pygc_release(heap, BUDGET)) {
        slices++;
    }
    CHECK_EQ(slices, 2 * LENGTH / BUDGET, "slices");
    end();
}

static void free_blocks_are_told(void)
{
    if (PYM_ASAN) {
        SKIP("AddressSanitizer finds the access first");
    }
    begin(0);
    the_node = make(types.node);
    pygc_decref(the_node);
    wrote(dropping(drop_last),
          "pymalloc: dropped reference to a dead object: %p is a free block of 32 "
          "bytes\n",
          (void *)the_node);
    end();
}

static void write_to_it(void)
{
    memset((char *)the_node + 17, 0, 1);
    (void)pygc_verify(heap);
    pygc_set_debug(heap, 0);
}

static void take_it(void)
{
    pygc_incref(the_node);
    pygc_incref(the_node);
    CHECK_EQ(pygc_verify(heap), 1, "a new reference");
    pygc_decref(the_node);
    (void)pygc_heap_destroy(heap, 0);
}

static void changes_of_the_dead_are_found(void)
{
    begin(PYGC_DEBUG_VERIFY);
    the_node = make(types.node);
    pygc_decref(the_node);
    run_in_child(take_it, SIGABRT);
    char line[256];
    snprintf(
        line, sizeof line,
        "pymalloc: verify: %p is a dead object of type node, but a reference to it "
        "was made\n",
        (void *)the_node);
    wrote(captured.err, "%s%s", line, line);
    if (!PYM_ASAN) {
        run_in_child(write_to_it, SIGABRT);
        snprintf(line, sizeof line,
                 "pymalloc: verify: %p is a dead object of type node, but was written "
                 "to at offset 17\n",
                 (void *)the_node);
        wrote(captured.err, "%s%s", line, line);
    }
    end();
}

static void drop_and_verify(void)
{
    pygc_decref(the_node);
    CHECK_EQ(pygc_verify(heap), 1, "a damaged link");
    (void)make(types.node);
}

/* More objects die after it than are kept: what pygc_decref takes for its count is half
 * of a link. */
static void damaged_links_are_found(void)
{
    enum { KEPT = 1 << 14 };
    static void *others[KEPT];
    if (PYM_ASAN) {
        SKIP("AddressSanitizer finds the access first");
    }
    begin(PYGC_DEBUG_VERIFY);
    for (size_t i = 0; i < KEPT; i++) {
        others[i] = make(types.node);
    }
    for (int i = 0; i < 10; i++) {
        the_node = make(types.node);
    }
    pygc_decref(the_node);
    for (size_t i = 0; i < KEPT; i++) {
        pygc_decref(others[i]);
    }
    if ((uintptr_t)the_node >> 32 == 0) { /* as under valgrind */
        (void)pygc_heap_destroy(heap, 0);
        SKIP("half of a link to so low an address is 0: a dead object's count");
    }
    run_in_child(drop_and_verify, SIGABRT);
    char line[256];
    snprintf(line, sizeof line,
             "pymalloc: verify: %p is a free block of 32 bytes, but its header was "
             "written to, or a reference to it dropped\n",
             (void *)the_node);
    wrote(captured.err, "%s%s", line, line);
    CHECK_EQ(pygc_collect(heap, 2), 0, "faults");
    CHECK_EQ(pygc_heap_destroy(heap, 0), 9, "objects that were left");
}

/* Dead objects come and go; none is lost. */
static void memory_of_the_dead_comes_back(void)
{
    struct pygc_stats stats;
    begin(PYGC_DEBUG_VERIFY);
    for (int round = 0; round < 40000; round++) {
        pygc_decref(make(round % 16 == 0 ? types.big : types.node));
    }
    pygc_get_stats(heap, &stats);
    CHECK_EQ(stats.objects, 0, "objects");
    pygc_set_debug(heap, 0);
    CHECK_EQ(pymalloc_verify(), 0, "faults of the allocator");
    pygc_set_debug(heap, PYGC_DEBUG_VERIFY);
    end();
}

/* ---- references ---- */

static void foreign_references_are_described(void)
{
    begin(PYGC_DEBUG_VERIFY);
    pygc_heap *another = pygc_heap_new(NULL);
    struct node *a = make(types.node), *b = make(types.node), *big = make(types.big),
                *dead = make(types.node), *stranger = pygc_alloc(another, types.node);
    pygc_decref(dead);
    const struct {
        char *pointer;
        const char *what;
    } foreign[] = {{(char *)b + 8, "8 bytes into %p, an object of type node"},
                   {(char *)b + 3, "3 bytes into %p, an object of type node"},
                   {(char *)big + 800, "800 bytes into %p, an object of type big"},
                   {(char *)dead, "a dead object of type node"},
                   {(char *)dead + 16, "16 bytes into %p, a dead object of type node"},
                   {(char *)stranger, "in another heap, %p"},
                   {(char *)stranger + 8, "in another heap, %p"},
                   {(char *)&heap, "no object of the heap"},
                   {(char *)1, "no object of the heap"},
                   {(char *)-1, "no object of the heap"}};
    const void *inside[] = {b, b, big, NULL, dead, another, another};
    for (size_t i = 0; i < COUNT_OF(foreign); i++) {
        char what[128];
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        snprintf(what, sizeof what, foreign[i].what, i < 7 ? inside[i] : NULL);
#pragma GCC diagnostic pop
        a->other = foreign[i].pointer;
        wrote(complaints(),
              "pymalloc: verify: %p of type node, slot at offset 8: %p is %s\n",
              (void *)a, (void *)foreign[i].pointer, what);
    }
    a->other = NULL;
    pygc_decref(stranger);
    pygc_heap_destroy(another, 0);
    pygc_decref(a);
    pygc_decref(b);
    pygc_decref(big);
    end();
}

static void free_and_waiting_referents_are_described(void)
{
    struct node *waiting = release_one_of(types.node, 0);
    (void)pygc_release(heap, 0);
    struct node *a = make(types.big);
    a->other = waiting;
    wrote(complaints(),
          "pymalloc: verify: %p of type big, slot at offset 8: %p is a free block of "
          "32 bytes\n",
          (void *)a, (void *)waiting);
    struct node *b = make(types.node), *c = make(types.node);
    b->next = c;
    pygc_decref(b);
    a->other = c;
    wrote(
        complaints(),
        "pymalloc: verify: %p of type big, slot at offset 8: %p is a dead object, not "
        "yet released\n",
        (void *)a, (void *)c);
    a->other = NULL;
    pygc_release(heap, 0);
    pygc_decref(a);
    end();
}

static void what_traverse_visits_is_described(void)
{
    begin(0);
    struct node *a = make(types.visited);
    a->mood = BLIND;
    mirage = NULL;
    CHECK_EQ(pygc_verify(heap), 0, "an object that is not tracked yet is not asked");
    pygc_track(a);
    wrote(complaints(),
          "pymalloc: verify: %p of type visited, traverse: 0x0 is no object of the "
          "heap\n",
          (void *)a);
    mirage = &a->other;
    wrote(complaints(),
          "pymalloc: verify: %p of type visited, traverse: %p is 8 bytes into %p, an "
          "object of type visited\n",
          (void *)a, mirage, (void *)a);
    a->mood = HONEST;
    pygc_decref(a);
    end();
}

static void low_counts_name_a_slot(void)
{
    begin(0);
    struct node *a = make(types.node), *b = make(types.node);
    struct list *list = pygc_alloc_var(heap, types.list, 3);
    a->next = b;
    a->other = b;
    wrote(complaints(),
          "pymalloc: verify: %p of type node has a count of 1, but 2 references to it "
          "are in objects, one in %p of type node, slot at offset 0\n",
          (void *)b, (void *)a);
    a->next = a->other = NULL;
    list->item[1].object = list->item[2].object = b;
    wrote(complaints(),
          "pymalloc: verify: %p of type node has a count of 1, but 2 references to it "
          "are in objects, one in %p of type list, slot at offset 8 of item 1\n",
          (void *)b, (void *)list);
    list->item[1].object = list->item[2].object = NULL;
    struct node *c = make(types.visited);
    pygc_track(c);
    c->next = c->other = b;
    wrote(complaints(),
          "pymalloc: verify: %p of type node has a count of 1, but 2 references to it "
          "are in objects, one in %p of type visited, traverse\n",
          (void *)b, (void *)c);
    c->next = c->other = NULL;
    pygc_decref(a);
    pygc_decref(b);
    pygc_decref(c);
    pygc_decref(list);
    end();
}

static void collect(void)
{
    (void)pygc_collect(heap, 0);
}

static void collections_stop_at_faults(void)
{
    begin(PYGC_DEBUG_VERIFY);
    struct node *a = make(types.node), *b = make(types.node);
    a->next = b;
    a->other = b;
    run_in_child(collect, SIGABRT);
    wrote(captured.err,
          "pymalloc: verify: %p of type node has a count of 1, but 2 references to it "
          "are in objects, one in %p of type node, slot at offset 0\n",
          (void *)b, (void *)a);
    a->next = a->other = NULL;
    pygc_decref(a);
    pygc_decref(b);
    end();
}

/* ---- slots and traverse ---- */

static void types_may_have_both(void)
{
    begin(PYGC_DEBUG_VERIFY);
    CHECK(pygc_type_is_cyclic(types.both), "its slots may refer to anything");
    struct node *a = make(types.both), *b = make(types.node);
    CHECK(pygc_is_tracked(a), "tracked from birth");
    CHECK_EQ(pygc_verify(heap), 0, "of empty slots");
    pygc_store(a, &a->next, b);
    pygc_store(a, &a->other, b);
    CHECK_EQ(pygc_verify(heap), 0, "of the same object in both");
    a->mood = FORGETFUL; /* who goes by the slots does not mind */
    pygc_set_debug(heap, 0);
    cleared = 0;
    pygc_store(b, &b->next, a);
    pygc_decref(a);
    pygc_decref(b);
    CHECK_EQ(pygc_collect(heap, 2), 2, "garbage");
    CHECK_EQ(cleared, 0, "calls of clear");
    end();
}

static void slots_are_compared_with_traverse(void)
{
    begin(0);
    struct node *a = make(types.both), *b = make(types.node), *c = make(types.node);
    pygc_store(a, &a->next, b);
    pygc_store(a, &a->other, c);
    CHECK_EQ(pygc_verify(heap), 0, "honest");
    a->mood = FORGETFUL;
    wrote(
        complaints(),
        "pymalloc: verify: %p of type both, slot at offset 8: %p is visited less often "
        "than slots have it\n",
        (void *)a, (void *)c);
    a->mood = EAGER;
    wrote(complaints(),
          "pymalloc: verify: %p of type both, traverse: %p is visited more often than "
          "slots have it\n",
          (void *)a, (void *)b);
    a->mood = BLIND;
    mirage = a;
    wrote(complaints(),
          "pymalloc: verify: %p of type both, traverse: %p is visited more often than "
          "slots have it\n",
          (void *)a, (void *)a);
    mirage = (char *)b + 1;
    wrote(
        complaints(),
        "pymalloc: verify: %p of type both, traverse: %p is 1 bytes into %p, an object "
        "of type node\n",
        (void *)a, mirage, (void *)b);
    a->mood = FORGETFUL;
    pygc_store(a, &a->next, c);
    wrote(
        complaints(),
        "pymalloc: verify: %p of type both, slot at offset 0: %p is visited less often "
        "than slots have it\n",
        (void *)a, (void *)c);
    pygc_decref(a);
    pygc_decref(b);
    pygc_decref(c);
    end();
}

struct child {
    void *next, *other;
    int mood;
    pygc_weakref *parent;
};

/* Weak slots leave it to traverse to tell the strong references. */
static void weak_slots_go_with_traverse(void)
{
    static const struct pygc_slot weak = {offsetof(struct child, parent), 1, PYGC_WEAK,
                                          NULL};
    struct pygc_type_spec spec = {.name = "child",
                                  .size = sizeof(struct child),
                                  .slots = &weak,
                                  .slot_count = 1,
                                  .traverse = visit_node,
                                  .clear = clear_node,
                                  .flags = PYGC_WEAKREFABLE};
    pygc_type *child = pygc_type_new(&spec);
    begin(PYGC_DEBUG_VERIFY);
    cleared = 0;
    struct child *a = (struct child *)make(child), *b = (struct child *)make(child);
    CHECK(!pygc_is_tracked(a), "tracked by birth");
    pygc_store(a, &a->next, b);
    pygc_store(b, &b->other, a);
    b->parent = pygc_weakref_new(a, NULL, NULL);
    pygc_track(a);
    pygc_track(b);
    CHECK_EQ(pygc_verify(heap), 0, "faults");
    pygc_decref(b);
    CHECK_EQ(pygc_collect(heap, 2), 0, "alive");
    pygc_decref(a);
    CHECK_EQ(pygc_collect(heap, 2), 2, "garbage");
    CHECK(cleared >= 2, "clear was called %d times", cleared);
    end();
}

/* ---- reasons ---- */

static void reasons_are_told(void)
{
    begin(0);
    struct node *a = make(types.node), *b = make(types.visited), *c = make(types.big);
    struct list *list = pygc_alloc_var(heap, types.list, 4);
    pygc_store(a, &a->other, list);
    pygc_store(list, &list->item[3].object, b);
    pygc_store(b, &b->next, c);
    pygc_track(b);
    pygc_decref(list);
    pygc_decref(b);
    pygc_decref(c);
    wrote(reason(a, 1),
          "pymalloc: %p of type node is alive:\n"
          "pymalloc:   1 reference to %p of type node that no object accounts for\n",
          (void *)a, (void *)a);
    pygc_incref(a);
    wrote(reason(c, 4),
          "pymalloc: %p of type big is alive:\n"
          "pymalloc:   2 references to %p of type node that no object accounts for\n"
          "pymalloc:   -> slot at offset 8 -> %p of type list\n"
          "pymalloc:   -> slot at offset 8 of item 3 -> %p of type visited\n"
          "pymalloc:   -> traverse -> %p of type big\n",
          (void *)c, (void *)a, (void *)list, (void *)b, (void *)c);
    pygc_decref(a);
    pygc_decref(a);
    end();
}

static void immortal_and_saved_objects_are_told(void)
{
    begin(PYGC_DEBUG_SAVE);
    struct node *a = garbage(types.node);
    CHECK_EQ(pygc_collect(heap, 2), 2, "garbage");
    wrote(
        reason(a, 1),
        "pymalloc: %p of type node is alive:\n"
        "pymalloc:   1 reference to %p of type node that no object accounts for, 1 of "
        "them the heap's own\n",
        (void *)a, (void *)a);
    pygc_immortalize(a);
    wrote(
        reason(a->next, 1),
        "pymalloc: %p of type node is alive:\n"
        "pymalloc:   1 reference to %p of type node that no object accounts for, 1 of "
        "them the heap's own\n",
        a->next, a->next);
    CHECK_EQ(pygc_garbage(heap, NULL, NULL, 1), 2, "saved");
    wrote(reason(a->next, 2),
          "pymalloc: %p of type node is alive:\n"
          "pymalloc:   %p of type node is immortal\n"
          "pymalloc:   -> slot at offset 0 -> %p of type node\n",
          a->next, (void *)a, a->next);
    CHECK_EQ(pygc_heap_destroy(heap, 0), 2, "objects that were left");
}

static void garbage_is_told(void)
{
    begin(PYGC_DEBUG_VERIFY);
    struct node *a = garbage(types.node);
    wrote(reason(a, 0),
          "pymalloc: %p of type node is garbage that has not been collected\n",
          (void *)a);
    pygc_freeze(heap);
    wrote(reason(a, 0),
          "pymalloc: %p of type node is garbage that has not been collected; it is "
          "frozen\n",
          (void *)a);
    pygc_unfreeze(heap);
    pygc_untrack(a);
    wrote(reason(a, 0),
          "pymalloc: %p of type node is garbage that has not been collected; it is not "
          "tracked\n",
          (void *)a);
    pygc_track(a);
    CHECK_EQ(pygc_collect(heap, 2), 2, "garbage");
    wrote(reason(a, 0), "pymalloc: %p is a dead object of type node\n", (void *)a);
    end();
}

/* ---- leaks ---- */

static void destroy(void)
{
    (void)pygc_heap_destroy(heap, 0);
}

static void leaks_are_reported_by_type(void)
{
    begin(PYGC_DEBUG_LEAKS);
    struct node *a = make(types.node), *b = make(types.node), *big = make(types.big);
    run_in_child(destroy, 0);
    wrote(captured.err, "pymalloc: leak: 2 objects of type node, 64 B\n"
                        "pymalloc: leak: 1 objects of type big, 9.8 KiB\n");
    pygc_decref(a);
    pygc_decref(b);
    pygc_decref(big);
    run_in_child(destroy, 0);
    wrote(captured.err, "%s", "");
    end();
}

static const struct tap_case cases[] = {
    {"other threads are found", other_threads_are_found},
    {"a heap can be handed over", a_heap_can_be_handed_over},
    {"without verify nobody asks", without_verify_nobody_asks},
    {"who sets the flag has the heap", who_sets_the_flag_has_the_heap},
    {"verify does not collect more often", verify_does_not_collect_more_often},
    {"drops of the dead are found", drops_of_the_dead_are_found},
    {"older objects are watched", older_objects_are_watched},
    {"resized objects are dead", resized_objects_are_dead},
    {"drops of those that wait are found", drops_of_those_that_wait_are_found},
    {"watched objects are released in slices", watched_objects_are_released_in_slices},
    {"free blocks are told", free_blocks_are_told},
    {"changes of the dead are found", changes_of_the_dead_are_found},
    {"damaged links are found", damaged_links_are_found},
    {"memory of the dead comes back", memory_of_the_dead_comes_back},
    {"foreign references are described", foreign_references_are_described},
    {"free and waiting referents are described",
     free_and_waiting_referents_are_described},
    {"what traverse visits is described", what_traverse_visits_is_described},
    {"low counts name a slot", low_counts_name_a_slot},
    {"collections stop at faults", collections_stop_at_faults},
    {"types may have both slots and traverse", types_may_have_both},
    {"slots are compared with traverse", slots_are_compared_with_traverse},
    {"weak slots go with traverse", weak_slots_go_with_traverse},
    {"reasons are told", reasons_are_told},
    {"immortal and saved objects are told", immortal_and_saved_objects_are_told},
    {"garbage is told", garbage_is_told},
    {"leaks are reported by type", leaks_are_reported_by_type},
};

int main(int argc, char **argv)
{
    make_types();
    return TAP_RUN(cases, argc, argv);
}
